"""Dashboard and alerts ask for metrics, and labels, that our processes have."""

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import promql_parser
import pytest
import yaml

from workflow_engine.metrics import instruments
from workflow_engine.metrics.instrument import Kind

DOCKER = Path(__file__).parents[3] / "docker"
RULES = yaml.safe_load((DOCKER / "prometheus/alerts.yml").read_text())["groups"][0]["rules"]
FROM_PROMETHEUS = {"instance", "process", "job"}


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("grafana_dashboard", DOCKER / "grafana/dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generator = _generator()
PANELS = [panel for panel in json.loads(generator.FILE.read_text())["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in RULES]


def _known() -> dict[str, set[str]]:
    """Return each metric's labels by its name at the port."""
    known: dict[str, set[str]] = {}
    for each in instruments.INSTRUMENTS:
        labels = {*each.labels, *FROM_PROMETHEUS}
        if each.kind is Kind.HISTOGRAM:
            known |= {f"{each.prometheus_name}_{part}": labels | {"le"} for part in ("bucket", "sum", "count")}
        else:
            known[each.prometheus_name] = labels
    return known


KNOWN = _known()


def _selectors(tree: object) -> Iterator[promql_parser.VectorSelector]:
    if isinstance(tree, promql_parser.VectorSelector):
        yield tree
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        if (part := getattr(tree, name, None)) is not None:
            yield from _selectors(part)
    for part in getattr(tree, "args", None) or ():
        yield from _selectors(part)


def _grouped(tree: object) -> Iterator[str]:
    modifier = getattr(tree, "modifier", None)
    yield from getattr(modifier, "labels", None) or ()
    for name in ("expr", "lhs", "rhs"):
        if (part := getattr(tree, name, None)) is not None:
            yield from _grouped(part)
    for part in getattr(tree, "args", None) or ():
        yield from _grouped(part)


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_asks_for_metrics_and_labels_that_there_are(query: str) -> None:
    tree = promql_parser.parse(query.replace("$__rate_interval", "5m"))
    selectors = list(_selectors(tree))

    assert selectors
    for selector in selectors:
        assert selector.name in KNOWN
        assert {matcher.name for matcher in selector.matchers.matchers} <= KNOWN[selector.name]
    assert set(_grouped(tree)) <= set.union(*(KNOWN[str(selector.name)] for selector in selectors))


def test_the_dashboard_is_what_its_program_writes() -> None:
    written = json.dumps(generator.dashboard(), indent=2) + "\n"

    assert generator.FILE.read_text() == written, "run: python docker/grafana/dashboard.py"


def test_every_panel_is_on_the_grid_and_overlaps_no_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(generator.FILE.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= generator.COLUMNS
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_reads_from_the_provisioned_source() -> None:
    (source,) = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((DOCKER / "grafana/provisioning/dashboards/workflow-engine.yml").read_text())[
        "providers"
    ]

    assert {panel["datasource"]["uid"] for panel in PANELS} == {source["uid"]}
    assert provider["options"]["path"] == "/etc/grafana/dashboards"


def test_every_metric_has_a_place_on_the_dashboard() -> None:
    asked = " ".join(QUERIES)
    left_out = {"wfe_backlog_complete", "wfe_relay_lag_events"}

    assert {each.prometheus_name for each in instruments.INSTRUMENTS if each.prometheus_name not in asked} == left_out


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"].keys() == {"summary", "description"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="there is no promtool here")
def test_prometheus_takes_its_configuration() -> None:
    argv = ["promtool", "check", "config", str(DOCKER / "prometheus/prometheus.yml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
