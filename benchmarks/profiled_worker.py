"""The app of our worker, noting what it spends its time on: ``celery -A benchmarks.profiled_worker worker``."""

from typing import Any

from celery.signals import worker_process_init, worker_ready

from benchmarks.configuration import Configuration
from benchmarks.engine import engine_of
from benchmarks.sampling import start_sampling

app = engine_of(Configuration.from_environment()).install()


@worker_process_init.connect(weak=False)
def sample_pool(**_: Any) -> None:
    """Begin in a process of the pool."""
    start_sampling("pool")


@worker_ready.connect(weak=False)
def sample_main(**_: Any) -> None:
    """Begin in the main process, once its pool has been forked."""
    start_sampling("main")
