"""The clients of an application: wired from the settings at hand."""

from collections.abc import Iterable
from typing import Any, Self

from celery import Celery

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.client.asynchronous import AsyncWorkflowClient
from workflow_engine.client.client import WorkflowClient
from workflow_engine.clock import SystemClock
from workflow_engine.config import Settings
from workflow_engine.definitions.workflow import Workflow


class Client(WorkflowClient):
    """Submits runs to the database and broker in the settings (``WFE_DATABASE_URL``, ``WFE_BROKER_URL``).

    Where neither is set, it submits to the ``wfe dev`` that runs in the current folder or a parent of it.

    A process needs one; it is safe to share between threads and survives forks.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        app: Celery | None = None,
        workflows: Iterable[Workflow | str] = (),
    ) -> None:
        """Wire a client.

        Args:
            settings: in place of those from the environment.
            app: the Celery app to publish with; by default one of our own.
            workflows: workflows (or import paths) that ``submit`` may name, beside those of ``WFE_WORKFLOWS``.

        Raises:
            ConfigurationError: a setting is missing or wrong.
        """
        engine = Engine(settings, app=app, workflows=workflows)
        super().__init__(
            engine.store,
            engine.processor,
            engine.registry,
            SystemClock(),
            namespace=engine.settings.namespace,
            input_limit=engine.settings.input_limit_bytes,
            explainer=engine.explainer,
            stale=engine.stale_runs,
        )
        self.engine = engine

    def close(self) -> None:
        """Close the client's connections."""
        self.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(AsyncWorkflowClient):
    """``Client`` for asyncio."""

    def __init__(self, settings: Settings | None = None, **options: Any) -> None:
        """Wire a client; arguments as ``Client``."""
        client = Client(settings, **options)
        super().__init__(client)
        self._owned = client

    async def close(self) -> None:
        """Close the client's connections."""
        self._owned.close()
