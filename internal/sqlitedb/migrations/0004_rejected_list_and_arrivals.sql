-- The list of an integration's rejected events has a row for each, instead of being one
-- record that is written anew with every event. It is in the order of created_at, in
-- nanoseconds, and event_id; created_at is that of the rejected event.
CREATE TABLE rejected_list (
	tenant      TEXT NOT NULL,
	integration TEXT NOT NULL,
	incarnation INTEGER NOT NULL,
	created_at  INTEGER NOT NULL,
	event_id    TEXT NOT NULL,
	data        BLOB NOT NULL,
	PRIMARY KEY (tenant, integration, incarnation, created_at, event_id)
) STRICT, WITHOUT ROWID;

-- A stored time has a second, a fraction of up to nine digits, and a zone. What cannot be
-- read is left out: it is damaged, and must not keep the rest from being migrated. CROSS
-- JOIN has each event looked up by its id: else the planner reads a list once per event.
INSERT INTO rejected_list (tenant, integration, incarnation, created_at, event_id, data)
SELECT tenant, integration, incarnation,
	CAST(ifnull(strftime('%s', substr(at, 1, 19) || zone) * 1000000000, 0) +
		CASE WHEN substr(at, 20, 1) = '.' THEN CAST(substr(substr(at, 21, length(at) - 20 - length(zone)) || '000000000', 1, 9) AS INTEGER) ELSE 0 END
		AS INTEGER),
	event_id, CAST(json_remove(ref, '$.id', '$.created_at') AS BLOB)
FROM (
	SELECT *, CASE WHEN at LIKE '%Z' THEN 'Z' ELSE substr(at, -6) END AS zone FROM (
		SELECT x.tenant, x.integration, x.incarnation, r.event_id, e.value AS ref,
			CASE WHEN json_valid(CAST(r.data AS TEXT)) THEN json_extract(CAST(r.data AS TEXT), '$.created_at') END AS at
		FROM rejected_indexes x,
			json_each(CASE WHEN json_valid(CAST(x.data AS TEXT)) THEN CAST(x.data AS TEXT) ELSE '[]' END) e
		CROSS JOIN rejected r ON r.tenant = x.tenant AND r.integration = x.integration AND r.incarnation = x.incarnation
			AND r.event_id = json_extract(e.value, '$.id')
	)
) WHERE at IS NOT NULL;

-- What is left of that record is how many events the list has, and when the last joined it.
ALTER TABLE rejected_indexes RENAME TO rejected_counts;

UPDATE rejected_counts AS c SET data = CAST(json_object(
	'kept', (SELECT count(*) FROM rejected_list l WHERE l.tenant = c.tenant AND l.integration = c.integration AND l.incarnation = c.incarnation),
	'newest', ifnull((
		SELECT json_extract(CAST(r.data AS TEXT), '$.created_at') FROM rejected_list l
		CROSS JOIN rejected r ON r.tenant = l.tenant AND r.integration = l.integration AND r.incarnation = l.incarnation AND r.event_id = l.event_id
		WHERE l.tenant = c.tenant AND l.integration = c.integration AND l.incarnation = c.incarnation
		ORDER BY l.created_at DESC LIMIT 1
	), '0001-01-01T00:00:00Z')
) AS BLOB);

-- Segments of a batch of many partitions, in the order in which they came, until they
-- are moved to their places in segments.
CREATE TABLE arrivals (
	seq            INTEGER PRIMARY KEY,
	id             INTEGER NOT NULL, -- and the rest: as in segments
	first_ms       INTEGER NOT NULL,
	last_ms        INTEGER NOT NULL,
	events         INTEGER NOT NULL,
	before         INTEGER NOT NULL,
	appended_bytes INTEGER NOT NULL,
	data           BLOB NOT NULL
) STRICT;
