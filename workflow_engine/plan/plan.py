"""Plan, PlannedStep and Chord: a compiled workflow as frozen data with a JSON form."""

import hashlib
import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import Any, Self

from workflow_engine.definitions.waiting import Wait
from workflow_engine.plan.graph import reachable


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step of a plan; ``position`` is its place in a topological order, from 0."""

    position: int
    name: str
    parents: tuple[int, ...]
    children: tuple[int, ...]
    queue: str | None
    priority: int
    timeout: float | None
    """Seconds."""
    heartbeat_timeout: float | None
    """Seconds within which the handler must show a sign of life; None: its worker's heartbeat is enough."""
    retry: Mapping[str, Any]
    """The retry policy as plain values: part of the definition, for people and comparison."""
    wait: Wait | None = None
    """What it waits for, if that is all it does."""

    @property
    def is_root(self) -> bool:
        """Whether it waits for nobody."""
        return not self.parents

    @property
    def is_sink(self) -> bool:
        """Whether nobody waits for it."""
        return not self.children


@dataclass(frozen=True, slots=True, kw_only=True)
class Chord:
    """A join: when every step of the ``header`` has succeeded, the ``body`` runs."""

    header: tuple[int, ...]
    body: int


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A workflow compiled: its steps in topological order, and a chord for each step that has parents.

    There are no level barriers: each step waits for its own parents and for nothing else.
    """

    namespace: str
    workflow: str
    version: str
    on_failure: str
    steps: tuple[PlannedStep, ...]
    description: str = ""
    timeout: timedelta | None = None
    """How long a run may take, from its submit or scheduled start."""
    stale_after: float | None = None
    """Seconds for which nothing of a run may move; None: as the setting says."""

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[PlannedStep]:
        return iter(self.steps)

    def __getitem__(self, position: int) -> PlannedStep:
        return self.steps[position]

    @cached_property
    def positions(self) -> Mapping[str, int]:
        """Each step's position by its name."""
        return {step.name: step.position for step in self.steps}

    @cached_property
    def roots(self) -> tuple[int, ...]:
        """The positions of the steps that wait for nobody."""
        return tuple(step.position for step in self.steps if step.is_root)

    @cached_property
    def sinks(self) -> tuple[int, ...]:
        """The positions of the steps nobody waits for; their results are the run's result."""
        return tuple(step.position for step in self.steps if step.is_sink)

    @cached_property
    def chords(self) -> tuple[Chord, ...]:
        """One chord for each step that has parents: header = its parents, body = the step."""
        return tuple(Chord(header=step.parents, body=step.position) for step in self.steps if step.parents)

    @cached_property
    def joins(self) -> Mapping[int, int]:
        """For each step that is a part of a join (a body with several parents): the first such body."""
        found: dict[int, int] = {}
        for chord in self.chords:
            if len(chord.header) > 1:
                for part in chord.header:
                    found.setdefault(part, chord.body)
        return found

    def descendants(self, positions: Iterable[int]) -> list[int]:
        """Return every step that waits for one of ``positions``, directly or not, in order."""
        return sorted(reachable(positions, [step.children for step in self.steps]))

    def names(self, positions: Iterable[int]) -> list[str]:
        """Return the names of the steps at ``positions``."""
        return [self.steps[position].name for position in positions]

    @cached_property
    def signals(self) -> Mapping[str, tuple[int, ...]]:
        """The positions of the steps that wait for a signal, by its name."""
        names = dict.fromkeys(step.wait.signal for step in self.steps if step.wait and step.wait.signal)
        return {
            name: tuple(step.position for step in self.steps if step.wait and step.wait.signal == name)
            for name in names
        }

    def canvas(self, input: Any = None) -> Any:  # noqa: A002  the word the rest of the interface uses
        """Return the Celery canvas (``chain``/``group``/``chord``) that does the same work for one ``input``.

        For looking at, for tests, and for teams that compare: the engine does not run it. Celery cannot express a
        graph that is not series-parallel, so only there the canvas adds a barrier between levels. Steps that wait for a
        time or a signal do nothing in it, and their result is None.
        """
        # The only look upwards in the package: plan data stays free of Celery unless somebody asks for Celery's form.
        return importlib.import_module("workflow_engine.celery_app.signatures").canvas(self, input)

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON values; edges by name, so that people can read and compare it."""
        described: dict[str, Any] = {
            "on_failure": self.on_failure,
            "description": self.description,
            "steps": [_step_as_json(step, self.names(step.parents)) for step in self.steps],
        }
        if self.timeout is not None:  # only then: older plans keep their digests
            described["timeout"] = self.timeout.total_seconds()
        if self.stale_after is not None:
            described["stale_after"] = self.stale_after
        return described

    @classmethod
    def from_json(cls, value: Mapping[str, Any], *, namespace: str, workflow: str, version: str) -> Self:
        """Return the plan that ``as_json`` wrote."""
        positions = {step["name"]: position for position, step in enumerate(value["steps"])}
        parents = [tuple(positions[name] for name in step["after"]) for step in value["steps"]]
        return cls(
            namespace=namespace,
            workflow=workflow,
            version=version,
            on_failure=value["on_failure"],
            description=value["description"],
            timeout=timedelta(seconds=value["timeout"]) if "timeout" in value else None,
            stale_after=value.get("stale_after"),
            steps=link_steps(value["steps"], parents),
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what makes two definitions differ; descriptions may change freely."""
        value = {key: part for key, part in self.as_json().items() if key != "description"}
        return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def link_steps(
    described: list[Mapping[str, Any]] | list[dict[str, Any]], parents: list[tuple[int, ...]]
) -> tuple[PlannedStep, ...]:
    """Return the planned steps for their described options and parents, with children filled in."""
    children: list[list[int]] = [[] for _ in parents]
    for position, its_parents in enumerate(parents):
        for parent in its_parents:
            children[parent].append(position)
    return tuple(
        PlannedStep(
            position=position,
            name=step["name"],
            parents=parents[position],
            children=tuple(children[position]),
            queue=step["queue"],
            priority=step["priority"],
            timeout=step["timeout"],
            heartbeat_timeout=step.get("heartbeat_timeout"),
            retry=step["retry"],
            wait=Wait.from_json(step["wait"]) if step.get("wait") is not None else None,
        )
        for position, step in enumerate(described)
    )


def _step_as_json(step: PlannedStep, after: list[str]) -> dict[str, Any]:
    described = {
        "name": step.name,
        "after": after,
        "queue": step.queue,
        "priority": step.priority,
        "timeout": step.timeout,
        "retry": dict(step.retry),
    }
    if step.heartbeat_timeout is not None:  # only then: older plans keep their digests
        described["heartbeat_timeout"] = step.heartbeat_timeout
    if step.wait is not None:
        described["wait"] = step.wait.as_json()
    return described
