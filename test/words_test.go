package test

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// retired are the words that docs/design.md, "Words", replaces. What follows an
// arrow is the word to use.
var retired = map[string]string{
	`riders?`:       "worker",
	`rosters?`:      "live set",
	`followers?`:    "subscriber",
	`follow loops?`: "live loop, live delivery",
	`partings?|see(s|n)? off|seeOff|farewells?`: "leave, evict",
	`partition records?`:                        "partition state",
	`belated(ly)?`:                              "late",
	`barriers?`:                                 "watermark marker",
	`timetables?`:                               "due index",
	`graces`:                                    "expired replays",
	`chores?`:                                   "maintenance",
	`privatefiles?`:                             "keyfile",
	`set aside`:                                 "given up, or rejected",
	`dead-lettered|dead letters`:                "given up",
	`handed over again`:                         "redelivered",
	`endures|breathe`:                           "retryable, checkpoint",
	`in hand`:                                   "buffered, in flight",
	`under way`:                                 "in flight, in progress",
	`whoever`:                                   "the caller that, those who",
	`(is|are) to be`:                            "must be, or an active verb",
	`belongs? to whoever`:                       "is the caller's",
	`(first|longest|last|store|retry|recheck|write) pauses?|pauses? (after|between|of a|that)`:                    "delay, interval",
	`(receiver|service|server|node|API|bucket)(\W?s)? answers?|(lost|late) answer|answer(s|ed)? (with|[1-5]\d\d)`: "response, respond, return",
}

// kept are what may have a retired word: stored and wire forms, which keep the
// names they were born with, and a sentence of the API.
var kept = regexp.MustCompile(`"(followers|followers,omitzero|timetable|BARRIER|barrier|BELATED)"|sk=S (BARRIER|BELATED) |timetable(,omitempty|=S)|attrTimetable|Answer 400 to set this event aside`)

var retiredPattern = func() *regexp.Regexp {
	var all []string
	for word := range retired {
		all = append(all, word)
	}
	return regexp.MustCompile(`(?i)\b(` + strings.Join(all, "|") + `)\b`)
}()

// Names, comments, messages and documents use the words of the glossary.
func TestRetiredWordsAreNotUsed(t *testing.T) {
	checked := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "cdk.out" || d.Name() == "build" || d.Name() == "bin") {
			return fs.SkipDir
		}
		switch {
		case strings.HasSuffix(path, "words_test.go"):
		case filepath.Ext(path) == ".go":
			checked++
			wantNoneRetired(t, path, goText(t, path))
		case filepath.Ext(path) == ".md" && d.Name() != "CHANGELOG.md":
			checked++
			wantNoneRetired(t, path, fileText(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked < 300 {
		t.Errorf("%d files were checked; the search for them is broken", checked)
	}
}

func wantNoneRetired(t *testing.T, path, text string) {
	t.Helper()
	for n, line := range strings.Split(kept.ReplaceAllString(text, ""), "\n") {
		if word := retiredPattern.FindString(line); word != "" {
			t.Errorf("%s:%d says %q: use %s", path, n+1, word, instead(word))
		}
	}
}

func instead(word string) string {
	for pattern, better := range retired {
		if regexp.MustCompile(`(?i)^(` + pattern + `)$`).MatchString(word) {
			return better
		}
	}
	return "the word of the glossary"
}

// goText is a Go file with the words of its names parted: seeOff is see Off.
func goText(t *testing.T, path string) string {
	t.Helper()
	src := []byte(fileText(t, path))
	files := token.NewFileSet()
	var s scanner.Scanner
	file := files.AddFile(path, -1, len(src))
	s.Init(file, src, nil, scanner.ScanComments)
	var b strings.Builder
	line := 1
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return b.String()
		}
		for at := files.Position(pos).Line; line < at; line++ {
			b.WriteByte('\n')
		}
		if tok == token.IDENT {
			lit = camelPattern.ReplaceAllString(lit, "$1 $2")
		}
		line += strings.Count(lit, "\n")
		b.WriteString(lit + " ")
	}
}

var camelPattern = regexp.MustCompile(`([a-z0-9])([A-Z])`)

func fileText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRetiredWordsAreFound(t *testing.T) {
	for text, found := range map[string]bool{
		"the follower of a partition":  true,
		"// It is under way.":          true,
		"see Off":                      true,
		"the next head of the table":   false,
		`x := "timetable"`:             false,
		"tracked by whoever called it": true,
		"a live subscriber":            false,
		"first Pause":                  true,
		"the receiver's answer":        true,
		"S3 answers 403":               true,
		"an answer from the DNS":       false,
		"a stop pauses the cursor":     false,
	} {
		if got := retiredPattern.MatchString(kept.ReplaceAllString(text, "")); got != found {
			t.Errorf("%q: found %v, want %v", text, got, found)
		}
	}
}
