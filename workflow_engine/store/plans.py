"""Register plans and find them again."""

import json
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from workflow_engine.plan.plan import Plan
from workflow_engine.store.statements import statement

_REGISTER = statement("register_plan")
_FIND = statement("find_plan")
_GET = statement("get_plan")
_LIST_NAMESPACES = statement("list_namespaces")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredPlan:
    """A plan and the id under which runs and messages name it."""

    id: int
    digest: str
    plan: Plan


class Plans:
    """The ``plans`` and ``plan_steps`` tables."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Work on the given connection."""
        self._connection = connection

    def register(self, plan: Plan) -> RegisteredPlan:
        """Store a plan unless its version is known; return what is stored, which may differ from ``plan``."""
        row = self._connection.execute(
            _REGISTER,
            {
                "namespace": plan.namespace,
                "workflow": plan.workflow,
                "version": plan.version,
                "digest": plan.digest,
                "definition": json.dumps(plan.as_json()),
                "stale_after": plan.stale_after,
                "positions": [step.position for step in plan],
                "names": [step.name for step in plan],
                "parents": [len(step.parents) for step in plan],
                "queues": [step.queue for step in plan],
                "priorities": [step.priority for step in plan],
            },
        ).fetchone()
        if row is not None:
            return RegisteredPlan(id=row.id, digest=plan.digest, plan=plan)
        found = self.find(plan.workflow, namespace=plan.namespace, version=plan.version)
        if found is None:  # deleted between the two statements: try once more
            return self.register(plan)
        return found

    def find(self, workflow: str, *, namespace: str, version: str | None = None) -> RegisteredPlan | None:
        """Return a registered plan; without a version, the one registered last."""
        row = self._connection.execute(
            _FIND, {"namespace": namespace, "workflow": workflow, "version": version}
        ).fetchone()
        return None if row is None else _registered(row)

    def get(self, plan_id: int) -> RegisteredPlan:
        """Return the plan with an id; plans that runs name are never deleted."""
        row = self._connection.execute(_GET, {"plan_id": plan_id}).fetchone()
        if row is None:
            raise LookupError(f"no plan has the id {plan_id}")
        return _registered(row)

    def namespace_channels(self) -> dict[str, str]:
        """Return the channel of each namespace that has workflows."""
        return {row.namespace: row.channel for row in self._connection.execute(_LIST_NAMESPACES)}


def _registered(row: Any) -> RegisteredPlan:
    plan = Plan.from_json(row.definition, namespace=row.namespace, workflow=row.workflow, version=row.version)
    return RegisteredPlan(id=row.id, digest=row.digest, plan=plan)
