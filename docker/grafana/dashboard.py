"""Write Grafana's dashboard (``python docker/grafana/dashboard.py``): panels are easier to keep here than in JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parent / "dashboards" / "workflow-engine.json"
SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
COLUMNS: Final = 24
_OF: Final = 'namespace=~"$namespace", workflow=~"$workflow"'
_RATE: Final = "[$__rate_interval]"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One chart, or one number."""

    title: str
    queries: Mapping[str, str]
    """PromQL by legend."""
    unit: str = "short"
    description: str = ""
    width: int = 8
    kind: str = "timeseries"
    thresholds: Sequence[tuple[float | None, str]] = field(default=((None, "green"),))

    @property
    def height(self) -> int:
        """In Grafana's rows."""
        return 4 if self.kind == "stat" else 8


def rate(metric: str, by: str, where: str = "") -> str:
    """Return how often a counter counts in a second."""
    return f"sum by ({by}) (rate({metric}{{{where}}}{_RATE}))"


def quantile(share: float, metric: str, by: str = "", where: str = "") -> str:
    """Return below which value that share of a histogram is."""
    labels = ", ".join(part for part in ("le", by) if part)
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{where}}}{_RATE})))"


def quantiles(metric: str, where: str = "") -> dict[str, str]:
    """Return the usual three."""
    return {f"p{share * 100:g}": quantile(share, metric, where=where) for share in (0.5, 0.95, 0.99)}


def number(
    title: str, query: str, *, unit: str = "short", bad: float | None = None, good: float | None = None
) -> Panel:
    """Return a panel with one number: red from ``bad`` on, or below ``good``."""
    thresholds: list[tuple[float | None, str]] = [(None, "green")]
    if bad is not None:
        thresholds.append((bad, "red"))
    if good is not None:
        thresholds = [(None, "red"), (good, "green")]
    return Panel(title=title, queries={"": query}, unit=unit, width=3, kind="stat", thresholds=thresholds)


ROWS: Final[Mapping[str, Sequence[Panel]]] = {
    "Now": [
        number("Coordinator leads", "max(wfe_coordinator_leads)", good=1),
        number("PostgreSQL answers", "max(wfe_database_up)", good=1),
        number("Workers alive", "max(wfe_workers_alive)", good=1),
        number("Unfinished runs", "sum(max by (state) (wfe_unfinished_runs))"),
        number("Oldest ready step", "max(wfe_oldest_ready_step_age_seconds)", unit="s", bad=60),
        number("Stale runs", 'max(wfe_stale_runs{level="stale"})', bad=1),
        number("Steps for a person", "sum(max by (namespace, workflow) (wfe_dead_steps))", bad=1),
        number("Deliveries for a person", "sum(max by (subscriber) (wfe_dead_letters))", bad=1),
    ],
    "Runs": [
        Panel(title="Runs by state", queries={"{{state}}": rate("wfe_runs_total", "state", _OF)}, unit="ops"),
        Panel(title="How long runs take", queries=quantiles("wfe_run_duration_seconds", _OF), unit="s"),
        Panel(
            title="Failed runs",
            queries={"{{workflow}}": rate("wfe_runs_total", "workflow", f'{_OF}, state="failed"')},
            unit="ops",
        ),
    ],
    "Steps": [
        Panel(title="Steps by state", queries={"{{state}}": rate("wfe_steps_total", "state", _OF)}, unit="ops"),
        Panel(
            title="How long steps take, 19 of 20",
            queries={"{{workflow}}.{{step}}": quantile(0.95, "wfe_step_duration_seconds", "workflow, step", _OF)},
            unit="s",
        ),
        Panel(
            title="Retries and losses",
            queries={
                "retried": f"sum(rate(wfe_step_retries_total{{{_OF}}}{_RATE}))",
                "lost": f"sum(rate(wfe_steps_lost_total{{{_OF}}}{_RATE}))",
            },
            unit="ops",
        ),
        Panel(
            title="Wait for a worker",
            queries=quantiles("wfe_step_queue_wait_seconds", _OF),
            unit="s",
            description="From dispatch to claim.",
        ),
        Panel(
            title="Dispatch latency",
            queries=quantiles("wfe_step_dispatch_latency_seconds", _OF),
            unit="s",
            description="From the moment a step could run to its dispatch.",
        ),
        Panel(title="Unfinished steps", queries={"{{state}}": "max by (state) (wfe_unfinished_steps)"}),
    ],
    "Queues and workers": [
        Panel(title="Steps that wait in queues", queries={"{{queue}}": "max by (queue) (wfe_queue_depth)"}),
        Panel(
            title="Workers at work",
            queries={
                "steps at hand": "sum(wfe_worker_steps_at_hand)",
                "places in pools": "sum(wfe_worker_pool_size)",
                "workers": "sum(wfe_worker_up)",
            },
        ),
        Panel(
            title="Tasks",
            queries={
                "{{kind}} received": rate("wfe_worker_tasks_received_total", "kind"),
                "{{kind}} finished": rate("wfe_worker_tasks_finished_total", "kind"),
            },
            unit="ops",
        ),
        Panel(
            title="Age of heartbeats",
            queries={"{{instance}}": "max by (instance) (wfe_worker_heartbeat_age_seconds)"},
            unit="s",
            thresholds=((None, "green"), (10, "red")),
        ),
        Panel(
            title="Circuits",
            queries={"{{circuit}} {{instance}}": "max by (circuit, instance) (wfe_circuit_state)"},
            description="0 closed: the process asks the other side; 1 half-open; 2 open: it does not.",
        ),
        Panel(title="Circuits that opened", queries={"{{circuit}}": rate("wfe_circuit_openings_total", "circuit")}),
    ],
    "Coordinator": [
        Panel(
            title="Readiness to dispatch",
            queries={
                "{{triggered_by}} p99": quantile(0.99, "wfe_task_readiness_latency_seconds", "triggered_by"),
                "notice p99": quantile(0.99, "wfe_task_readiness_notification_latency_seconds"),
            },
            unit="s",
        ),
        Panel(
            title="Notices and commands",
            queries={
                "{{triggered_by}} notices": rate("wfe_task_readiness_events_received_total", "triggered_by"),
                "{{triggered_by}} commands": rate("wfe_task_readiness_command_sent_total", "triggered_by"),
            },
            unit="ops",
        ),
        Panel(
            title="What was overlooked",
            queries={
                "polls": f"sum(rate(wfe_fallback_polls_executed_total{_RATE}))",
                "found by polling": f"sum(rate(wfe_fallback_tasks_found_total{_RATE}))",
                "sent again": f"sum(rate(wfe_steps_resent_total{_RATE}))",
            },
            unit="ops",
        ),
        Panel(title="Timers", queries={"{{kind}}": "max by (kind) (wfe_timers_pending)"}),
        Panel(title="Timers fired", queries={"{{kind}}": rate("wfe_timers_fired_total", "kind")}, unit="ops"),
        Panel(title="Lateness of timers", queries=quantiles("wfe_timer_lateness_seconds"), unit="s"),
    ],
    "Events": [
        Panel(title="Events", queries={"{{name}}": rate("wfe_events_total", "name")}, unit="ops"),
        Panel(
            title="How far subscribers are behind",
            queries={"{{subscriber}}": "max by (subscriber) (wfe_relay_lag_seconds)"},
            unit="s",
        ),
        Panel(
            title="Deliveries",
            queries={
                "{{subscriber}} delivered": rate("wfe_relay_delivered_total", "subscriber"),
                "{{subscriber}} failed": rate("wfe_relay_failed_total", "subscriber"),
            },
            unit="ops",
        ),
    ],
    "HTTP API": [
        Panel(title="Requests", queries={"{{code}}": rate("wfe_api_requests_total", "code")}, unit="reqps", width=12),
        Panel(
            title="How long requests take, 99 of 100",
            queries={"{{method}} {{route}}": quantile(0.99, "wfe_api_request_duration_seconds", "method, route")},
            unit="s",
            width=12,
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana reads it."""
    return {
        "uid": "workflow-engine",
        "title": "Workflow Engine",
        "tags": ["workflow-engine"],
        "schemaVersion": 41,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_variable("namespace"), _variable("workflow", 'namespace=~"$namespace"')]},
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    y = identifier = 0
    for title, panels in ROWS.items():
        identifier += 1
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        yield {"id": identifier, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        y, x = y + 1, 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                y, x = y + panel.height, 0
            identifier += 1
            yield _panel(panel, identifier, {"x": x, "y": y, "w": panel.width, "h": panel.height})
            x += panel.width
        y += panels[-1].height


def _panel(panel: Panel, identifier: int, place: Mapping[str, int]) -> dict[str, Any]:
    steps = [{"value": value, "color": color} for value, color in panel.thresholds]
    return {
        "id": identifier,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": dict(place),
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": _OPTIONS[panel.kind],
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": query, "legendFormat": legend or "__auto"}
            for place, (legend, query) in enumerate(panel.queries.items())
        ],
    }


_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "stat": {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "background", "graphMode": "none"},
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}


def _variable(name: str, where: str = "") -> dict[str, Any]:
    query = f"label_values(wfe_runs_total{{{where}}}, {name})"
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "sort": 1,
        "current": {"text": "All", "value": "$__all"},
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(dashboard(), indent=2) + "\n")
