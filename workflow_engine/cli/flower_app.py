"""The app of ``wfe flower``: it looks at the broker and at results, and imports no workflow."""

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.logs import configure_logging

_engine = Engine(application_name="wfe flower")
if _engine.settings.log_format == "json":
    configure_logging(_engine.settings.log_level, "json")  # Tornado leaves a log alone that is set up already
app = _engine.app
