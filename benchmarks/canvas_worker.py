"""The app of Celery's worker: ``celery -A benchmarks.canvas_worker worker``."""

from benchmarks.canvas import canvas_app
from benchmarks.configuration import Configuration

app = canvas_app(Configuration.from_environment())
