"""What every handler works with."""

from dataclasses import dataclass

from workflow_engine.engine.plan_cache import PlanCache
from workflow_engine.ids import RunId
from workflow_engine.model.events import Event
from workflow_engine.plan.plan import Plan
from workflow_engine.store.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The transaction at hand and the plans it needs."""

    tx: Transaction
    plans: PlanCache
    loss_limit: int
    """How often a step may take its worker with it before it fails."""

    def plan(self, plan_id: int) -> Plan:
        """Return a plan by its id."""
        return self.plans.get(plan_id, self.tx)

    def publish(self, run_id: RunId, *events: Event) -> None:
        """Append facts about a run to the event log, in this transaction."""
        self.tx.event_log.append([(run_id, event) for event in events])
