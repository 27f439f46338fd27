-- Integrations that an operator was told to be in trouble are found by since when they are.
ALTER TABLE integrations ADD COLUMN troubled_at INTEGER; -- ns since 1970; NULL if it is not
CREATE INDEX integrations_troubled ON integrations (troubled_at, tenant, id) WHERE troubled_at IS NOT NULL;
