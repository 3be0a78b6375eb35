"""Workflows as a client sees them: those that are loaded in this process, and those that were ever submitted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from workflow_engine.definitions.names import did_you_mean
from workflow_engine.definitions.registry import Registry
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.errors import WorkflowNotFound
from workflow_engine.model.run_options import check_text
from workflow_engine.plan.compiler import compile_plan
from workflow_engine.plan.plan import Plan
from workflow_engine.store.transaction import Store
from workflow_engine.store.workflow_views import VersionFacts, WorkflowFacts

MOST_VERSIONS: Final = 1_000
"""Versions of a workflow that are listed with it, the newest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowSummary:
    """A workflow as lists have it: the version that a submit by name takes."""

    name: str
    version: str
    versions: int
    """How many were registered."""
    steps: int
    description: str
    loaded: bool
    """Whether this process has its code, of any version."""
    registered_at: datetime | None
    """When its newest version was; None: it was never submitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowDetails:
    """A version of a workflow."""

    plan: Plan
    loaded: bool
    """Whether this process has its code."""
    input_schema: dict[str, Any] | None
    """What its input must fit, as JSON Schema, where the code is here and has a model."""
    versions: Sequence[VersionFacts]
    """The newest that were registered."""


class Definitions:
    """The workflows of a namespace: ``client.definitions``."""

    def __init__(self, store: Store, registry: Registry, *, namespace: str) -> None:
        """Use the given parts."""
        self._store = store
        self._registry = registry
        self._namespace = namespace

    def page(self, limit: int, *, after: str = "") -> list[WorkflowSummary]:
        """Return up to ``limit`` workflows behind a name, by name."""
        with self._store.single() as tx:
            registered = tx.workflow_views.page(self._namespace, limit, after=check_text("after", after))
        loaded = {each.name: each for each in self._loaded() if each.name > after}
        known = {each.name: each for each in registered}
        names = sorted(loaded.keys() | known.keys())[:limit]
        return [_summary(known.get(name), loaded.get(name)) for name in names]

    def get(self, name: str, version: str | None = None) -> WorkflowDetails:
        """Return a version of a workflow; unless named, the one that a submit by name takes.

        Raises:
            WorkflowNotFound: there is none of that name and version.
            InvalidInput: the name or version is no text.
        """
        check_text("name", name)
        if version is not None:
            check_text("version", version)
        loaded = self._find_loaded(name, version)
        with self._store.single() as tx:
            registered = None if loaded else tx.plans.find(name, namespace=self._namespace, version=version)
            versions = tx.workflow_views.versions(self._namespace, name, MOST_VERSIONS)
        if loaded is not None:
            plan = compile_plan(loaded)
        elif registered is not None:
            plan = registered.plan
        else:
            raise WorkflowNotFound(self._no_such(name, version))
        model = None if loaded is None else loaded.input_model
        return WorkflowDetails(
            plan=plan,
            loaded=loaded is not None,
            input_schema=None if model is None else model.model_json_schema(),
            versions=versions,
        )

    def _loaded(self) -> list[Workflow]:
        return [each for each in self._registry if each.namespace == self._namespace]

    def _find_loaded(self, name: str, version: str | None) -> Workflow | None:
        fitting = [each for each in self._loaded() if each.name == name and version in {None, each.version}]
        return fitting[-1] if fitting else None

    def _no_such(self, name: str, version: str | None) -> str:
        wanted = f"workflow {name[:100]!r}" + (f" version {version[:100]!r}" if version else "")
        close = did_you_mean(name[:100], {each.name for each in self._loaded()})
        return f"{wanted} is not known in namespace {self._namespace!r}{close}"


def _summary(registered: WorkflowFacts | None, loaded: Workflow | None) -> WorkflowSummary:
    """Return what is known of a workflow; of one that is loaded, what a submit by name would take."""
    about = loaded or registered
    if about is None:
        raise LookupError("a workflow is loaded, or registered, or both")
    return WorkflowSummary(
        name=about.name,
        version=about.version,
        versions=0 if registered is None else registered.versions,
        steps=about.size if isinstance(about, WorkflowFacts) else len(about.steps),
        description=about.description,
        loaded=loaded is not None,
        registered_at=None if registered is None else registered.registered_at,
    )
