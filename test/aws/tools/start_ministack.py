"""Starts ministack on a free port of loopback and prints its URL once it is ready.

The argument is the file to which it logs. AWS_ENDPOINT_URL is where its functions call
services, and SSL_CERT_FILE has the authorities that it trusts as a client.
"""

import os
import socket
import sys
import threading
import time
import urllib.request

said = os.fdopen(os.dup(1), "w")
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.dup2(log, 1)
os.dup2(log, 2)

with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
url = f"http://127.0.0.1:{port}"
os.environ.update(
    AUTH="true",  # signatures are verified, and policies enforced
    BIND_HOST="127.0.0.1",
    GATEWAY_PORT=str(port),
    IOT_MTLS_ENABLED="0",  # its listener is on all interfaces
    LOG_LEVEL="INFO",
    TMPDIR=os.path.dirname(os.path.abspath(sys.argv[1])),
)


def wait():
    """Print the URL once the emulator responds. It exits by itself if it cannot start."""
    while True:
        try:
            with urllib.request.urlopen(f"{url}/_ministack/ready", timeout=10) as response:
                if response.status == 200:
                    print(f"ready {url}", file=said, flush=True)
                    return
        except OSError:
            time.sleep(0.1)


threading.Thread(target=wait, daemon=True).start()
sys.argv = ["ministack"]

from ministack.app import main  # noqa: E402 (it reads the environment)

main()
