"""The app of a worker that has the workflows it is told: ``celery -A benchmarks.shaped_worker worker``."""

from benchmarks.configuration import Configuration
from benchmarks.engine import engine_of
from benchmarks.shapes import shapes_in_environment

app = engine_of(Configuration.from_environment(), shapes_in_environment()).install()
