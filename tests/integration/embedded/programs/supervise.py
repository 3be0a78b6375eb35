"""Run a supervisor; print a JSON line for each thing it says.

``python supervise.py FOLDER SERVICES``: the services are a JSON list of ``{"name", "argv", …}``.
"""

import json
import sys
from pathlib import Path

from workflow_engine.embedded.services import Service
from workflow_engine.embedded.supervisor import Supervisor, Urls
from workflow_engine.errors import WorkflowEngineError


def tell(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def prepare(urls: Urls) -> None:
    tell(event="prepared", **urls.as_environment())


def main(folder: str, services: str) -> int:
    supervisor = Supervisor(
        Path(folder),
        [Service(**fields) for fields in json.loads(services)],
        prepare=prepare,
        say=lambda sentence: tell(event="said", sentence=sentence),
    )
    try:
        supervisor.run()
    except WorkflowEngineError as error:
        tell(event="error", name=type(error).__name__, message=str(error))
        return 1
    tell(event="ended")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
