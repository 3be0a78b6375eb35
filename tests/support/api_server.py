"""The API in a thread of this process, on a real port: what a test changes about the process, it feels."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import httpx
import uvicorn
from fastapi import FastAPI

from tests.support.processes import wait_until
from workflow_engine.api.serving import address_of, listen


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application, and lend its address."""
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
    thread = Thread(target=server.run, args=[[listening]], name="api")
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive(), why="the API answers")
        yield address_of(listening)
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def asking(app: FastAPI, **headers: str) -> Iterator[httpx.Client]:
    """Serve an application, and lend a client that asks it."""
    with served(app) as address, httpx.Client(base_url=address, headers=headers, timeout=20) as client:
        yield client
