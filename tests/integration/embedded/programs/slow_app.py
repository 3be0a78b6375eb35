"""A Celery app with one task that outlasts every test, even its worker's warm shutdown."""

import os
import threading

from celery import Celery

app = Celery("slow_app", broker=os.environ.get("WFE_BROKER_URL"))


@app.task(name="slow_app.busy")
def busy() -> None:
    print(f"busy in {os.getpid()}", flush=True)
    threading.Event().wait(600)
