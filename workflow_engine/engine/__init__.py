"""What decides: commands in, state changes and events out. Knows no Celery."""
