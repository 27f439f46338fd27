"""Receives events from Sluice, with Python's standard library and standardwebhooks.

It verifies the signature, stores the event, and responds; whatever takes longer is
for a worker that reads the inbox. Settings, from the environment:

    WEBHOOK_SECRET  the integration's signing_secret (whsec_...); required
    PORT            on 127.0.0.1; 9000 by default
    INBOX           the database file; inbox.db by default
"""

import json
import os
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from inbox import Inbox
from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY = 1 << 20  # bytes; the service's own limit is 256 KiB an event, unless configured otherwise

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
inbox = Inbox(os.environ.get("INBOX", "inbox.db"))


def check(event: dict) -> None:
    """Raise ValueError for an event that can never be used; put your own rules here."""
    if event["name"] == "order.created" and not isinstance(event["payload"].get("order_id"), str):
        raise ValueError("order.created needs payload.order_id, a string")


def say(*words: str) -> None:
    """Write a line in one piece, since threads write side by side."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def receive(headers: dict[str, str], body: bytes) -> tuple[int, str]:
    """Return the status and the text of the response to one call."""
    try:
        # Over the bytes as they arrived: JSON written anew has another signature.
        webhook.verify(body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: a header or a body that is malformed
        return 401, "the signature is wrong or too old"
    if headers.get("sluice-test") == "1":
        say("test")
        return 204, ""
    try:
        event = json.loads(body)
        check(event)
    except ValueError as error:
        return 400, str(error)  # goes into the list of rejected events; the stream goes on
    try:
        added = inbox.put(event["id"], body)
    except sqlite3.Error as error:
        say("the inbox failed:", str(error))
        return 503, "try again"  # the stream waits, and nothing is lost
    say("stored" if added else "again", event["id"], event["name"])
    return 204, ""


class Handler(BaseHTTPRequestHandler):
    """One connection. The service keeps connections open and reuses them."""

    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds without a byte; the service closes its idle connections earlier

    def do_POST(self) -> None:
        """Respond to a call."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True  # the body was not read
            self.respond(413, "the body has no length, or is too long")
            return
        body = self.rfile.read(int(length))
        self.respond(*receive({name.lower(): value for name, value in self.headers.items()}, body))

    def respond(self, status: int, text: str) -> None:
        """Send a response without a body, or with a text."""
        content = text.encode()
        self.send_response(status)
        if content:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Log nothing per request."""


class Server(ThreadingHTTPServer):
    """A thread per connection."""

    request_queue_size = 128
    daemon_threads = True


if __name__ == "__main__":
    server = Server(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Handler)
    say(f"listening on http://127.0.0.1:{server.server_port}/")
    server.serve_forever()
