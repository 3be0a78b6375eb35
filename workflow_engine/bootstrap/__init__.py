"""The composition root: settings in; wired clients, Celery apps, coordinators and relays out."""
