"""What a process may be told from outside, checked once."""

from workflow_engine.config.orchestration import DeploymentMode, Orchestration
from workflow_engine.config.settings import DEFAULT_FILE, Settings
from workflow_engine.config.streams import Streams

__all__ = ["DEFAULT_FILE", "DeploymentMode", "Orchestration", "Settings", "Streams"]
