// Package statemachine is the protocol of the Step Functions state machine
// `delivery`, which drives one cursor: it is on AWS what a goroutine with a
// timer is on a single node. An execution is one loop,
//
//	Wait (wait_seconds) → Advance (one Driver.Step) → next?
//
// where next is "wait" (once more round, or after many rounds in a fresh
// execution with the name in renewal, because a history has a limit) or "done".
// It carries a State from one round to the next and nothing else.
//
// # Why one execution remains, and none is missing
//
// Nobody keeps a list of executions. Any number of them may be started for a
// cursor: by the Scheduler whenever the cursor becomes due, by the sweep when
// it is overdue, by Step Functions itself when an answer was lost. Two at once
// do no harm, as Advance takes the cursor's lease; but they must not stay two,
// and the last one must not go. So each carries the version of the cursor it
// knows, and before it advances it looks:
//
//   - The cursor is gone, or is due never: the execution ends. Whoever makes
//     the cursor due again starts another.
//   - The version is the one it knows: nobody else has moved the cursor, so it
//     is its own. It advances, and learns the new version. If somebody else
//     moved the cursor on meanwhile, that is not its own, as below.
//   - The version is another: somebody else has moved it on, and may be gone
//     since. The execution becomes a shadow of that version. It looks again
//     when the cursor has been due for shadowMargin. If by then it was moved
//     once more, the other one is alive, and the shadow ends. If not, the
//     other one is gone, and the shadow becomes an owner.
//
// An owner keeps a live cursor moving whenever it is due, so every other
// execution is a shadow after one look, and ends at the next. The one that has
// moved the cursor last never ends while the cursor is due: as an owner it goes
// on; and should its answer be lost, then it is run again with the State of
// before, finds its own move, becomes the shadow of it and, since nobody moves
// the cursor any more, its owner. For the same reason a shadow becomes an owner
// in a step of its own, without advancing: if it advanced at once and that
// answer were lost, it would run again as a shadow and take its own move for
// another's.
//
// What remains is for the sweep: an execution that was never started, or failed
// for good; and a step that was given up for lost but went on, which may move
// the cursor while its own second run is a shadow. Such a cursor is overdue
// after its lease, and the sweep starts an execution under a name with the
// sweep's time in it, as a name is good for one execution only. It also covers
// cursors that are due in more than longestWait: nobody becomes the shadow of
// one, so that none waits for months beside the owner.
package statemachine

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/internal/handoff"
)

// State is what an execution carries from step to step: its JSON is the input
// and the output of every state of the machine.
type State struct {
	Tenant      string `json:"tenant"`
	Integration string `json:"integration"`
	Lane        int    `json:"lane"`
	// Version is that of the cursor when it was last looked at, as text, since
	// a number in JSON has 53 bits; "" for any.
	Version string `json:"version"`
	// Shadow: the version was made by somebody else, who may be alive.
	Shadow bool `json:"shadow"`
	// WaitSeconds is how long to wait before the next step.
	WaitSeconds int `json:"wait_seconds"`
	// Count is how many steps the execution has made.
	Count int `json:"count"`
	// Next is Wait or Done; "" in the input of an execution.
	Next string `json:"next"`
	// Renewal is the name of the execution that takes over after this step if
	// there were too many.
	Renewal string `json:"renewal"`
}

// The values of State.Next.
const (
	Wait = "wait"
	Done = "done"
)

// Key is the cursor that the execution drives.
func (s State) Key() handoff.Key {
	return handoff.Key{Tenant: s.Tenant, Integration: s.Integration, Lane: s.Lane}
}

const (
	// shadowMargin is what the owner of a cursor has, from when it is due until
	// it has taken its lease: a cold start and a retry. It is also what a
	// take-over costs.
	shadowMargin = 5 * time.Second
	// longestWait is the longest wait of a step. After it the execution looks
	// again, so that none is left waiting for what has long been changed, and
	// so that with the limit of 250 steps it stays far below the year that
	// an execution may take.
	longestWait = time.Hour
)

// seconds is a wait of a state machine: whole seconds, rounded up, as a cursor
// is not due before its time.
func seconds(d time.Duration) int {
	return int((min(max(d, 0), longestWait) + time.Second - 1) / time.Second)
}

func versionOf(c *handoff.Cursor) string { return strconv.FormatUint(c.Version, 36) }

// executionName is the name of an execution for a cursor in a version. It is
// the same wherever it is computed. Names have at most 80 characters of which
// this takes 46, and each part of more one more than its length.
func executionName(k handoff.Key, version string, more ...string) string {
	// An id has no slash, so no two keys have the same text.
	sum := sha256.Sum256([]byte(k.Integration + "/" + k.Partition().Key()))
	name := hex.EncodeToString(sum[:16]) + "-" + version
	for _, part := range more {
		name += "-" + part
	}
	return name
}
