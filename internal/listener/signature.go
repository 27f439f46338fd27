package listener

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Signature is the result of verifying a call's signature.
type Signature string

// The results. Stale is a valid signature whose timestamp is more than five minutes
// off: the call may be replayed by an attacker.
const (
	Unchecked Signature = ""
	OK        Signature = "ok"
	Missing   Signature = "missing"
	Wrong     Signature = "WRONG"
	Stale     Signature = "STALE"
)

const tolerance = 5 * time.Minute

func signingKey(secret string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(key) == 0 {
		return nil, errors.New("signing-secret must be whsec_ followed by base64")
	}
	return key, nil
}

// check verifies a call as defined by Standard Webhooks v1: an HMAC-SHA256 over
// id, timestamp and body. The header has several during a rotation of the secret.
func (h *Handler) check(header http.Header, body []byte, now time.Time) Signature {
	if h.key == nil {
		return Unchecked
	}
	signatures := strings.Fields(header.Get("Webhook-Signature"))
	if len(signatures) == 0 {
		return Missing
	}
	stamp := header.Get("Webhook-Timestamp")
	mac := hmac.New(sha256.New, h.key)
	_, _ = mac.Write([]byte(header.Get("Webhook-Id") + "." + stamp + "."))
	_, _ = mac.Write(body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for _, s := range signatures {
		if hmac.Equal([]byte(s), want) {
			return age(stamp, now)
		}
	}
	return Wrong
}

func age(stamp string, now time.Time) Signature {
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return Stale
	}
	return OK
}
