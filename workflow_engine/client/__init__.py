"""Clients: submit, watch, wait for and cancel runs. Used by applications, API and CLI."""
