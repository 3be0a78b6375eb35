"""The reference pages say what the code says."""

import importlib.util
import re
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel, SecretStr

from workflow_engine.config import Settings
from workflow_engine.model.run import FINAL_RUN_STATES, RUN_TRANSITIONS
from workflow_engine.model.step import FINAL_STEP_STATES, STEP_TRANSITIONS

DOCS = Path(__file__).parents[3] / "docs"
_ARROW = re.compile(r"^ +(\w+) --> (\w+): (\w+)$", re.MULTILINE)
_END = re.compile(r"^ +(\w+) --> \[\*\]$", re.MULTILINE)


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = _generator()


@pytest.mark.parametrize("name", generate.PAGES)
def test_a_reference_page_is_what_the_code_makes_it(name: str) -> None:
    assert generate.read(name) == generate.PAGES[name](), "run: python docs/generate.py"


@pytest.mark.parametrize(
    ("title", "transitions", "final"),
    [
        ("Run", RUN_TRANSITIONS, FINAL_RUN_STATES),
        ("Step", STEP_TRANSITIONS, FINAL_STEP_STATES),
    ],
)
def test_a_diagram_has_exactly_the_arrows_of_its_state_machine(
    title: str, transitions: Mapping[tuple[str, str], str], final: frozenset[str]
) -> None:
    section = generate.read("explanation/states.md").partition(f"## {title}\n")[2].partition("\n## ")[0]

    assert set(_ARROW.findall(section)) == {(origin, to, by) for (origin, by), to in transitions.items()}
    assert set(_END.findall(section)) == final


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


OTHER_THAN_THE_DEFAULT = {
    "database_url": "postgresql://there/db",
    "broker_url": "redis://there",
    "workflows": "a",
    "subscribers": "a",
    "subscribers_file": "there.yaml",
    "redact": "a:b",
    "metrics_port": "9464",
    "flower_url": "http://there",
    "api_secret": "x" * 32,
    "api_jwks_url": "https://there/keys",
    "api_cors_origins": "https://there",
}
"""Where the default is nothing, which a variable cannot say, or the form is checked."""


@pytest.mark.parametrize(
    "name", [name for name, field in Settings.model_fields.items() if not isinstance(field.default, BaseModel)]
)
def test_a_setting_comes_from_the_variable_the_page_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    field = Settings.model_fields[name]
    value = OTHER_THAN_THE_DEFAULT.get(name, field.default)
    monkeypatch.setenv(f"WFE_{name.upper()}", str(value))

    assert f"`WFE_{name.upper()}`" in generate.read("reference/settings.md")
    read = getattr(Settings(), name)
    read = read.get_secret_value() if isinstance(read, SecretStr) else read
    assert str(read) == str((value,) if isinstance(read, tuple) else value)


@pytest.mark.parametrize(
    ("variable", "value", "path"),
    [
        ("WFE_ORCHESTRATION__DEPLOYMENT__MODE", "PollingOnly", "deployment.mode"),
        (
            "WFE_ORCHESTRATION__FALLBACK_POLLER__FALLBACK_POLLING_INTERVAL_SECONDS",
            "7.0",
            "fallback_poller.fallback_polling_interval_seconds",
        ),
        ("WFE_ORCHESTRATION__FALLBACK_POLLER__AGE_THRESHOLD_SECONDS", "7.0", "fallback_poller.age_threshold_seconds"),
        ("WFE_ORCHESTRATION__FALLBACK_POLLER__BATCH_SIZE", "7", "fallback_poller.batch_size"),
        ("WFE_ORCHESTRATION__LISTENER__NAMESPACES", '["a"]', "listener.namespaces"),
        ("WFE_ORCHESTRATION__CLASSIFICATION", '[{"action": "ignore"}]', "classification"),
    ],
)
def test_a_setting_of_a_table_comes_from_the_variable_the_page_names(
    variable: str, value: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    default = attrgetter(path)(Settings().orchestration)
    monkeypatch.setenv(variable, value)

    read = attrgetter(path)(Settings().orchestration)

    assert f"`{variable}`" in generate.read("reference/settings.md")
    assert read != default
