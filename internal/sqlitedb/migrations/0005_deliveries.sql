-- Delivery records: what one commit has delivered, of live delivery (integration is '') or
-- of an integration that catches up. at is when, in nanoseconds; first and last are the
-- segments of its events. No other table depends on it.
CREATE TABLE deliveries (
	tenant      TEXT NOT NULL,
	lane        INTEGER NOT NULL,
	integration TEXT NOT NULL,
	at          INTEGER NOT NULL,
	first       INTEGER NOT NULL,
	last        INTEGER NOT NULL,
	data        BLOB NOT NULL,
	PRIMARY KEY (tenant, lane, integration, at)
) STRICT, WITHOUT ROWID;
