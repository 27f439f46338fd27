-- Times are integers: due_at, completed_at and created_at nanoseconds, those of
-- the log milliseconds since 1970. NULL is no time.

CREATE TABLE tenants (
	tenant  TEXT PRIMARY KEY,
	version INTEGER NOT NULL,
	data    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE integrations (
	tenant       TEXT NOT NULL,
	id           TEXT NOT NULL,
	version      INTEGER NOT NULL,
	completed_at INTEGER,
	data         BLOB NOT NULL,
	PRIMARY KEY (tenant, id)
) STRICT;
CREATE INDEX integrations_completed ON integrations (completed_at) WHERE completed_at IS NOT NULL;

CREATE TABLE records (
	tenant  TEXT NOT NULL,
	lane    INTEGER NOT NULL,
	version INTEGER NOT NULL,
	data    BLOB NOT NULL,
	PRIMARY KEY (tenant, lane)
) STRICT;

CREATE TABLE cursors (
	tenant      TEXT NOT NULL,
	integration TEXT NOT NULL,
	lane        INTEGER NOT NULL,
	version     INTEGER NOT NULL,
	due_at      INTEGER,
	data        BLOB NOT NULL,
	PRIMARY KEY (tenant, integration, lane)
) STRICT;
CREATE INDEX cursors_due ON cursors (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE entries (
	id          INTEGER PRIMARY KEY, -- in the order of their commits, which need not be that of created_at
	tenant      TEXT NOT NULL,
	integration TEXT NOT NULL,
	incarnation INTEGER NOT NULL,
	created_at  INTEGER NOT NULL,
	data        BLOB NOT NULL
) STRICT;
CREATE INDEX entries_history ON entries (tenant, integration, incarnation, created_at, id);
CREATE INDEX entries_created ON entries (created_at);

CREATE TABLE rejected_indexes (
	tenant      TEXT NOT NULL,
	integration TEXT NOT NULL,
	incarnation INTEGER NOT NULL,
	version     INTEGER NOT NULL,
	data        BLOB NOT NULL,
	PRIMARY KEY (tenant, integration, incarnation)
) STRICT;

CREATE TABLE rejected (
	tenant      TEXT NOT NULL,
	integration TEXT NOT NULL,
	incarnation INTEGER NOT NULL,
	event_id    TEXT NOT NULL,
	version     INTEGER NOT NULL,
	data        BLOB NOT NULL,
	event       BLOB NOT NULL, -- a segment of one
	PRIMARY KEY (tenant, integration, incarnation, event_id)
) STRICT;

-- Histories that were deleted and whose entries and rejected events are still to
-- be: nobody reads them any more.
CREATE TABLE deleted_histories (
	tenant      TEXT NOT NULL,
	integration TEXT NOT NULL,
	incarnation INTEGER NOT NULL,
	PRIMARY KEY (tenant, integration, incarnation)
) STRICT, WITHOUT ROWID;

-- A partition is one lane of a tenant. It is ordered while each of its segments
-- starts at or after the end of the one before.
CREATE TABLE partitions (
	id      INTEGER PRIMARY KEY,
	tenant  TEXT NOT NULL,
	lane    INTEGER NOT NULL,
	ordered INTEGER NOT NULL DEFAULT 1,
	UNIQUE (tenant, lane)
) STRICT;

-- The id of a segment is (partition << 40) + number, so that the segments of a
-- partition lie side by side without an index of their own. The last segment of
-- a partition is never deleted, as it holds the number to go on from: once it is
-- past the retention its data is emptied.
CREATE TABLE segments (
	id       INTEGER PRIMARY KEY,
	first_ms INTEGER NOT NULL, -- of its earliest event
	last_ms  INTEGER NOT NULL, -- of its latest
	events   INTEGER NOT NULL, -- how many it has
	before   INTEGER NOT NULL, -- how many were appended to the partition before it
	data     BLOB NOT NULL
) STRICT;

CREATE TABLE sources (
	partition   INTEGER NOT NULL,
	source      TEXT NOT NULL,
	number      INTEGER NOT NULL,
	appended_ms INTEGER NOT NULL,
	PRIMARY KEY (partition, source)
) STRICT, WITHOUT ROWID;
CREATE INDEX sources_appended ON sources (appended_ms);

-- No event is stamped before the floor, also after a restart.
CREATE TABLE stamps (
	id       INTEGER PRIMARY KEY CHECK (id = 1),
	floor_ms INTEGER NOT NULL
) STRICT;

-- Counts the writes that were made to see whether there can be any.
CREATE TABLE probes (
	id      INTEGER PRIMARY KEY CHECK (id = 1),
	written INTEGER NOT NULL
) STRICT;
