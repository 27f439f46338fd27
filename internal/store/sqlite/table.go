package sqlite

import (
	"math/rand/v2"
	"strings"
)

// table has the statements for one kind of versioned record. Their arguments are,
// as far as a statement has them: the further columns, the data, the next version,
// the key, the required version. An insert has the key first.
type table struct {
	keys                          int // how many columns the key has
	insert, update, delete, touch string
}

// newTable returns the statements for a table with the given key columns, further
// columns, data and version.
func newTable(name string, keys []string, further ...string) table {
	all := append(append(append([]string{}, keys...), further...), "data", "version")
	set := strings.Join(append(append([]string{}, further...), "data", "version"), " = ?, ") + " = ?"
	where := " WHERE " + strings.Join(keys, " = ? AND ") + " = ?"
	return table{
		keys: len(keys),
		insert: "INSERT INTO " + name + " (" + strings.Join(all, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(all)-1) +
			") ON CONFLICT DO NOTHING",
		update: "UPDATE " + name + " SET " + set + where + " AND version = ?",
		delete: "DELETE FROM " + name + where + " AND version = ?",
		touch:  "UPDATE " + name + " SET version = version" + where,
	}
}

var (
	tenants        = newTable("tenants", []string{"tenant"})
	integrations   = newTable("integrations", []string{"tenant", "id"}, "completed_at", "troubled_at")
	records        = newTable("records", []string{"tenant", "lane"})
	cursors        = newTable("cursors", []string{"tenant", "integration", "lane"}, "due_at")
	cursorsKeptDue = newTable("cursors", []string{"tenant", "integration", "lane"})
	rejectedCounts = newTable("rejected_counts", []string{"tenant", "integration", "incarnation"})
	alerts         = newTable("alerts", []string{"tenant", "integration", "incarnation", "number"}, "due_at")
	rejected       = newTable("rejected", []string{"tenant", "integration", "incarnation", "event_id"}, "event")
)

// put writes a record on the condition of its version; 0: it must not exist. The
// columns are those of the key, then the further ones. The first version is
// random, so that no version of an earlier record with the same key is reused.
func (t table) put(version *uint64, record any, columns ...any) (change, error) {
	data, err := encode(record)
	if err != nil {
		return change{}, err
	}
	c := change{size: len(data), version: version}
	if *version == 0 {
		c.next = rand.Uint64N(1<<62) + 1
		c.steps = []step{{t.insert, append(columns, data, int64(c.next)), 1}}
		return c, nil
	}
	c.next = *version + 1
	key, further := columns[:t.keys], columns[t.keys:]
	args := append(append([]any{}, further...), data, int64(c.next))
	args = append(append(args, key...), int64(*version))
	c.steps = []step{{t.update, args, 1}}
	return c, nil
}

// remove deletes a record on the condition of its version. With version 0 the
// record must not exist, and there is nothing to delete.
func (t table) remove(version uint64, key ...any) change {
	if version == 0 {
		return change{steps: []step{{t.touch, key, 0}}}
	}
	return change{steps: []step{{t.delete, append(key, int64(version)), 1}}}
}
