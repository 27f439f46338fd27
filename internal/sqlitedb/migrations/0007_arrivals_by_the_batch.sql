-- A batch of many partitions is one row of arrivals, instead of one for each of its segments.
-- Those that are there are moved to their places, but for those that are there already. One
-- of no partition is damage: NULL ends the migration, as a start with it would have ended.
INSERT INTO segments (id, first_ms, last_ms, events, before, appended_bytes, data)
SELECT a.id, CASE WHEN EXISTS (SELECT 1 FROM partitions p WHERE p.id = a.id >> 40) THEN a.first_ms END,
	a.last_ms, a.events, a.before, a.appended_bytes, a.data
FROM arrivals a WHERE NOT EXISTS (SELECT 1 FROM segments s WHERE s.id = a.id) ORDER BY a.id;
DROP TABLE arrivals;
CREATE TABLE arrivals (
	seq  INTEGER PRIMARY KEY,
	data BLOB NOT NULL -- the segments of a batch, and after them what segments has of each
) STRICT;
