"""A coordinator that notes which statements it gives: ``python -m benchmarks.soak.coordinator``."""

from benchmarks.notes import note_statements
from workflow_engine import Settings
from workflow_engine.cli.coordinator import run_coordinator

if __name__ == "__main__":
    note_statements()
    run_coordinator(Settings())
