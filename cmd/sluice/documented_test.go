package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

var (
	fence = regexp.MustCompile("(?ms)^```sh\n(.*?)^```")
	// invocation is a call of sluice where a command of a shell begins, up to where it ends.
	invocation = regexp.MustCompile(`(?m)(?:^|[(;|&]|sudo -u sluice|/usr/local/)\s*(?:bin/)?sluice ((?:'[^']*'|"[^"]*"|[^'";|&<>()\n])*)`)
	descriptor = regexp.MustCompile(`\s\d>`) // whose output is redirected
	shellWord  = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^'"\s])+`)
)

// callsIn returns the arguments of each call of sluice in a script, those within a quoted
// word too.
func callsIn(script string) (calls [][]string) {
	script = descriptor.ReplaceAllString(strings.ReplaceAll(script, "\\\n", " "), " >")
	for script != "" {
		at := invocation.FindStringSubmatchIndex(script)
		if at == nil {
			break
		}
		args := shellWord.FindAllString(script[at[2]:at[3]], -1)
		for i := range args {
			args[i] = strings.Trim(args[i], `'"`)
		}
		calls = append(calls, args)
		script = script[at[2]:]
	}
	return calls
}

// A command that is pasted from the README, a document or a help text exists, with its
// flags and arguments.
func TestDocumentedCommandsExist(t *testing.T) {
	scripts := map[string][]string{}
	for _, pattern := range []string{"README.md", "docs/*.md"} {
		paths, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %d files", pattern, err, len(paths))
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
				scripts[path] = append(scripts[path], m[1])
			}
		}
	}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		scripts[cmd.CommandPath()+" --help"] = []string{cmd.Example}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(rootCommand(&env{}))

	calls := 0
	for source, texts := range scripts {
		for _, args := range callsIn(strings.Join(texts, "\n")) {
			calls++
			if err := checkArgs(args); err != nil {
				t.Errorf("%s: sluice %s: %v", source, strings.Join(args, " "), err)
			}
		}
	}
	if calls < 60 {
		t.Errorf("found only %d calls; the search for them is broken", calls)
	}
}

// checkArgs returns an error if the command line is wrong whatever the service says.
func checkArgs(args []string) error {
	cmd, rest, err := rootCommand(&env{}).Find(args)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func TestCallsIn(t *testing.T) {
	for script, want := range map[string]string{
		"sluice a --b c > d":                       "a --b c",
		"sluice a --b c 2> d | e":                  "a --b c",
		"echo x | sluice a; true":                  "a",
		"sluice a \\\n  b":                         "a b",
		`x=$(sluice a | b); y "$(sluice c 'd e')"`: "a / c d e",
		`sluice a "$(sluice b 'c;d' | e)"`:         "a $(sluice b 'c;d' | e) / b c;d",
		"bin/sluice a\nsudo -u sluice sluice b":    "a / b",
	} {
		var got []string
		for _, args := range callsIn(script) {
			got = append(got, strings.Join(args, " "))
		}
		if joined := strings.Join(got, " / "); joined != want {
			t.Errorf("%q: %q, want %q", script, joined, want)
		}
	}
}
