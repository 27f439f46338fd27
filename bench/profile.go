package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"

	nodes "github.com/sluicehq/sluice/internal/node"
)

// nodeConfig configures a profiled node.
type nodeConfig struct{ Addr, Data, Profile string }

// nodePart runs a node as `sluice serve --dev` does and writes profiles of the
// whole run: cpu-PID, allocs-PID and mutex-PID.
func nodePart(ctx context.Context, config []byte, _ func(any) error) error {
	var c nodeConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return err
	}
	settings := nodes.DefaultConfig()
	settings.Addr, settings.Data, settings.Dev = c.Addr, c.Data, true
	n, err := nodes.Open(ctx, settings, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Profile, 0o750); err != nil {
		return err
	}
	create := func(name string) (*os.File, error) {
		return os.Create(filepath.Join(c.Profile, fmt.Sprintf("%s-%d", name, os.Getpid())))
	}
	cpu, err := create("cpu")
	if err != nil {
		return err
	}
	runtime.SetMutexProfileFraction(10)
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	err = n.Run(ctx)
	pprof.StopCPUProfile()
	err = errors.Join(err, cpu.Close())
	for _, name := range []string{"allocs", "mutex"} {
		f, createErr := create(name)
		if createErr != nil {
			return createErr
		}
		err = errors.Join(err, pprof.Lookup(name).WriteTo(f, 0), f.Close())
	}
	return err
}
