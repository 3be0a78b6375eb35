"""Find a workflow by name and version among those loaded in this process."""

import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from workflow_engine.definitions.names import did_you_mean
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.errors import ConfigurationError, DefinitionError, WorkflowNotFound

Key = tuple[str, str, str]
"""Namespace, name, version."""


class Registry:
    """The workflows this process can run."""

    def __init__(self, workflows: Iterable[Workflow] = ()) -> None:
        """Take the given workflows."""
        self._by_key: dict[Key, Workflow] = {}
        for workflow in workflows:
            self.add(workflow)

    def __iter__(self) -> Iterator[Workflow]:
        return iter(self._by_key.values())

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, workflow: Workflow) -> None:
        """Take a workflow in; taking the same one twice is allowed.

        Raises:
            DefinitionError: it is incomplete, or another one has its namespace, name and version.
        """
        workflow.check_complete()
        key = (workflow.namespace, workflow.name, workflow.version)
        if self._by_key.setdefault(key, workflow) is not workflow:
            raise DefinitionError(
                f"two different workflows are named {workflow.name!r} version {workflow.version!r} "
                f"in namespace {workflow.namespace!r}"
            )

    def find(self, namespace: str, name: str, version: str) -> Workflow | None:
        """Return the workflow of exactly that version, or None."""
        return self._by_key.get((namespace, name, version))

    def newest(self, name: str, *, namespace: str, version: str | None = None) -> Workflow | None:
        """Return a workflow, without a version the one added last; None if there is none."""
        found = [
            each
            for each in self._by_key.values()
            if each.name == name and each.namespace == namespace and version in {None, each.version}
        ]
        return found[-1] if found else None

    def get(self, name: str, *, namespace: str = "default", version: str | None = None) -> Workflow:
        """Return a workflow; without a version, the one added last.

        Raises:
            WorkflowNotFound: there is none; the message suggests the closest name.
        """
        found = self.newest(name, namespace=namespace, version=version)
        if found is not None:
            return found
        known = {each.name for each in self._by_key.values()}
        wanted = f"workflow {name!r}" + (f" version {version!r}" if version else "")
        raise WorkflowNotFound(
            f"{wanted} is not known here{did_you_mean(name, known)}; loaded: {', '.join(sorted(known)) or 'none'}"
        )

    def load(self, paths: Iterable[str]) -> None:
        """Import ``module`` or ``module:attribute`` paths and take in the workflows found there.

        Raises:
            ConfigurationError: a path cannot be imported or holds no workflow.
            DefinitionError: a workflow in it cannot work.
        """
        for path in paths:
            for workflow in _workflows_at(path):
                self.add(workflow)


def _workflows_at(path: str) -> list[Workflow]:
    module_name, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")):
        raise ConfigurationError(f"WFE_WORKFLOWS: {path!r} is not the import path of a module")
    here = str(Path.cwd())
    if here not in sys.path:  # console scripts do not look in the current folder; `python -m` does
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigurationError(f"WFE_WORKFLOWS: cannot import {module_name!r}: {error}") from error
    named = [getattr(module, attribute, None)] if attribute else list(vars(module).values())
    workflows = [each for each in named if isinstance(each, Workflow)]
    if not workflows:
        raise ConfigurationError(f"WFE_WORKFLOWS: {path!r} holds no workflow")
    return list(dict.fromkeys(workflows))
