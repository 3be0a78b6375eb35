"""Subscribers to run, read and copy: a webhook, a tally, alerts, and a table of the shop's own."""
