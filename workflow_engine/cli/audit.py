"""``wfe audit``: who did what, and whether the log of it is as it was recorded."""

import dataclasses
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click

from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.failures import FAILURE, Failure
from workflow_engine.cli.output import as_json_option, as_values, moment, print_json, print_table, yielding
from workflow_engine.engine.audit_desk import AuditReport
from workflow_engine.ids import RunId
from workflow_engine.model.audit_chain import AuditRow
from workflow_engine.store.audit import AuditFilter
from workflow_engine.store.partitions import Month


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    try:
        return None if value is None else datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        problem = f"{value!r} is not an ISO 8601 time: 2026-01-31T12:00, local unless it has a zone"
        raise click.BadParameter(problem, ctx, param) from None


def _month(ctx: click.Context, param: click.Parameter, value: str | None) -> Month | None:
    try:
        return None if value is None else Month.of(datetime.strptime(value, "%Y-%m").replace(tzinfo=UTC))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a month: 2026-01", ctx, param) from None


def _place(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[datetime, int] | None:
    time, _, number = (value or "").rpartition("/")
    try:
        return None if value is None else (datetime.fromisoformat(time).astimezone(UTC), int(number))
    except (ValueError, OverflowError):
        problem = f"{value!r} is not the time and number of a row: 2026-01-31T12:00:00+00:00/17"
        raise click.BadParameter(problem, ctx, param) from None


@click.group()
def audit() -> None:
    """Verify the audit log; list who did what."""


@audit.command()
@click.option(
    "--from-month", callback=_month, metavar="YYYY-MM", help="Look at nothing recorded before its first event."
)
@as_json_option
@click.pass_context
def verify(ctx: click.Context, from_month: Month | None, as_json: bool) -> None:
    """Tell whether the audit log is as it was recorded: no row changed, missing, inserted or moved; else exit 1.

    Keep the last line elsewhere: it tells later whether the whole log was replaced.
    """
    with engine_here() as engine:
        report = engine.audit_desk.verify(from_month=from_month, progress=_show_progress)
    if as_json:
        print_json(_report_values(report))
        ctx.exit(FAILURE if report.flaw else 0)
    _print_report(report)


@audit.command("list")
@click.option("--namespace", help="Only what happened in this namespace.")
@click.option("--run", "run_id", type=click.UUID, metavar="RUN_ID", help="Only what happened to this run.")
@click.option("--actor", help="Only what this actor did; `engine` is what nobody asked for.")
@click.option("--since", callback=_moment, metavar="TIME", help="Only what happened at this time or later.")
@click.option("--until", callback=_moment, metavar="TIME", help="Only what happened before this time.")
@click.option("--before", callback=_place, metavar="TIME/NUMBER", help="Only rows older than this one: the next page.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="How many.")
@as_json_option
def list_rows(limit: int, as_json: bool, run_id: UUID | None, **fields: Any) -> None:
    """List the audit log, the newest events first."""
    wanted = AuditFilter(run_id=None if run_id is None else RunId(str(run_id)), **fields)
    with engine_here() as engine:
        found = list(engine.audit_desk.rows(wanted, limit))
    if as_json:
        print_json([_row_values(row) for row in found])
    elif found:
        columns = ["NUMBER", "TIME", "ACTOR", "EVENT", "RUN", "STEP"]
        print_table(columns, [_cells(row) for row in found], giving_way=["ACTOR", "STEP"])
        if len(found) == limit:
            click.echo(
                f"the next page: --before {found[-1].entry.occurred_at.isoformat()}/{found[-1].number}", err=True
            )
    else:
        click.echo("nothing is recorded")


def _show_progress(number: int, last: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{number:,} of {last:,} rows", nl=False, err=True)


def _print_report(report: AuditReport) -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    if report.flaw is not None:
        raise Failure(f"the audit log is not as it was recorded: number {report.flaw.number} {report.flaw.reason}")
    dropped = f"; {report.dropped} more were dropped by retention" if report.dropped else ""
    click.echo(f"{report.rows} rows are as they were recorded{dropped}")
    click.echo(f"last: number {report.end.number}, SHA-256 {report.end.hash.hex()}")


def _report_values(report: AuditReport) -> dict[str, Any]:
    return {
        "is_whole": report.flaw is None,
        "rows": report.rows,
        "dropped": report.dropped,
        "first_number": report.first_number,
        "last_number": report.end.number,
        "last_hash": report.end.hash.hex(),
        "flaw": None if report.flaw is None else dataclasses.asdict(report.flaw),
    }


def _row_values(row: AuditRow) -> dict[str, Any]:
    hashes = {"previous_hash": row.previous_hash.hex(), "hash": row.hash.hex()}
    return {"number": row.number, **as_values(row.entry), "recorded_at": row.recorded_at, **hashes}


def _cells(row: AuditRow) -> list[Any]:
    entry = row.entry
    return [
        str(row.number),
        moment(entry.occurred_at),
        yielding(entry.actor),
        entry.event,
        entry.run_id or "",
        yielding(entry.step or ""),
    ]
