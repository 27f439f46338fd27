"""Starts moto, for S3, SQS and KMS, on loopback and prints its URL once it listens."""

import logging

from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    create_backend_app,
)
from werkzeug.serving import make_server

logging.getLogger("werkzeug").setLevel(logging.ERROR)  # no log line per request

server = make_server(
    "127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True
)
print(f"ready http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
