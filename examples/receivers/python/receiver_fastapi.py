"""Receives events from Sluice, with FastAPI and standardwebhooks.

It takes the request as it is, not as a model in the parameters: the signature is over
the bytes, and FastAPI responds to a body that does not fit a model with 422, for which
Sluice retries the event and lets the stream wait. Here such a body gets a 400.

    WEBHOOK_SECRET=whsec_... uvicorn receiver_fastapi:app --port 9000 --timeout-keep-alive 60

INBOX is the database file; inbox.db by default.
"""

import json
import os
import sqlite3
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from inbox import Inbox
from pydantic import BaseModel
from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY = 1 << 20  # bytes; the service's own limit is 256 KiB an event, unless configured otherwise

webhook = Webhook(os.environ["WEBHOOK_SECRET"])
inbox = Inbox(os.environ.get("INBOX", "inbox.db"))
app = FastAPI(openapi_url=None)


class Event(BaseModel):
    """An event, whatever its name."""

    id: UUID
    tenant: str
    name: str
    published_at: str
    payload: dict[str, Any]


class OrderCreated(BaseModel):
    """What is needed of the payload of order.created."""

    order_id: str


# The names that have a model of their own; put yours here. Others are stored as they are.
PAYLOADS: dict[str, type[BaseModel]] = {"order.created": OrderCreated}


@app.post("/")
async def receive(request: Request) -> Response:
    """Verify, store, respond; whatever takes longer is for a worker that reads the inbox."""
    body = await read(request)
    if body is None:
        return Response(status_code=413)
    try:
        webhook.verify(body, dict(request.headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: a header or a body that is malformed
        return Response("the signature is wrong or too old", status_code=401)
    if request.headers.get("sluice-test") == "1":
        print("test", flush=True)
        return Response(status_code=204)
    try:
        event = Event.model_validate(json.loads(body))
        if model := PAYLOADS.get(event.name):
            model.model_validate(event.payload)
    except ValueError as error:  # also what pydantic raises
        # It goes into the list of rejected events, and the stream goes on.
        return Response(str(error), status_code=400, media_type="text/plain")
    try:
        added = await run_in_threadpool(inbox.put, str(event.id), body)
    except sqlite3.Error as error:
        print("the inbox failed:", error, flush=True)
        return Response(status_code=503)  # the stream waits, and nothing is lost
    print("stored" if added else "again", event.id, event.name, flush=True)
    return Response(status_code=204)


async def read(request: Request) -> bytes | None:
    """Return the bytes of the body; None if there are too many."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)
