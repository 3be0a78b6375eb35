"""The words of a running system: states, commands, events, records. Pure: no I/O."""
