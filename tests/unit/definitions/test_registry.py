"""The registry: one definition a name and version, found again with help for those who misspell."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflow_engine import ConfigurationError, DefinitionError, Workflow, WorkflowNotFound
from workflow_engine.definitions.registry import Registry


def workflow(name: str = "orders", **options: str) -> Workflow:
    """Return a workflow of one step."""
    made = Workflow(name, **options)
    made.step(name="only")(lambda ctx: None)
    return made


def test_a_workflow_may_be_added_twice_but_not_two_of_one_name_and_version() -> None:
    orders = workflow()
    registry = Registry([orders, orders])

    with pytest.raises(DefinitionError, match="two different workflows are named 'orders' version '1'"):
        registry.add(workflow())
    assert len(registry) == 1


def test_the_same_name_in_another_version_or_namespace_is_another_workflow() -> None:
    assert len(Registry([workflow(), workflow(version="2"), workflow(namespace="tenant")])) == 3


def test_without_a_version_the_one_added_last_is_meant() -> None:
    old, new = workflow(version="9"), workflow(version="10")
    registry = Registry([old, new])

    assert registry.get("orders") is new
    assert registry.get("orders", version="9") is old
    assert registry.find("default", "orders", "10") is new
    assert registry.find("default", "orders", "11") is None


def test_an_unknown_name_is_answered_with_the_closest_one() -> None:
    with pytest.raises(
        WorkflowNotFound, match=r"'order' is not known here \(did you mean 'orders'\?\); loaded: orders"
    ):
        Registry([workflow()]).get("order")


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(WorkflowNotFound, match="'orders' version '7'"):
        Registry([workflow()]).get("orders", version="7")


def test_a_workflow_that_is_not_complete_is_refused_when_it_is_added() -> None:
    unfinished = Workflow("unfinished")
    unfinished.step(name="a", after="b")(lambda ctx: None)

    with pytest.raises(DefinitionError, match="unknown step 'b'"):
        Registry([unfinished])


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module in the current folder, to be written by the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path / "some_flows.py"
    sys.modules.pop("some_flows", None)


TWO_WORKFLOWS = """
from workflow_engine import Workflow
one, two = Workflow("one"), Workflow("two")
for each in (one, two):
    each.step(name="only")(lambda ctx: None)
"""


def test_a_module_in_the_current_folder_gives_all_its_workflows(module: Path) -> None:
    module.write_text(TWO_WORKFLOWS)
    registry = Registry()

    registry.load(["some_flows"])

    assert sorted(each.name for each in registry) == ["one", "two"]


def test_an_attribute_gives_one(module: Path) -> None:
    module.write_text(TWO_WORKFLOWS)
    registry = Registry()

    registry.load(["some_flows:two"])

    assert [each.name for each in registry] == ["two"]


@pytest.mark.parametrize("path", ["some_flows:three", "some_flows:__name__", "json"])
def test_a_path_without_a_workflow_is_refused(module: Path, path: str) -> None:
    module.write_text(TWO_WORKFLOWS)

    with pytest.raises(ConfigurationError, match=f"'{path}' holds no workflow"):
        Registry().load([path])


def test_a_module_that_cannot_be_imported_is_named_with_the_reason(module: Path) -> None:
    module.write_text("import nothing_of_that_name")

    with pytest.raises(ConfigurationError, match="cannot import 'some_flows': No module named 'nothing_of_that_name'"):
        Registry().load(["some_flows"])


@pytest.mark.parametrize("path", ["", ":name", ".relative", "a..b"])
def test_a_path_that_can_be_none_is_refused(path: str) -> None:
    with pytest.raises(ConfigurationError, match="WFE_WORKFLOWS"):
        Registry().load([path])
