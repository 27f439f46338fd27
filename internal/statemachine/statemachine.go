// Package statemachine is the protocol by which cursors are advanced on AWS: a replay's by an
// execution of the Step Functions state machine `delivery`, any other by messages of an SQS queue. It is
// what a goroutine with a timer is on a single node. An execution is a loop:
//
//	Wait (wait_seconds) → Advance (one Task.Step) → next?
//
// where next is "wait" (repeat, or after many rounds start a new execution with
// the name in renewal, because an execution's history has a limit) or "done". It
// passes a State from one round to the next and nothing else. A message is the same with
// SQS in place of Step Functions: it has a State, comes after the wait, and Task.Message runs the
// step and sends a message with the next State, before the queue deletes the first. What follows
// says execution for both.
//
// # Why one execution remains, and none is missing
//
// There is no list of executions. Any number of them may be started for a cursor:
// by the Scheduler whenever the cursor becomes due, by the sweep when it is
// overdue, by SQS when a step was made and its message comes again, by Step Functions
// itself when a response was lost. Two at once do no
// harm, as Advance takes the cursor's lease; but the second must end, and the last
// one must not. So each carries the version of the cursor it knows, and compares
// it before it advances:
//
//   - The cursor does not exist or has no due time: the execution ends. What makes
//     the cursor due again starts another.
//   - The version is the known one: no other execution has moved the cursor, so
//     this one is its owner. It advances, and learns the new version. If another
//     execution moved the cursor meanwhile, the new version is not its own, as
//     below.
//   - The version is another one: another execution has moved the cursor, and may
//     have ended since. This one becomes a shadow of that version. It compares
//     again when the cursor has been due for shadowMargin. If the cursor was moved
//     once more by then, the other execution is alive, and the shadow ends. If
//     not, the other one is gone, and the shadow becomes the owner.
//
// An owner moves a live cursor whenever it is due, so every other execution is a
// shadow after one comparison, and ends at the next. The execution that has moved
// the cursor last never ends while the cursor has a due time: as an owner it goes
// on; and if its response is lost, Step Functions runs the task again with the
// previous State, which finds its own move, becomes the shadow of it and, since no
// other execution moves the cursor, its owner. For the same reason a shadow
// becomes an owner in a separate step, without advancing: if it advanced at once
// and that response were lost, it would run again as a shadow and take its own
// move for that of another execution.
//
// The rest is left to the sweep: an execution that was never started or has
// failed; a message that is lost, or hidden for minutes because its step was killed; and a task that timed out but still runs, which may move the cursor
// while its retry is a shadow. Such a cursor is overdue after its lease, and the
// sweep starts an execution whose name includes the time of the sweep, as a name
// is good for one execution only. The sweep also covers cursors that are due in
// more than longestWait: no execution becomes the shadow of one, so that none
// waits for months alongside the owner.
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
	// Version is that of the cursor when it was last read, as text, since a number
	// in JSON has 53 bits; "" for any.
	Version string `json:"version"`
	// Shadow: another execution made the version, and may still run.
	Shadow bool `json:"shadow"`
	// WaitSeconds is how long to wait before the next step.
	WaitSeconds int `json:"wait_seconds"`
	// Count is how many steps the execution has made.
	Count int `json:"count"`
	// Next is Wait or Done; "" in the input of an execution.
	Next string `json:"next"`
	// Renewal is the name of the execution that replaces this one after too many
	// steps.
	Renewal string `json:"renewal"`
}

// The values of State.Next.
const (
	Wait = "wait"
	Done = "done"
)

// Key returns the key of the cursor that the execution advances.
func (s State) Key() handoff.Key {
	return handoff.Key{Tenant: s.Tenant, Integration: s.Integration, Lane: s.Lane}
}

const (
	// shadowMargin is the time that the owner of a cursor has to take its lease
	// once it is due: a cold start and a retry. A take-over is that much late.
	shadowMargin = 5 * time.Second
	// longestWait bounds the wait of a step. The execution then reads the cursor
	// again, so that none waits for a due time that was changed long ago; and with
	// the limit of 250 steps it stays far below the year that an execution may
	// last.
	longestWait = time.Hour
)

// seconds is the wait as the state machine takes it: whole seconds, rounded up, as
// a cursor is not due before its time.
func seconds(d time.Duration) int {
	return int((min(max(d, 0), longestWait) + time.Second - 1) / time.Second)
}

func versionOf(c *handoff.Cursor) string { return strconv.FormatUint(c.Version, 36) }

// executionName returns the name of an execution for a version of a cursor. It is
// deterministic. Of the 80 characters that a name may have it takes 46, and each
// part of more takes one more than its length.
func executionName(k handoff.Key, version string, more ...string) string {
	// An id has no slash, so no two keys have the same text.
	sum := sha256.Sum256([]byte(k.Integration + "/" + k.Partition().Key()))
	name := hex.EncodeToString(sum[:16]) + "-" + version
	for _, part := range more {
		name += "-" + part
	}
	return name
}
