package main

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagError is the error of a command line whose flags cannot be parsed. It words a wrong
// value as the settings do, whatever kind of flag it is.
func flagError(cmd *cobra.Command, err error) error {
	// The flags of a mistyped command are unknown too; report the command.
	if args := cmd.Flags().Args(); cmd.HasSubCommands() && len(args) > 0 {
		return noSuchCommand(cmd, args)
	}
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usageErrorf(cmd, "--%s: %s", bad.GetFlag().Name, wrongValue(bad))
	}
	return usageErrorf(cmd, "%s", err)
}

func wrongValue(bad *pflag.InvalidValueError) string {
	value := bad.GetValue()
	number, isNumber := errors.AsType[*strconv.NumError](bad.Unwrap())
	switch kind := bad.GetFlag().Value.Type(); {
	case kind == "duration":
		return fmt.Sprintf("%q is not a duration; write it like 300s, 5m or 72h", value)
	case kind == "bool":
		return fmt.Sprintf("%q is neither true nor false", value)
	case isNumber: // of a list, the element
		return fmt.Sprintf("%q is not an integer", number.Num)
	}
	return bad.Unwrap().Error()
}

// refuseEmpty returns an error for a flag whose value is empty, as that of a variable that is not
// set: without the flag the command would do something else than was asked, with more events
// or for more tenants.
func refuseEmpty(cmd *cobra.Command, _ []string) (err error) {
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if err != nil || !isEmpty(flag.Value) {
			return
		}
		way := "give one, or omit the flag"
		if cmd.Flags().Lookup(removeFlag) != nil && flag.Name != removeFlag {
			way += "; to remove the field, use --" + removeFlag + " " + flag.Name
		}
		err = usageErrorf(cmd, "--%s: the value is empty; %s", flag.Name, way)
	})
	return err
}

// isEmpty reports whether a flag of text has none. The settings of serve are not meant: what
// they say of "" is theirs.
func isEmpty(v pflag.Value) bool {
	switch v.Type() {
	case "string":
		return v.String() == ""
	case "stringSlice":
		return v.String() == "[]"
	}
	return false
}
