"""create_api: the parts in, the application out."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from fastapi import APIRouter, FastAPI

from workflow_engine.api.docs_page import serve_docs
from workflow_engine.api.document import document_problems
from workflow_engine.api.parts import Parts
from workflow_engine.api.problems import answer_problems
from workflow_engine.api.routes import (
    batch,
    bulk,
    dead_letters,
    events,
    health,
    lifecycle,
    metrics,
    overviews,
    run_details,
    runs,
    schedules,
    stream,
    workers,
    workflows,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    workflows.router,
    overviews.router,
    runs.router,
    batch.router,
    bulk.router,
    run_details.router,
    lifecycle.router,
    schedules.router,
    events.router,
    stream.router,
    dead_letters.router,
    workers.router,
    health.router,
    metrics.router,
)
"""Every route. A new module of routes is added here, and nowhere else."""

_DESCRIPTION: Final = "Durable workflows on Celery: submit runs, follow them, change them."


def create_api(parts: Parts) -> FastAPI:
    """Return the application; nothing is opened before it starts."""
    app = _without_parts()
    app.state.parts = parts
    return app


def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document, which is the same whatever the settings."""
    return _without_parts().openapi()


def _without_parts() -> FastAPI:
    app = FastAPI(
        title="Workflow Engine",
        version="1",
        description=_DESCRIPTION,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        separate_input_output_schemas=False,
    )
    answer_problems(app)
    for router in ROUTERS:
        app.include_router(router)
    serve_docs(app)
    document_problems(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    parts: Parts = app.state.parts
    async with AsyncExitStack() as stack:
        for life in parts.lives:
            await stack.enter_async_context(life())
        yield
