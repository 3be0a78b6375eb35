"""Definitions compiled to data. Pure: no I/O."""
