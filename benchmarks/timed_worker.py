"""The app of our worker, noting when it has sent what: ``celery -A benchmarks.timed_worker worker``."""

from benchmarks.configuration import Configuration
from benchmarks.engine import engine_of
from benchmarks.notes import note_dispatches

engine = engine_of(Configuration.from_environment())
note_dispatches(engine)
app = engine.install()
