"""Where received events are kept: a table with one row per event id."""

import sqlite3
import threading


class Inbox:
    """Events on disk, by id. Safe for use by several threads and processes.

    The primary key is what deduplicates: of two calls with the same event, even
    at the same time, one adds the row. Keep the ids for as long as the service
    keeps events (30 days), since a replay sends them again.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = FULL")
        with self._db:
            self._db.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, body BLOB NOT NULL)")

    def put(self, event_id: str, body: bytes) -> bool:
        """Add an event; False if it was there before. Either way it is on disk."""
        with self._lock, self._db:
            added = self._db.execute("INSERT OR IGNORE INTO events (id, body) VALUES (?, ?)", (event_id, body))
            return added.rowcount == 1
