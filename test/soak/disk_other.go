//go:build !linux

package main

import (
	"context"
	"errors"
	"os/exec"
)

func ownDisk() bool { return true }

func runWithDisk(context.Context) int { return 1 }

func mountDisk(string, string) error { return errors.New("only on Linux") }

func unmountDisk(string) error { return nil }

func dieWithParent(*exec.Cmd) {}
