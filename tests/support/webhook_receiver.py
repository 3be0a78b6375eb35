"""A receiver of webhooks as a process: ``python -m tests.support.webhook_receiver PORT FILE``.

It leaves a line for each request whose signature is right, as a receiver of somebody else's would check it.
"""

import hmac
import json
import os
import sys
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


def is_genuine(secret: bytes, message_id: str, timestamp: str, sent: str, body: bytes) -> bool:
    """Tell whether a request is from who knows the secret."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = "v1," + b64encode(hmac.new(secret, signed, "sha256").digest()).decode()
    return any(hmac.compare_digest(expected, each) for each in sent.split(" "))


class Receiver(BaseHTTPRequestHandler):
    """Answers 204, or 403 to what is not signed."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take an event."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        parts = [self.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")]
        genuine = is_genuine(os.environ["PARTNER_SECRET"].encode(), *parts, body)
        if genuine:
            with Path(sys.argv[2]).open("a") as file:
                file.write(json.dumps([parts[0], json.loads(body).get("position")]) + "\n")
        self.send_response(204 if genuine else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    print("listening", flush=True)
    server.serve_forever()
