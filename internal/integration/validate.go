package integration

import (
	"strings"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/secret"
	"github.com/sluicehq/sluice/internal/usertext"
)

// Validate checks the Spec of a registration against every rule of the API,
// including those of package usertext for text, and normalises it for storage:
// times in UTC and whole milliseconds, no slashes at the ends of the key prefix.
// The error is a problem.InvalidRequest about the first field that breaks a
// rule. Validate does not resolve URLs: it makes no network calls.
func (s *Spec) Validate(now time.Time) error {
	if err := s.validateText(); err != nil {
		return err
	}
	s.normalise()
	if !ValidID(s.ID) {
		return invalid(nameID, s.ID, "it must have 1 to 50 characters from a-z, 0-9 and hyphen")
	}
	if err := s.validateTimes(now); err != nil {
		return err
	}
	return s.validateParts(Kept{})
}

// ValidID reports whether s can be the id of an integration.
func ValidID(s string) bool {
	return len(s) <= MaxIDLength && lowerAndHyphens(s)
}

// validateText checks the text of every field but secrets and filter names,
// which have it among their own rules. It runs before normalise, so that the
// positions in its messages are those of the text as it was sent.
func (s *Spec) validateText() error {
	type field struct{ name, value string }
	fields := []field{{nameID, s.ID}, {nameType, string(s.Type)}}
	if w := s.Webhook; w != nil {
		fields = append(fields, field{nameURL, w.URL})
	}
	if p := s.S3; p != nil {
		fields = append(fields, field{nameAccessKeyID, p.AccessKeyID}, field{nameRegion, p.Region},
			field{nameBucket, p.Bucket}, field{nameKeyPrefix, p.KeyPrefix}, field{nameEndpoint, p.Endpoint})
	}
	for _, f := range fields {
		if err := usertext.Check(f.value); err != nil {
			return refuse("%s %v.", f.name, err)
		}
	}
	return nil
}

func (s *Spec) normalise() {
	s.StartsAt, s.EndsAt = wholeMilliseconds(s.StartsAt), wholeMilliseconds(s.EndsAt)
	if s.S3 != nil {
		s.S3.KeyPrefix = strings.Trim(s.S3.KeyPrefix, "/")
	}
}

// wholeMilliseconds returns a time as every response shows it, so that sending
// it back changes nothing.
func wholeMilliseconds(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}

// Times outside these years are mistakes, and arithmetic on them may overflow.
var (
	earliest = time.Unix(0, 0).UTC()
	latest   = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

func (s *Spec) validateTimes(now time.Time) error {
	startsAt, endsAt := event.FormatTime(s.StartsAt), event.FormatTime(s.EndsAt)
	switch {
	case s.Type == "":
		return refuse("%s is missing; it must be permanent or temporary.", nameType)
	case s.Type != Permanent && s.Type != Temporary:
		return invalid(nameType, string(s.Type), "it must be permanent or temporary")
	case !s.StartsAt.IsZero() && s.StartsAt.After(now):
		return invalid(nameStartsAt, startsAt, "it must not be in the future; it is now "+event.FormatTime(now))
	case !s.StartsAt.IsZero() && s.StartsAt.Before(earliest):
		return invalid(nameStartsAt, startsAt, "it must not be before 1970")
	case s.Type == Permanent && !s.EndsAt.IsZero():
		return invalid(nameEndsAt, endsAt, "a permanent integration has no end; omit it, or register a temporary one")
	case s.Type == Permanent:
		return nil
	case s.StartsAt.IsZero():
		return refuse("%s is missing; a temporary integration must give the time from which to replay events.", nameStartsAt)
	case s.EndsAt.IsZero():
		return refuse("%s is missing; a temporary integration must give the time up to which to replay events.", nameEndsAt)
	case !s.EndsAt.After(s.StartsAt):
		return invalid(nameEndsAt, endsAt, "it must be after starts_at, "+startsAt)
	case !s.EndsAt.Before(latest):
		return invalid(nameEndsAt, endsAt, "it must be before the year 2200; to receive events without an end, register a permanent integration")
	}
	return nil
}

// validateParts checks the fields that an update can change.
func (s *Spec) validateParts(kept Kept) error {
	switch {
	case s.Webhook != nil && s.S3 != nil:
		return refuse("%s and %s are both given; give only one of them.", nameWebhook, nameS3)
	case s.Webhook == nil && s.S3 == nil:
		return refuse("%s and %s are both missing; give one of them.", nameWebhook, nameS3)
	}
	if s.Webhook != nil {
		if err := s.Webhook.validate(kept); err != nil {
			return err
		}
	}
	if s.S3 != nil {
		if err := s.S3.validate(kept); err != nil {
			return err
		}
	}
	return s.Filter.validate()
}

func (f *FilterSpec) validate() error {
	err := validateNames(nameEventFilter, f.Names, event.ValidName,
		"it must be an event name such as order.created: two or more words joined by dots, each of a-z, 0-9 and _ and starting with a letter, at most 128 characters in all")
	if err != nil {
		return err
	}
	return validateNames(nameEntityFilter, f.Entities, event.ValidEntity,
		"it must be an entity name such as order: one word of a-z, 0-9 and _, starting with a letter, at most 128 characters")
}

// validateNames allows duplicates: they change nothing, and the response shows
// the list as it was sent.
func validateNames(field string, names []string, valid func(string) bool, rule string) error {
	switch {
	case names != nil && len(names) == 0:
		return refuse("%s is empty; give 1 to %d names, or omit it.", field, MaxFilterNames)
	case len(names) > MaxFilterNames:
		return refuse("%s has %d names; it can have at most %d.", field, len(names), MaxFilterNames)
	}
	for i, name := range names {
		if err := usertext.Check(name); err != nil {
			return refuse("%s[%d] %v.", field, i, err)
		}
		if !valid(name) {
			return refuse("%s[%d] is %q; %s.", field, i, clip(name), rule)
		}
	}
	return nil
}

// invalid names a field, its value and the rule it breaks.
func invalid(field, value, rule string) error {
	if value == "" {
		return refuse("%s is missing or empty; %s.", field, rule)
	}
	return refuse("%s is %q; %s.", field, clip(value), rule)
}

func refuse(format string, args ...any) error {
	return problem.New(problem.InvalidRequest, format, args...)
}

// clip keeps a message readable, whatever was sent.
func clip(s string) string { return usertext.Clip(s, 100) }

func lowerAndHyphens(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != ""
}

// stars is the prefix of every mask. No real secret starts with it.
var stars = secret.String{}.Mask()

// validateSecret never quotes the secret.
func validateSecret(field string, s secret.String, maxLength int, check func(string) error) error {
	clear := s.Reveal()
	switch {
	case strings.HasPrefix(clear, stars):
		return refuse("%s is a mask, but not that of the stored secret; send the secret itself.", field)
	case len(clear) > maxLength:
		return refuse("%s has %d bytes; it can have at most %d.", field, len(clear), maxLength)
	}
	if err := check(clear); err != nil {
		return refuse("%s %v.", field, err)
	}
	return nil
}
