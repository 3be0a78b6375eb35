"""The app of our worker: ``celery -A benchmarks.engine_worker worker``."""

from benchmarks.configuration import Configuration
from benchmarks.engine import engine_of

app = engine_of(Configuration.from_environment()).install()
