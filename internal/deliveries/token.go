package deliveries

import (
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/sluicehq/sluice/internal/problem"
)

// mark is where a page ended.
type mark struct {
	given    bool
	recorded bool      // it ended among the records, else among what is being retried
	at       At        // of its last delivery
	record   time.Time // the At of the record of that one; zero before the first
	caughtUp bool      // that one is of the integration's own records, not of live delivery
	done     bool      // all of that record was looked at
}

// source orders the records of one time.
func (m *mark) source() source { return source{m.at.Lane, m.caughtUp} }

// tokenForm is the first byte of a token.
const tokenForm = 1

const (
	flagRecorded = 1 << iota
	flagCaughtUp
	flagDone
)

func (m mark) encode() string {
	var flags byte
	for flag, set := range map[byte]bool{flagRecorded: m.recorded, flagCaughtUp: m.caughtUp, flagDone: m.done} {
		if set {
			flags |= flag
		}
	}
	token := binary.AppendUvarint([]byte{tokenForm, flags}, uint64(m.at.Lane))
	token = binary.AppendUvarint(token, m.at.Segment)
	token = binary.AppendUvarint(token, uint64(m.at.Index))
	if m.recorded && !m.record.IsZero() {
		token = binary.AppendVarint(token, m.record.UnixNano())
	}
	return base64.RawURLEncoding.EncodeToString(token)
}

// errAfter is returned for a token that is not one of ours. It tells nobody anything, so it
// needs no signature: whose deliveries are read, the call says.
var errAfter = problem.New(problem.InvalidRequest, "after is not the next of an earlier answer; send that one unchanged, or omit after to begin with the first page.")

func decode(token string) (mark, error) {
	if token == "" {
		return mark{}, nil
	}
	data, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(data) < 2 || data[0] != tokenForm {
		return mark{}, errAfter
	}
	flags := data[1]
	m := mark{given: true, recorded: flags&flagRecorded != 0, caughtUp: flags&flagCaughtUp != 0, done: flags&flagDone != 0}
	u := &unpacker{data: data[2:]}
	m.at = At{Lane: u.count(), Place: Place{Segment: u.uint(), Index: u.count()}}
	if m.recorded && len(u.data) > 0 {
		m.record = time.Unix(0, u.int())
	}
	if u.bad || len(u.data) > 0 {
		return mark{}, errAfter
	}
	return m, nil
}
