//go:build !linux

package e2e

const binaryVariable = ""

func inNamespace() bool { return false }
