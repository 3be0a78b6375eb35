"""``wfe events tail``: the event log, for people and for programs."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, Final

import click

from workflow_engine.bootstrap.engine import Engine
from workflow_engine.cli.engines import engine_here
from workflow_engine.cli.failures import WrongUsage, one_line
from workflow_engine.cli.following import Follower, Past, past_events
from workflow_engine.cli.output import is_interactive, print_text
from workflow_engine.definitions.names import did_you_mean
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.model.codec import event_to_json
from workflow_engine.model.events import CATALOGUE
from workflow_engine.model.records import EventRecord
from workflow_engine.store.event_search import EventFilter

NEWEST: Final = 20
"""Events that are shown unless the command line says otherwise."""
EVERY: Final = "*"

_NAME_WIDTH: Final = max(map(len, CATALOGUE))
_PLAIN: Final = re.compile(r"[\w.,:@/+-]+")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_TOLD_ELSEWHERE: Final = frozenset({"workflow", "version", "submitted_at", "started_at", "dispatched_at", "ready_at"})
_COLOURS: Final = {
    "succeeded": "green",
    "completed": "green",
    "failed": "red",
    "lost": "red",
    "dead_lettered": "red",
    "started": "cyan",
    "retrying": "yellow",
    "released": "yellow",
    "cancelling": "yellow",
    "cancelled": "magenta",
    "expired": "magenta",
}


def _moment(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    """Return the moment that is meant; a time without a zone is in the local one."""
    if value is None:
        return None
    parts = _DURATION.findall(value)
    try:
        if parts and "".join(number + unit for number, unit in parts) == value:
            ago = sum((timedelta(**{_UNITS[unit]: float(number)}) for number, unit in parts), timedelta())
            return datetime.now(UTC) - ago
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        problem = f"{value!r} is neither a time (2026-01-31T12:00) nor a duration (90s, 10m, 1h30m, 2d)"
        raise click.BadParameter(problem, ctx, param) from None


@click.command()
@click.option("--run", "run_id", metavar="RUN_ID", help="Only events of this run.")
@click.option("--name", "patterns", multiple=True, metavar="GLOB", help="Only such events: `step.*`; may be repeated.")
@click.option("--namespace", help="Only this namespace; `*` is every one. The settings' own unless given.")
@click.option("--workflow", help="Only events of runs of this workflow.")
@click.option("--since", callback=_moment, metavar="WHEN", help="Only from a time, or so long ago (10m, 2h, 1d), on.")
@click.option("--limit", type=click.IntRange(0), help="How many of those in the log: 20, or all with --since.")
@click.option("--follow", "-f", "is_following", is_flag=True, help="Go on with new events, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print each event as a line of JSON, for programs.")
def tail(
    run_id: str | None,
    patterns: Sequence[str],
    namespace: str | None,
    workflow: str | None,
    since: datetime | None,
    limit: int | None,
    is_following: bool,
    as_json: bool,
) -> None:
    """Show the newest events of the log, the oldest of them first."""
    names = _names(patterns)
    past = Past(limit=NEWEST if limit is None and since is None else limit, since=since)
    with engine_here() as engine, suppress(KeyboardInterrupt):
        wanted = EventFilter(
            run_id=None if run_id is None else engine.client.run(run_id).id,
            names=names,
            namespace=_namespace(engine, namespace),
            workflow=workflow,
        )
        for event in _events(engine, wanted, past, is_following=is_following):
            click.echo(event_to_json(event)) if as_json else print_text(event_line(event))


def _events(engine: Engine, wanted: EventFilter, past: Past, *, is_following: bool) -> Iterator[EventRecord]:
    if not is_following:
        return past_events(engine.store, wanted, past)
    follower = Follower(engine.store, wanted, poll_seconds=engine.settings.poll_seconds)
    return follower.events(past, lost=_tell_lost)


def _tell_lost(error: DatabaseUnavailable) -> None:
    click.echo(f"{one_line(str(error))}; trying again", err=True)


def _namespace(engine: Engine, given: str | None) -> str | None:
    return None if given == EVERY else given or engine.settings.namespace


def _names(patterns: Sequence[str]) -> frozenset[str] | None:
    """Return the catalogue's names that the patterns mean; None for all, also those of newer programs."""
    found = [[name for name in CATALOGUE if fnmatchcase(name, pattern)] for pattern in patterns]
    for pattern, names in zip(patterns, found, strict=True):
        if not names:
            meant = did_you_mean(pattern, CATALOGUE)
            raise WrongUsage(f"--name {pattern!r} matches no event{meant}: `wfe events list` shows which there are")
    return frozenset(name for names in found for name in names) if patterns else None


def event_line(event: EventRecord) -> str:
    """Return an event as one line."""
    at = event.occurred_at.astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    colour = _COLOURS.get(event.name.partition(".")[2]) if is_interactive() else None
    name = f"{event.name:<{_NAME_WIDTH}}"
    name = click.style(name, fg=colour) if colour else name
    about = [event.step, None if event.attempt is None else f"attempt={event.attempt}"]
    subject = [event.run_id or "-", name, event.workflow or "", *filter(None, about)]
    return "  ".join(filter(None, [at, *subject, _detail(event)]))


def _detail(event: EventRecord) -> str:
    told = {name: value for name, value in event.data.items() if value is not None and name not in _TOLD_ELSEWHERE}
    return " ".join(f"{name}={_shown(value)}" for name, value in told.items())


def _shown(value: Any) -> str:
    """Return a value without what could steer a terminal."""
    text = value if isinstance(value, str) else json.dumps(value)
    if _PLAIN.fullmatch(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in quoted)
