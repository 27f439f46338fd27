package kms_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/secret/kms"
)

// The format is stored: what is sealed today must open in every later release.
func TestStoredFormIsPinned(t *testing.T) {
	s := kms.New(&counting{}, key, newShelf(), time.Now)
	const stored = "534c55494345000100b80000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
		"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
		"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000" +
		"000000000000303030303030303164a95f5cf508a4879c324d44078aeff1dae5ea611a8372746538109a2e8e830ab2c00b676430edbc6daeda59e8f5" +
		"7a48c333"
	ciphertext, err := hex.DecodeString(stored)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, s, at("https://a.test:443"), secret.Sealed{Ciphertext: ciphertext, Bound: true})
}

// A ciphertext that was changed, shortened or extended anywhere is refused, and what is
// refused is not told.
func TestDamageIsRefused(t *testing.T) {
	s, _, _ := setup(t)
	whole := seal(t, s, clear)
	rapid.Check(t, func(t *rapid.T) {
		damaged := whole
		damaged.Ciphertext = slices.Clone(whole.Ciphertext)
		i := rapid.IntRange(0, len(whole.Ciphertext)-1).Draw(t, "at")
		switch rapid.SampledFrom([]string{"change", "cut", "add"}).Draw(t, "damage") {
		case "change":
			damaged.Ciphertext[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case "cut":
			damaged.Ciphertext = damaged.Ciphertext[:i]
		case "add":
			damaged.Ciphertext = slices.Insert(damaged.Ciphertext, i, rapid.Byte().Draw(t, "byte"))
		}
		got, err := s.Open(context.Background(), owner, damaged)
		if bytes.Equal(damaged.Ciphertext, whole.Ciphertext) || damaged.IsZero() {
			return
		}
		if problem.CodeOf(err) != problem.Internal || !got.IsZero() || strings.Contains(err.Error(), clear) {
			t.Fatalf("opened %q, %v", got.Reveal(), err)
		}
	})
}

// untilText is what an envelope has before its ciphertext, with the data key.
const untilText = 7 + 3 + 184

// Neither part of an envelope fits another one.
func TestPartsOfTwoSecretsDoNotFit(t *testing.T) {
	c := &counting{}
	one, other := sealedFor(t, kms.New(c, key, newShelf(), time.Now), owner), sealedFor(t, kms.New(c, key, newShelf(), time.Now), owner)
	swapped := secret.Sealed{Ciphertext: slices.Concat(one.Ciphertext[:untilText], other.Ciphertext[untilText:])}
	_, err := kms.New(c, key, newShelf(), time.Now).Open(t.Context(), owner, swapped)
	refused(t, err, problem.Internal, "is damaged")
}

func TestALaterFormSaysSo(t *testing.T) {
	s, _, _ := setup(t)
	sealed := seal(t, s, clear)
	sealed.Ciphertext[7]++
	_, err := s.Open(t.Context(), owner, sealed)
	refused(t, err, problem.Internal, "sealed by a later release")
}
