"""Start one embedded server, say where it is, and hold it until standard input ends.

``python hold_server.py postgres|broker FOLDER [main|thread]``: the server is started from that thread.
"""

import json
import sys
import threading
from pathlib import Path

from workflow_engine.embedded.broker import EmbeddedBroker
from workflow_engine.embedded.postgres import EmbeddedPostgres
from workflow_engine.errors import WorkflowEngineError


def main(kind: str, folder: str, thread: str = "main") -> int:
    server = (EmbeddedPostgres if kind == "postgres" else EmbeddedBroker)(Path(folder))
    try:
        if thread == "main":
            server.start()
        else:
            starter = threading.Thread(target=server.start)
            starter.start()
            starter.join()
    except WorkflowEngineError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
        return 1
    identity = getattr(server, "_identity", None)
    kind = identity.kind if identity else None
    print(json.dumps({"url": server.url, "pid": server.pid, "identity": kind}), flush=True)
    sys.stdin.read()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
