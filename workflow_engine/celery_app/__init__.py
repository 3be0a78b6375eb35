"""Celery: the only package that imports it."""
