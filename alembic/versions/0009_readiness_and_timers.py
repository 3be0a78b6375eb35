"""Durable timers; notices of what became ready, of runs that moved and of new namespaces; who leads.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

CHANNEL = """
CREATE FUNCTION wfe_namespace_channel(namespace text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    -- The name of a channel has at most 63 bytes.
    SELECT 'wfe_ready.' || CASE WHEN octet_length(namespace) <= 53 THEN namespace ELSE md5(namespace) END
$$
"""

NOTIFY_RUN = """
CREATE FUNCTION wfe_notify_run(subject uuid, why text, step_position integer, step_state text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    run record;
    ready integer;
    payload text;
BEGIN
    SELECT runs.namespace, runs.priority, runs.state, runs.plan_id INTO run FROM runs WHERE id = subject;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT count(*) INTO ready FROM steps
     WHERE run_id = subject AND ready_at <= clock_timestamp() AND state IN ('ready', 'retrying');
    payload := json_build_object(
        'run_id', subject, 'namespace', run.namespace, 'priority', run.priority, 'ready_steps', ready,
        'triggered_by', why, 'run_state', run.state, 'sent_at', extract(epoch FROM clock_timestamp()),
        'step_id', CASE WHEN ready = 1 THEN
            (SELECT name FROM plan_steps WHERE plan_id = run.plan_id AND position = step_position) END,
        'step_state', CASE WHEN ready = 1 THEN step_state END);
    IF octet_length(payload) > 7900 THEN          -- NOTIFY takes less than 8,000 bytes; names may be longer
        payload := json_build_object(
            'run_id', subject, 'namespace', NULL, 'priority', run.priority, 'ready_steps', ready,
            'triggered_by', why, 'run_state', run.state, 'sent_at', extract(epoch FROM clock_timestamp()));
    END IF;
    PERFORM pg_notify('wfe_ready', payload), pg_notify(wfe_namespace_channel(run.namespace), payload);
END $$
"""

STEP_READY = """
CREATE FUNCTION wfe_step_ready() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.ready_at > clock_timestamp() THEN
        INSERT INTO timers (kind, due_at, run_id) VALUES ('step_ready', NEW.ready_at, NEW.run_id)
            ON CONFLICT (run_id, due_at) WHERE kind = 'step_ready' DO NOTHING;
    ELSIF current_setting('wfe.announced', true) IS DISTINCT FROM NEW.run_id::text THEN
        -- At the commit, once a run: the first row of a fan-out speaks for the thousands behind it.
        PERFORM set_config('wfe.announced', NEW.run_id::text, true);
        PERFORM wfe_notify_run(NEW.run_id, 'step_ready', NEW.position, NEW.state);
    END IF;
    RETURN NULL;
END $$
"""

RUN_MOVED = """
CREATE FUNCTION wfe_run_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM wfe_notify_run(NEW.id, 'run_state', NULL, NULL);
    RETURN NULL;
END $$
"""

RUN_FINISHED = """
CREATE FUNCTION wfe_run_finished() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- One that is being fired is left to whoever fires it, and finds the run finished: waiting for it could deadlock.
    DELETE FROM timers USING (SELECT id FROM timers WHERE run_id = NEW.id FOR UPDATE SKIP LOCKED) AS idle
     WHERE timers.id = idle.id;
    RETURN NULL;
END $$
"""

RUN_TIMED = """
CREATE FUNCTION wfe_run_timed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO timers (kind, due_at, run_id) VALUES ('run_expiry', NEW.expires_at, NEW.id);
    RETURN NULL;
END $$
"""

TIMER_SET = """
CREATE FUNCTION wfe_timer_set() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Rounded down, so that a transaction with many timers notifies once for each second of them.
    PERFORM pg_notify('wfe_timers', floor(extract(epoch FROM NEW.due_at))::text);
    RETURN NULL;
END $$
"""

NAMESPACE_CHANGED = """
CREATE FUNCTION wfe_namespace_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed text := CASE WHEN TG_OP = 'INSERT' THEN NEW.namespace ELSE OLD.namespace END;
BEGIN
    IF (SELECT count(*) FROM (SELECT FROM plans WHERE namespace = changed LIMIT 2) AS found)
       = (CASE WHEN TG_OP = 'INSERT' THEN 1 ELSE 0 END) THEN
        PERFORM pg_notify('wfe_namespaces', left(changed, 1000));
    END IF;
    RETURN NULL;
END $$
"""

READY_STEPS = """
CREATE VIEW ready_steps AS
SELECT steps.run_id, steps.position, runs.namespace, runs.workflow, plan_steps.name AS step, plan_steps.queue,
       coalesce(runs.priority, plan_steps.priority) AS priority, steps.attempt, steps.state, steps.ready_at,
       clock_timestamp() - steps.ready_at AS age
  FROM steps
  JOIN runs ON runs.id = steps.run_id AND runs.state IN ('pending', 'running')
  JOIN plan_steps ON plan_steps.plan_id = runs.plan_id AND plan_steps.position = steps.position
 WHERE steps.ready_at <= clock_timestamp()
   AND steps.state IN ('ready', 'retrying')
"""

QUIET_MOVES = "('pending>running', 'running>succeeded', 'paused>succeeded')"
"""Those of the hot path: a NOTIFY there would serialise the commits of all workers, and nobody waits for it."""

MAY_HAVE_TIMERS = "(NEW.expires_at IS NOT NULL OR NEW.due_at IS NOT NULL OR NEW.state <> 'succeeded')"
"""A run that simply succeeds, the hot path, has none but those of delays that are over soon, and find nothing to do."""

FUNCTIONS = (
    "wfe_namespace_changed()",
    "wfe_timer_set()",
    "wfe_run_timed()",
    "wfe_run_finished()",
    "wfe_run_moved()",
    "wfe_step_ready()",
    "wfe_notify_run(uuid, text, integer, text)",
    "wfe_namespace_channel(text)",
)


def upgrade() -> None:
    """Make the tables, the view and the triggers; what waits for its time gets its timer."""
    create_timers()
    create_leaders()
    for function in (
        CHANNEL, NOTIFY_RUN, STEP_READY, RUN_MOVED, RUN_FINISHED, RUN_TIMED, TIMER_SET, NAMESPACE_CHANGED,
    ):  # fmt: skip
        op.execute(function)
    op.execute(READY_STEPS)
    drop_first_notices()
    create_triggers()
    op.execute(
        "INSERT INTO timers (kind, due_at, run_id) "
        "SELECT DISTINCT 'step_ready', ready_at, run_id FROM steps WHERE ready_at > clock_timestamp()"
    )
    op.execute(
        "INSERT INTO timers (kind, due_at, run_id) "
        "SELECT 'run_expiry', expires_at, id FROM runs WHERE expires_at IS NOT NULL AND state = 'pending'"
    )


def create_timers() -> None:
    """One row for each moment in the future that something is to happen at."""
    op.create_table(
        "timers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("schedule_id", sa.BigInteger(), nullable=True),
        sa.Column("data", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint("(run_id IS NULL) <> (schedule_id IS NULL)", name=op.f("timers_subject_check")),
        sa.PrimaryKeyConstraint("id", name=op.f("timers_pkey")),
        comment="Moments in the future of runs and schedules; whoever fires one deletes it in the same transaction.",
    )
    op.create_index("timers_due_idx", "timers", ["due_at"], unique=False)
    op.create_index("timers_run_idx", "timers", ["run_id"], unique=False)
    op.create_index(
        "timers_step_ready_key",
        "timers",
        ["run_id", "due_at"],
        unique=True,
        postgresql_where=sa.text("kind = 'step_ready'"),
    )


def create_leaders() -> None:
    """Who leads, and since when it was last heard of; the advisory lock decides, this tells whether it is awake."""
    op.create_table(
        "leaders",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("backend_pid", sa.Integer(), nullable=False),
        sa.Column("elected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("role", name=op.f("leaders_pkey")),
        comment="The coordinator that holds a role's advisory lock, by its own word.",
    )


def drop_first_notices() -> None:
    """Remove the notification of 0001, which said nothing but that something is ready."""
    op.execute("DROP TRIGGER steps_ready_inserted ON steps")
    op.execute("DROP TRIGGER steps_ready_updated ON steps")
    op.execute("DROP FUNCTION wfe_notify_ready()")


def create_triggers() -> None:
    """None of them calls a function on the hot path: their conditions are tested before."""
    op.execute(
        "CREATE CONSTRAINT TRIGGER steps_ready_inserted AFTER INSERT ON steps DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW WHEN (NEW.ready_at IS NOT NULL) EXECUTE FUNCTION wfe_step_ready()"
    )
    op.execute(
        "CREATE CONSTRAINT TRIGGER steps_ready_updated AFTER UPDATE ON steps DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW WHEN (NEW.ready_at IS NOT NULL AND OLD.ready_at IS DISTINCT FROM NEW.ready_at) "
        "EXECUTE FUNCTION wfe_step_ready()"
    )
    op.execute(
        "CREATE TRIGGER runs_moved AFTER UPDATE ON runs FOR EACH ROW "
        f"WHEN (OLD.state IS DISTINCT FROM NEW.state AND (OLD.state || '>' || NEW.state) NOT IN {QUIET_MOVES}) "
        "EXECUTE FUNCTION wfe_run_moved()"
    )
    op.execute(
        "CREATE TRIGGER runs_finished AFTER UPDATE ON runs FOR EACH ROW "
        f"WHEN (NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL AND {MAY_HAVE_TIMERS}) "
        "EXECUTE FUNCTION wfe_run_finished()"
    )
    op.execute(
        "CREATE TRIGGER runs_timed AFTER INSERT ON runs FOR EACH ROW "
        "WHEN (NEW.expires_at IS NOT NULL) EXECUTE FUNCTION wfe_run_timed()"
    )
    op.execute(
        "CREATE TRIGGER timers_set AFTER INSERT ON timers FOR EACH ROW "
        "WHEN (NEW.due_at < clock_timestamp() + interval '2 minutes') EXECUTE FUNCTION wfe_timer_set()"
    )
    op.execute(
        "CREATE TRIGGER timers_moved AFTER UPDATE ON timers FOR EACH ROW "
        "WHEN (NEW.due_at < OLD.due_at) EXECUTE FUNCTION wfe_timer_set()"
    )
    op.execute(
        "CREATE TRIGGER plans_namespace_changed AFTER INSERT OR DELETE ON plans FOR EACH ROW "
        "EXECUTE FUNCTION wfe_namespace_changed()"
    )


def downgrade() -> None:
    """Go back to the notification without words; moments are where they were before: in the steps and runs."""
    for table, trigger in (
        ("plans", "plans_namespace_changed"),
        ("timers", "timers_moved"),
        ("timers", "timers_set"),
        ("runs", "runs_timed"),
        ("runs", "runs_finished"),
        ("runs", "runs_moved"),
        ("steps", "steps_ready_updated"),
        ("steps", "steps_ready_inserted"),
    ):
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    op.execute("DROP VIEW ready_steps")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("leaders")
    op.drop_table("timers")
    op.execute(
        """
        CREATE FUNCTION wfe_notify_ready() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_notify('wfe_ready', '');
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER steps_ready_inserted AFTER INSERT ON steps FOR EACH ROW "
        "WHEN (NEW.ready_at IS NOT NULL) EXECUTE FUNCTION wfe_notify_ready()"
    )
    op.execute(
        "CREATE TRIGGER steps_ready_updated AFTER UPDATE ON steps FOR EACH ROW "
        "WHEN (NEW.ready_at IS NOT NULL AND OLD.ready_at IS DISTINCT FROM NEW.ready_at) "
        "EXECUTE FUNCTION wfe_notify_ready()"
    )
