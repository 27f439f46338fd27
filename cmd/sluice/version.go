package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/version"
)

func versionCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Example: "  sluice version\n  sluice version --json",
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			platform := runtime.GOOS + "/" + runtime.GOARCH
			if asJSON {
				return printJSON(e.out, map[string]string{
					"version": version.Version, "go": runtime.Version(), "platform": platform,
				})
			}
			_, err := fmt.Fprintf(e.out, "sluice %s (%s, %s)\n", version.Version, runtime.Version(), platform)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
