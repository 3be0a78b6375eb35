"""Workflows to run, read and copy."""
