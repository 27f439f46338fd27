package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluicehq/sluice/internal/usertext"
)

const secretFlagsHelp = `Flags for secrets accept @FILE or env:NAME, which keeps the secret out of the
shell history and the process list.`

const maxBody = 1 << 20

// bodyField is a flag that sets one field of a request body.
type bodyField struct {
	flag, doc string
	path      string   // of the field: "callback_parameters.api_key"
	values    []string // that it can have; nil for any
	secret    bool
	list      bool
	optional  bool // an update can remove it
}

func targetFields() []bodyField {
	return []bodyField{
		{flag: "callback-url", path: "callback_parameters.callback_url", doc: "URL to call with each event"},
		{flag: "api-key", path: "callback_parameters.api_key", doc: "bearer token for these calls", secret: true, optional: true},
		{flag: "signing-secret", path: "callback_parameters.signing_secret", doc: "secret to sign these calls with: whsec_ followed by base64", secret: true, optional: true},
		{flag: "s3-bucket", path: "s3_parameters.bucket", doc: "bucket to write files to"},
		{flag: "s3-region", path: "s3_parameters.aws_region", doc: "region of the bucket"},
		{flag: "s3-access-key-id", path: "s3_parameters.aws_access_key_id", doc: "access key id for the bucket"},
		{flag: "s3-secret-access-key", path: "s3_parameters.aws_secret_access_key", doc: "secret access key for the bucket", secret: true},
		{flag: "s3-key-prefix", path: "s3_parameters.key_prefix", doc: "prefix of the files' keys", optional: true},
		{flag: "s3-endpoint", path: "s3_parameters.endpoint", doc: "URL of an S3-compatible store (default: Amazon S3)", optional: true},
		{flag: "event-filter", path: "filter_conditions.event_filter", doc: "event names to deliver", list: true, optional: true},
		{flag: "entity-filter", path: "filter_conditions.entity_filter", doc: "entities to deliver, in addition to --event-filter", list: true, optional: true},
	}
}

// bodyFlags builds a request body from flags or reads it from a file.
type bodyFlags struct {
	env       *env
	all       []bodyField
	file      string
	removable bool // by --remove
	removed   []string
}

// removeFlag is the flag of an update that removes fields.
const removeFlag = "remove"

func (b *bodyFlags) add(cmd *cobra.Command) {
	cmd.Flags().SortFlags = false
	for _, f := range b.all {
		doc := f.doc
		if f.secret {
			doc += "; accepts @FILE and env:NAME"
		}
		if f.list {
			doc += ", comma-separated"
		}
		cmd.Flags().String(f.flag, "", doc)
		if f.values != nil {
			completeFlag(cmd, f.flag, f.values...)
		}
	}
	if b.removable {
		cmd.Flags().StringSliceVar(&b.removed, removeFlag, nil, "fields to remove, by the names of their flags: "+strings.Join(b.optional(), ", "))
		completeFlag(cmd, removeFlag, b.optional()...)
	}
	cmd.Flags().StringVarP(&b.file, "file", "f", "", "file with the JSON body, instead of flags; - is standard input")
}

// optional returns the flags of the fields that can be removed.
func (b *bodyFlags) optional() (names []string) {
	for _, f := range b.all {
		if f.optional {
			names = append(names, f.flag)
		}
	}
	return names
}

// remove sets the fields that --remove names to null.
func (b *bodyFlags) remove(cmd *cobra.Command, body map[string]any) error {
	for _, name := range b.removed {
		i := slices.IndexFunc(b.all, func(f bodyField) bool { return f.flag == name && f.optional })
		switch {
		case i < 0:
			return usageErrorf(cmd, "--%s: %q is not a field that can be removed; choose from %s", removeFlag, name, strings.Join(b.optional(), ", "))
		case cmd.Flags().Changed(name):
			return usageErrorf(cmd, "--%s %s and --%s are both given; omit one", removeFlag, name, name)
		}
		set(body, b.all[i].path, nil)
	}
	return nil
}

// body returns the request body from the given flags or the file.
func (b *bodyFlags) body(cmd *cobra.Command) (any, error) {
	body := map[string]any{}
	var failed error
	given := len(b.removed) > 0
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		for _, f := range b.all {
			if f.flag != flag.Name {
				continue
			}
			given = true
			value, err := b.value(f, flag.Value.String())
			if err != nil && failed == nil {
				failed = usageErrorf(cmd, "--%s: %s", f.flag, err)
			}
			set(body, f.path, value)
		}
	})
	switch {
	case given && b.file != "":
		return nil, usageErrorf(cmd, "--file contains the whole body; omit the other flags")
	case b.file != "":
		return b.read()
	case !given:
		return nil, usageErrorf(cmd, "no field is given; use the flags or --file")
	}
	if failed == nil {
		failed = b.remove(cmd, body)
	}
	return body, failed
}

// value returns the value of a field from its flag. It checks text as the API does,
// because JSON encoding would replace invalid UTF-8.
func (b *bodyFlags) value(f bodyField, text string) (any, error) {
	if f.secret {
		var err error
		if text, err = b.env.secret(text); err != nil {
			return nil, err
		}
	}
	if err := usertext.Check(text); err != nil {
		return nil, fmt.Errorf("the value %w", err)
	}
	if !f.list {
		return text, nil
	}
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		names = append(names, strings.Trim(name, " "))
	}
	return names, nil
}

// set stores a value at a path of one or two names.
func set(body map[string]any, path string, value any) {
	outer, inner, nested := strings.Cut(path, ".")
	if !nested {
		body[path] = value
		return
	}
	object, ok := body[outer].(map[string]any)
	if !ok {
		object = map[string]any{}
		body[outer] = object
	}
	object[inner] = value
}

func (b *bodyFlags) read() (any, error) {
	name, in := "standard input", b.env.in
	if b.file != "-" {
		f, err := openInput(b.file)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		name, in = b.file, f
	}
	data, err := readAtMost(in, name, maxBody)
	if err != nil {
		return nil, err
	}
	if err := usertext.CheckEncoding(data); err != nil {
		return nil, &invalidError{name + " " + err.Error()}
	}
	if err := json.Unmarshal(data, new(any)); err != nil {
		return nil, &invalidError{name + " is not valid JSON: " + err.Error()}
	}
	return json.RawMessage(data), nil
}
