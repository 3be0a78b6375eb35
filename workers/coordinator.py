"""The coordinator: ``python -m workers.coordinator``."""

from workflow_engine import Settings
from workflow_engine.cli.coordinator import run_coordinator

if __name__ == "__main__":
    run_coordinator(Settings())
