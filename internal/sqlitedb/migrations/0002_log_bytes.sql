-- How many bytes of events a partition has in its log is known without a look at
-- them: what was appended to it up to its last segment, minus what was trimmed.
-- Segments written before this step have 0, but for the last of each partition.
ALTER TABLE partitions ADD COLUMN trimmed_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE segments ADD COLUMN appended_bytes INTEGER NOT NULL DEFAULT 0;

UPDATE segments SET appended_bytes = (
	SELECT sum(length(s.data)) FROM segments s WHERE s.id > segments.id >> 40 << 40 AND s.id <= segments.id
) WHERE id IN (
	SELECT (SELECT max(s.id) FROM segments s WHERE s.id > p.id << 40 AND s.id < (p.id + 1) << 40) FROM partitions p
);

-- Log entries are trimmed by their history, which has an index.
DROP INDEX entries_created;
