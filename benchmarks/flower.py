"""Flower beside the workers: it hears every task event, as where somebody watches."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from threading import Event as Flag
from time import monotonic
from typing import Final
from urllib.request import urlopen

from workflow_engine.embedded.ports import LOOPBACK, free_port
from workflow_engine.embedded.processes import ChildProcess, Program

_PATIENCE: Final = 60.0


class FlowerDoesNotAnswer(Exception):
    """It did not come up."""


@contextmanager
def running_flower(broker_url: str, folder: Path) -> Iterator[int]:
    """Run Flower on a broker; lend its process id once it answers.

    Raises:
        FlowerDoesNotAnswer: it did not within a minute.
    """
    port, log = free_port(), folder / "flower.log"
    options = (f"--address={LOOPBACK}", f"--port={port}", "--logging=warning")
    command = [sys.executable, "-m", "celery", "--broker", broker_url, "flower", *options]
    process = ChildProcess(Program(argv=command, env=os.environ, log=log, cwd=folder))
    try:
        deadline = monotonic() + _PATIENCE
        while not _answers(f"http://{LOOPBACK}:{port}/healthcheck"):
            if monotonic() > deadline or process.returncode is not None:
                raise FlowerDoesNotAnswer(log.read_text()[-2_000:])
            Flag().wait(0.1)
        yield process.pid
    finally:
        process.stop([(signal.SIGTERM, 10.0), (signal.SIGKILL, 3.0)])


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False
