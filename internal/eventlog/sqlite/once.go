package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/internal/event"
	"github.com/sluicehq/sluice/internal/idempotency"
	"github.com/sluicehq/sluice/internal/problem"
	"github.com/sluicehq/sluice/internal/sqlitedb"
)

// onceBytes approximates what the row of a key takes.
const onceBytes = 512

// keyName identifies a key: no other process writes to the database, so the calls in
// progress are known in memory.
type keyName struct{ tenant, key string }

// once is a call that is done once.
type once struct {
	key     idempotency.Key
	seed    idempotency.Seed
	written int // events of the call by earlier calls

	refused bool // by the writer: what an earlier part should have left is not there
}

var errNotInTurn = errors.New("an earlier part of the call is not written")

// PublishOnce is Publish for a call that is done once. Each part notes in its transaction
// how many events of the call are written, so that a repeat goes on from there, also in
// another process.
func (l *Log) PublishOnce(ctx context.Context, key idempotency.Key, lanes event.Lanes, drafts []event.Draft) error {
	if err := l.checkPublish(ctx); err != nil {
		return err
	}
	name := keyName{key.Tenant, key.Name}
	if !l.begin(name) {
		return idempotency.InProgress(0)
	}
	call, err := l.once(ctx, key)
	if err != nil {
		l.end(name)
		return err
	}
	call.seed.Fill(drafts)
	parts, err := l.submit(publication{ctx: ctx, lanes: lanes, once: call, from: call.written}, key.Tenant, drafts[min(call.written, len(drafts)):])
	if len(parts) == 0 {
		l.end(name)
		return err
	}
	// They are written in their order, whether or not the caller waits.
	last := parts[len(parts)-1]
	if err == nil {
		err = l.wait(ctx, parts...)
	}
	select {
	case <-last.done:
		l.end(name)
		if err == nil && call.refused {
			err = problem.Wrap(errNotInTurn, problem.Unavailable, "The call was not written to its end. Send it again, with the same key.")
		}
	default:
		go func() { <-last.done; l.end(name) }()
	}
	return err
}

func (l *Log) begin(name keyName) bool {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	if l.inProgress[name] {
		return false
	}
	l.inProgress[name] = true
	return true
}

func (l *Log) end(name keyName) {
	l.publishing.Lock()
	defer l.publishing.Unlock()
	delete(l.inProgress, name)
}

// once returns what is known of the call: what earlier ones left, or a new seed.
func (l *Log) once(ctx context.Context, key idempotency.Key) (*once, error) {
	call := &once{key: key}
	var body, seed []byte
	found, err := l.db.QueryRow(ctx, "SELECT body, seed, written FROM idempotency_keys WHERE tenant = ? AND key = ? AND expires_ms > ?",
		[]any{key.Tenant, key.Name, l.now().UnixMilli()}, &body, &seed, &call.written)
	switch {
	case err != nil:
		return nil, err
	case !found:
		call.seed, err = idempotency.NewSeed()
		return call, err
	case string(body) != string(key.Body[:]):
		return nil, idempotency.Mismatch()
	}
	copy(call.seed[:], seed)
	return call, nil
}

// note notes in the transaction that the events of a call up to the given one are written
// after those up to from. It reports false, and changes nothing, if those are not there: then
// these must not be written either.
func (c *once) note(tx *sqlitedb.Tx, from, upTo int, now time.Time) (bool, error) {
	var rows int64
	var err error
	if from == 0 {
		rows, err = tx.Exec(`INSERT INTO idempotency_keys (tenant, key, body, seed, written, expires_ms) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (tenant, key) DO UPDATE SET body = excluded.body, seed = excluded.seed, written = excluded.written, expires_ms = excluded.expires_ms
			WHERE expires_ms <= ?`,
			c.key.Tenant, c.key.Name, c.key.Body[:], c.seed[:], upTo, now.Add(idempotency.Life).UnixMilli(), now.UnixMilli())
	} else {
		rows, err = tx.Exec("UPDATE idempotency_keys SET written = ? WHERE tenant = ? AND key = ? AND seed = ? AND written = ?",
			upTo, c.key.Tenant, c.key.Name, c.seed[:], from)
	}
	c.refused = c.refused || rows == 0
	return rows > 0, err
}

// trimKeys deletes the keys that have expired.
func (l *Log) trimKeys(ctx context.Context) error {
	return l.deleteAll(ctx, "DELETE FROM idempotency_keys WHERE (tenant, key) IN (SELECT tenant, key FROM idempotency_keys WHERE expires_ms <= ? LIMIT ?)",
		l.now().UnixMilli())
}

// purgeKeys deletes the keys of a tenant, as its events are gone.
func (l *Log) purgeKeys(ctx context.Context, tenant string) error {
	return l.deleteAll(ctx, "DELETE FROM idempotency_keys WHERE (tenant, key) IN (SELECT tenant, key FROM idempotency_keys WHERE tenant = ? LIMIT ?)", tenant)
}

// deleteAll repeats a statement with an argument and a limit until it deletes fewer rows.
func (l *Log) deleteAll(ctx context.Context, statement string, arg any) error {
	for {
		var n int64
		err := l.db.Write(ctx, sqlitedb.Turn{Class: sqlitedb.Maintenance}, func(tx *sqlitedb.Tx) (err error) {
			n, err = tx.Exec(statement, arg, trimRows)
			return err
		})
		if err != nil || n < trimRows {
			return err
		}
	}
}
