package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/internal/version"
)

const platform = runtime.GOOS + "/" + runtime.GOARCH

func versionLine() string {
	build := runtime.Version() + ", " + platform
	if version.Commit != "" {
		build = "commit " + version.Commit + ", " + build
	}
	return fmt.Sprintf("sluice %s (%s)\n", version.Version, build)
}

func versionCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this binary",
		Example: "  sluice version\n  sluice version --json",
		Args:    exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			if asJSON {
				return printJSON(e.out, map[string]string{
					"version": version.Version, "commit": version.Commit, "go": runtime.Version(), "platform": platform,
				})
			}
			_, err := fmt.Fprint(e.out, versionLine())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
