"""Workflow Engine beside Celery's own canvas: the same work, the same servers, the same run."""
