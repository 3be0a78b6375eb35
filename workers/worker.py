"""The Celery worker: ``celery --app workers.worker worker``."""

from workflow_engine import Engine

app = Engine(application_name="wfe worker").install()
