-- Events about integrations that are still to be published to the operator's tenant.
CREATE TABLE alerts (
	tenant      TEXT NOT NULL,
	integration TEXT NOT NULL,
	incarnation INTEGER NOT NULL,
	number      INTEGER NOT NULL,
	version     INTEGER NOT NULL,
	due_at      INTEGER NOT NULL, -- in nanoseconds
	data        BLOB NOT NULL,
	PRIMARY KEY (tenant, integration, incarnation, number)
) STRICT;
CREATE INDEX alerts_due ON alerts (due_at);
