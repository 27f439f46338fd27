package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/client"
)

const defaultURL = "http://127.0.0.1:8080"

const environmentHelp = `Environment of the commands that talk to the service:
  SLUICE_URL    where it is, unless --url says so (` + defaultURL + `)
  SLUICE_TOKEN  the access token, unless --token says so
`

// api are the flags of every command that talks to the service.
type api struct {
	env    *env
	url    string
	token  string
	asJSON bool
}

// flags adds the flags to a command and to all below it.
func (a *api) flags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVar(&a.url, "url", "", "where the service is (SLUICE_URL; "+defaultURL+")")
	f.StringVar(&a.token, "token", "", "access token, or @FILE, or env:NAME (SLUICE_TOKEN)")
	f.BoolVar(&a.asJSON, "json", false, "print JSON")
}

// client returns the client that the flags and the environment ask for.
func (a *api) client(cmd *cobra.Command) (*client.Client, error) {
	url := firstOf(a.url, a.env.getenv("SLUICE_URL"), defaultURL)
	token, err := a.env.secret(a.token)
	if err != nil {
		return nil, usageErrorf(cmd, "--token: %s", err)
	}
	c, err := client.New(url, firstOf(token, strings.TrimSpace(a.env.getenv("SLUICE_TOKEN"))))
	if err != nil {
		return nil, usageErrorf(cmd, "%s", err)
	}
	return c, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

const maxSecretFile = 64 << 10

// secret returns what a flag for a secret stands for: the text itself, the
// content of a file (@FILE) or a variable (env:NAME). The last two keep it out
// of the shell's history and the list of processes. The line end of a file is not
// part of the secret; all else in it is.
func (e *env) secret(flag string) (string, error) {
	if name, ok := strings.CutPrefix(flag, "env:"); ok {
		if value := e.getenv(name); value != "" {
			return value, nil
		}
		return "", fmt.Errorf("the variable %s is not set", name)
	}
	path, ok := strings.CutPrefix(flag, "@")
	if !ok {
		return flag, nil
	}
	data, err := readBounded(path, maxSecretFile)
	if err != nil {
		return "", err
	}
	value := strings.TrimRight(string(data), "\r\n")
	if value == "" {
		return "", fmt.Errorf("the file %s is empty", path)
	}
	return value, nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readAtMost(f, path, limit)
}

func readAtMost(r io.Reader, name string, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errors.New(name + " is too long")
	}
	return data, err
}
