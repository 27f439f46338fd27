-- The keys of publish calls that are done once. A call is done when all its events are
-- written; a large one is written in parts, and a repeat goes on after the last of them.
CREATE TABLE idempotency_keys (
	tenant     TEXT NOT NULL,    -- '' of a call that names none
	key        TEXT NOT NULL,
	body       BLOB NOT NULL,    -- its digest
	seed       BLOB NOT NULL,    -- of the ids that were made for its events
	written    INTEGER NOT NULL, -- how many of its events
	expires_ms INTEGER NOT NULL,
	PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_ms);
