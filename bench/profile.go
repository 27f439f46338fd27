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
	"github.com/sluicehq/sluice/internal/settings"
)

// nodeConfig configures a profiled node.
type nodeConfig struct{ Addr, Data, Profile string }

// nodePart runs a node as `sluice serve --dev` does and writes profiles of the
// whole run: cpu-PID, allocs-PID and mutex-PID.
func nodePart(ctx context.Context, text []byte, _ func(any) error) error {
	var c nodeConfig
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	config := nodes.DefaultConfig()
	if err := settings.LoadEnv(config.Rows(), os.LookupEnv); err != nil {
		return err
	}
	config.Addr, config.Data, config.Dev = c.Addr, c.Data, true
	n, err := nodes.Open(ctx, config, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
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
