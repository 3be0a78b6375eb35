"""Durable workflows for Celery."""
