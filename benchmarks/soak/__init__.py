"""A mixed load for a long time: does memory grow, do tables swell, does it get slower, is anything lost."""
