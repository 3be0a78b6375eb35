"""A receiver of OTLP over HTTP in a process of its own: it decodes the protobuf and writes a line of JSON a span.

``python -m tests.support.otlp_receiver FOLDER`` serves on a free port of 127.0.0.1 and writes it to ``FOLDER/port``.
"""

import gzip
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from tests.support.processes import ROOT, wait_until
from workflow_engine.embedded.processes import ChildProcess, Program


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSpan:
    """A span as it arrived."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    service: str
    begins: int
    ends: int
    is_error: bool
    attributes: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)


class OtlpReceiver:
    """The process, seen from a test."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._process = ChildProcess(
            Program(
                argv=[sys.executable, "-m", "tests.support.otlp_receiver", str(folder)],
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
                log=folder / "log",
                cwd=ROOT,
            )
        )
        wait_until((folder / "port").exists, why="the OTLP receiver is ready")

    @property
    def endpoint(self) -> str:
        """What to set ``OTEL_EXPORTER_OTLP_ENDPOINT`` to."""
        return f"http://127.0.0.1:{(self._folder / 'port').read_text()}"

    def spans(self, trace_id: str | None = None) -> list[ReceivedSpan]:
        """Return the spans that have arrived; of one trace, or of all."""
        path = self._folder / "spans"
        whole, _, _ = (path.read_text() if path.exists() else "").rpartition("\n")
        found = [ReceivedSpan(**json.loads(line)) for line in whole.splitlines()]
        return [span for span in found if trace_id is None or span.trace_id == trace_id]

    def names(self) -> set[str]:
        """Return the names of the spans that have arrived."""
        return {span.name for span in self.spans()}

    def stop(self) -> None:
        """End it."""
        self._process.sweep()


def spans_of(request: ExportTraceServiceRequest) -> Iterator[dict[str, Any]]:
    """Yield the spans of an export."""
    for resource in request.resource_spans:
        service = _attributes(resource.resource.attributes).get("service.name", "")
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield {
                    "trace_id": span.trace_id.hex(),
                    "span_id": span.span_id.hex(),
                    "parent_id": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "service": service,
                    "begins": span.start_time_unix_nano,
                    "ends": span.end_time_unix_nano,
                    "is_error": span.status.code == span.status.STATUS_CODE_ERROR,
                    "attributes": _attributes(span.attributes),
                    "events": [
                        {"name": each.name, "at": each.time_unix_nano, "attributes": _attributes(each.attributes)}
                        for each in span.events
                    ],
                    "links": [link.span_id.hex() for link in span.links],
                }


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return None if kind is None else getattr(value, kind)


def main(folder: Path) -> None:
    """Serve until killed."""
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                lines = [json.dumps(span) + "\n" for span in spans_of(ExportTraceServiceRequest.FromString(body))]
                with lock, (folder / "spans").open("a") as file:
                    file.write("".join(lines))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    (folder / "port.new").write_text(str(server.server_address[1]))
    (folder / "port.new").rename(folder / "port")
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
