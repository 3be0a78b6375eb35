"""The relay: ``python -m workers.relay``."""

from workflow_engine import Settings
from workflow_engine.cli.relay import run_relay

if __name__ == "__main__":
    run_relay(Settings())
