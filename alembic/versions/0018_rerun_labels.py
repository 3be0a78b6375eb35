"""Lists of the runs that do part of another one again.

Revision ID: 0018
Revises: 0017
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

LABELS_OF = """
CREATE OR REPLACE FUNCTION wfe_labels_of(run runs) RETURNS SETOF bigint LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF run.tags <> '{}' THEN
        RETURN QUERY SELECT DISTINCT wfe_label(run.namespace, 'tag', to_jsonb(tag)) FROM unnest(run.tags) AS tag;
    END IF;
    IF run.metadata <> '{}' THEN
        RETURN QUERY SELECT wfe_label(run.namespace, 'metadata', part) FROM wfe_metadata_parts(run.metadata) AS part;
    END IF;
    IF run.agent IS NOT NULL THEN
        RETURN NEXT wfe_label(run.namespace, 'agent', to_jsonb(run.agent::text));
    END IF;
    IF run.initiator IS NOT NULL THEN
        RETURN NEXT wfe_label(run.namespace, 'initiator', to_jsonb(run.initiator::text));
    END IF;
    IF run.schedule_id IS NOT NULL THEN
        RETURN NEXT wfe_label(run.namespace, 'schedule', to_jsonb(run.schedule_id));
    END IF;
    IF run.due_at IS NOT NULL THEN
        RETURN NEXT wfe_label(run.namespace, 'due', to_jsonb(true));
    END IF;RERUN
    IF run.correlation_id <> run.id::text THEN
        RETURN NEXT wfe_label(run.namespace, 'correlation', to_jsonb(run.correlation_id));
    END IF;
END $$
"""
RERUN = """
    IF run.rerun_of IS NOT NULL THEN
        RETURN NEXT wfe_label(run.namespace, 'rerun', to_jsonb(run.rerun_of::text));
    END IF;"""
HAS_LABELS = (
    "({row}.tags <> '{{}}' OR {row}.metadata <> '{{}}' OR {row}.agent IS NOT NULL OR {row}.initiator IS NOT NULL "
    "OR {row}.schedule_id IS NOT NULL OR {row}.due_at IS NOT NULL{more} OR {row}.correlation_id <> {row}.id::text)"
)


def upgrade() -> None:
    """Label reruns, those there are too."""
    op.execute(LABELS_OF.replace("RERUN", RERUN))
    replace_triggers(" OR {row}.rerun_of IS NOT NULL")
    op.execute(
        "INSERT INTO run_labels (label, created_at, run_id) "
        "SELECT wfe_label(namespace, 'rerun', to_jsonb(rerun_of::text)), created_at, id FROM runs "
        "WHERE rerun_of IS NOT NULL ON CONFLICT DO NOTHING"
    )


def downgrade() -> None:
    """Forget these labels."""
    op.execute(
        "DELETE FROM run_labels USING runs WHERE runs.rerun_of IS NOT NULL AND run_labels.run_id = runs.id "
        "AND run_labels.created_at = runs.created_at "
        "AND run_labels.label = wfe_label(runs.namespace, 'rerun', to_jsonb(runs.rerun_of::text))"
    )
    op.execute(LABELS_OF.replace("RERUN", ""))
    replace_triggers("")


def replace_triggers(more: str) -> None:
    """Say anew which runs have labels."""
    for name, event, row in (("runs_labelled", "INSERT", "NEW"), ("runs_unlabelled", "DELETE", "OLD")):
        condition = HAS_LABELS.format(row=row, more=more.format(row=row))
        op.execute(f"DROP TRIGGER {name} ON runs")
        op.execute(
            f"CREATE TRIGGER {name} AFTER {event} ON runs FOR EACH ROW WHEN {condition} "
            "EXECUTE FUNCTION wfe_label_run()"
        )
