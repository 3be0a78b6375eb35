"""Lists of runs by any filter: labels in the order of submits, and indexes that end with it.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

LABEL = """
CREATE FUNCTION wfe_label(namespace text, kind text, value jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_hash_extended(jsonb_build_array(namespace, kind, value), 0)
$$
"""

METADATA_PARTS = """
CREATE FUNCTION wfe_metadata_parts(metadata jsonb) RETURNS SETOF jsonb LANGUAGE sql IMMUTABLE AS $$
    -- [path, value] of each value, however deep. All items of a list have one path: @> does not ask for places.
    WITH RECURSIVE parts (path, value) AS (
        SELECT '[]'::jsonb, metadata
         UNION ALL
        SELECT parts.path || jsonb_build_array(child.key), child.value
          FROM parts
         CROSS JOIN LATERAL (
               SELECT key, value
                 FROM jsonb_each(CASE jsonb_typeof(parts.value) WHEN 'object' THEN parts.value ELSE '{}' END)
                UNION ALL
               SELECT NULL, value
                 FROM jsonb_array_elements(CASE jsonb_typeof(parts.value) WHEN 'array' THEN parts.value ELSE '[]' END)
              ) AS child
    )
    SELECT DISTINCT jsonb_build_array(path, value)
      FROM parts
     WHERE jsonb_typeof(value) NOT IN ('object', 'array')
$$
"""

LABELS_OF = """
CREATE FUNCTION wfe_labels_of(run runs) RETURNS SETOF bigint LANGUAGE plpgsql IMMUTABLE AS $$
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
    END IF;
    IF run.correlation_id <> run.id::text THEN
        RETURN NEXT wfe_label(run.namespace, 'correlation', to_jsonb(run.correlation_id));
    END IF;
END $$
"""

LABEL_RUN = """
CREATE FUNCTION wfe_label_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM run_labels
         WHERE label IN (SELECT wfe_labels_of(OLD)) AND created_at = OLD.created_at AND run_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO run_labels (label, created_at, run_id)
        SELECT label, NEW.created_at, NEW.id FROM wfe_labels_of(NEW) AS label
            ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$
"""

HAS_LABELS = (
    "({row}.tags <> '{{}}' OR {row}.metadata <> '{{}}' OR {row}.agent IS NOT NULL OR {row}.initiator IS NOT NULL "
    "OR {row}.schedule_id IS NOT NULL OR {row}.due_at IS NOT NULL OR {row}.correlation_id <> {row}.id::text)"
)
"""Asked before the function is called: a run that has none costs a comparison."""


def upgrade() -> None:
    """Make the labels, those of the runs there are too, and the indexes."""
    op.add_column(
        "runs",
        sa.Column(
            "phase",
            sa.Text(),
            sa.Computed("CASE WHEN state IN ('pending', 'running') THEN 'open' ELSE state END", persisted=True),
            nullable=True,
        ),
    )
    op.create_table(
        "run_labels",
        sa.Column("label", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("label", "created_at", "run_id", name=op.f("run_labels_pkey")),
        comment=(
            "By what else lists find runs: tags, each value in the metadata, agent, initiator, correlation id, "
            "schedule. A label is a hash of namespace, kind and value; triggers keep them. Unlike a GIN index, each "
            "has its runs in the order of their submits."
        ),
    )
    for function in (LABEL, METADATA_PARTS, LABELS_OF, LABEL_RUN):
        op.execute(function)
    op.execute(
        "INSERT INTO run_labels (label, created_at, run_id) "
        "SELECT label, runs.created_at, runs.id FROM runs, wfe_labels_of(runs) AS label ON CONFLICT DO NOTHING"
    )
    create_triggers()
    create_indexes()


def create_triggers() -> None:
    """Keep the labels right whoever writes the rows."""
    op.execute(
        "CREATE TRIGGER runs_labelled AFTER INSERT ON runs FOR EACH ROW "
        f"WHEN ({HAS_LABELS.format(row='NEW')}) EXECUTE FUNCTION wfe_label_run()"
    )
    op.execute(
        "CREATE TRIGGER runs_relabelled AFTER UPDATE OF tags, metadata, agent, due_at ON runs FOR EACH ROW "
        "WHEN (OLD.tags <> NEW.tags OR OLD.metadata <> NEW.metadata OR OLD.agent IS DISTINCT FROM NEW.agent "
        "OR OLD.due_at IS DISTINCT FROM NEW.due_at) "
        "EXECUTE FUNCTION wfe_label_run()"
    )
    op.execute(
        "CREATE TRIGGER runs_unlabelled AFTER DELETE ON runs FOR EACH ROW "
        f"WHEN ({HAS_LABELS.format(row='OLD')}) EXECUTE FUNCTION wfe_label_run()"
    )


def create_indexes() -> None:
    """Each ends with the order of the list, so that any page of it begins where the one before ended."""
    op.create_index("runs_workflow_newest_idx", "runs", ["namespace", "workflow", "created_at", "id"], unique=False)
    op.drop_index("runs_workflow_idx", table_name="runs")
    op.create_index("runs_plan_newest_idx", "runs", ["plan_id", "created_at", "id"], unique=False)
    op.create_index("runs_phase_newest_idx", "runs", ["namespace", "phase", "created_at", "id"], unique=False)
    op.create_index(
        "runs_finished_idx",
        "runs",
        ["namespace", "finished_at"],
        unique=False,
        postgresql_where=sa.text("finished_at IS NOT NULL"),
    )
    op.create_index(
        "runs_due_idx",
        "runs",
        ["namespace", "due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )


def downgrade() -> None:
    """Go back to the two indexes of before."""
    for name in (
        "runs_due_idx",
        "runs_finished_idx",
        "runs_phase_newest_idx",
        "runs_plan_newest_idx",
        "runs_workflow_newest_idx",
    ):
        op.drop_index(name, table_name="runs")
    op.create_index("runs_workflow_idx", "runs", ["namespace", "workflow", "created_at"], unique=False)
    for trigger in ("runs_unlabelled", "runs_relabelled", "runs_labelled"):
        op.execute(f"DROP TRIGGER {trigger} ON runs")
    op.execute("DROP FUNCTION wfe_label_run()")
    op.execute("DROP FUNCTION wfe_labels_of(runs)")
    op.execute("DROP FUNCTION wfe_metadata_parts(jsonb)")
    op.execute("DROP FUNCTION wfe_label(text, text, jsonb)")
    op.drop_table("run_labels")
    op.drop_column("runs", "phase")
