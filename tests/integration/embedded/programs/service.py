"""A service to supervise: says what it sees, starts a child of its own, and lives until it is told to stop.

``python service.py [stubborn]``: the stubborn one ignores SIGTERM.
"""

import json
import os
import signal
import subprocess
import sys
import threading


def main(*options: str) -> int:
    if "stubborn" in options:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["/bin/sleep", "600"])
    print(
        json.dumps(
            {
                "pid": os.getpid(),
                "child": child.pid,
                "database_url": os.environ["WFE_DATABASE_URL"],
                "broker_url": os.environ["WFE_BROKER_URL"],
                "extra": os.environ.get("EXTRA"),
            }
        ),
        flush=True,
    )
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
