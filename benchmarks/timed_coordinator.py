"""A coordinator that notes when it has sent what, and what it asks: ``python -m benchmarks.timed_coordinator``."""

import signal

from benchmarks.configuration import Configuration
from benchmarks.engine import engine_of
from benchmarks.notes import note_dispatches, note_statements


def main() -> None:
    """Run until SIGTERM."""
    note_statements()
    engine = engine_of(Configuration.from_environment())
    note_dispatches(engine)
    supervisor = engine.coordinator()
    signal.signal(signal.SIGTERM, lambda *_: supervisor.stop())
    supervisor.run()
    engine.close()


if __name__ == "__main__":
    main()
