"""The event log, delivered to subscribers: inline right after the commit, durably by the relay."""
