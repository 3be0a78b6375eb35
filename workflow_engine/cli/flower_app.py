"""The app of ``wfe flower``: it looks at the broker and at results, and imports no workflow."""

from workflow_engine.bootstrap import Engine

app = Engine(application_name="wfe flower").app
