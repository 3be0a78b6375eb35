"""Steps that failed for good."""

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Index, Integer, Table, Text, Uuid, text

from workflow_engine.store.tables.metadata import metadata

_DEAD = text("state = 'dead'")
_MOMENT = DateTime(timezone=True)

step_dead_letters = Table(
    "step_dead_letters",
    metadata,
    Column("run_id", Uuid, ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("attempts", Integer, nullable=False),
    Column("namespace", Text, nullable=False),
    Column("workflow", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("error_class", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("traceback", Text),
    Column("failed_at", _MOMENT, nullable=False),
    Column("state", Text, nullable=False, server_default="dead"),
    Column("closed_at", _MOMENT),
    Column("closed_by", Text),
    Column("reason", Text),
    CheckConstraint("state IN ('dead', 'discarded', 'requeued', 'resolved')", name="state"),
    CheckConstraint("(state = 'dead') = (closed_at IS NULL)", name="closed_iff_not_dead"),
    # page of dead letters: the newest dead ones of a namespace, or of one of its workflows; count_dead_steps.sql
    Index("step_dead_letters_dead_idx", "namespace", "failed_at", "run_id", "position", postgresql_where=_DEAD),
    Index("step_dead_letters_workflow_idx", "namespace", "workflow", "failed_at", postgresql_where=_DEAD),
    # page of dead letters: the newest of a namespace, closed or not; those of a run are found by the primary key
    Index("step_dead_letters_newest_idx", "namespace", "failed_at", "run_id", "position"),
    comment=("Each time that a step failed for good; dead until somebody requeues or discards it. Goes with its run."),
)
