//go:build !linux

package lambdahost

// awaitStop cannot wait on this system; the process stops soon anyway.
func awaitStop(int) {}
