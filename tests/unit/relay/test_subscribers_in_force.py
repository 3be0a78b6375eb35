"""Which subscribers are in force: built in, imported, configured; and what each of them wants."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from workflow_engine import ConfigurationError, EventRecord, Subscriber
from workflow_engine.errors import SubscriberError
from workflow_engine.relay.registry import Subscribers, Subscription
from workflow_engine.testing import an_event

MODULE = """
from workflow_engine import Subscriber
from some_base import Imported, Shared

class Slack(Shared):
    name = "slack"
    subscribe_to = ["run.*", "step.failed"]


    def __init__(self, url="none", *, channel="ops"):
        super().__init__(url=url, channel=channel)

class Counts(Shared):
    name = "counts"
    subscribe_to = ["*"]
    delivery = "inline"

Again = Counts
"""
BASE = """
from workflow_engine import Subscriber

class Shared(Subscriber, abstract=True):
    def on_event(self, event):
        pass

class Imported(Shared):
    name = "imported"
    subscribe_to = ["run.failed"]
"""


class BuiltIn(Subscriber):
    """One that bootstrap makes."""

    name = "built_in"
    subscribe_to = ("*",)

    def __init__(self, store: str) -> None:
        self.store = store

    def configure(self, options: Mapping[str, Any], workflow_options: Mapping[str, Mapping[str, Any]]) -> None:
        if "bad" in options:
            raise ValueError("bad is bad")
        super().configure(options, workflow_options)

    def on_event(self, event: EventRecord) -> None: ...


class Slack(BuiltIn):
    """Has a name that is taken."""

    name = "slack"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with two modules in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "some_base.py").write_text(BASE)
    (tmp_path / "some_subscribers.py").write_text(MODULE)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent == tmp_path:
            del sys.modules[name]


Configured = Callable[[str], dict[str, Subscription]]


@pytest.fixture
def configured(folder: Path) -> Configured:
    """The module's subscribers as a file with that text has them."""

    def read(text: str) -> dict[str, Subscription]:
        (folder / "subs.yml").write_text(text)
        subscribers = Subscribers([BuiltIn("s")], paths=["some_subscribers"], file=Path("subs.yml"))
        return {each.name: each for each in subscribers}

    return read


def names(subscribers: Subscribers) -> list[str]:
    return [each.name for each in subscribers]


def test_a_module_gives_every_subscriber_defined_in_it_and_none_it_imports() -> None:
    assert names(Subscribers(paths=["some_subscribers"])) == ["slack", "counts"]


def test_a_path_to_a_class_gives_that_one_even_if_it_is_imported() -> None:
    assert names(Subscribers(paths=["some_subscribers:Imported"])) == ["imported"]


def test_durable_and_inline_ones_are_told_apart() -> None:
    subscribers = Subscribers([BuiltIn("s")], paths=["some_subscribers"])

    assert [each.name for each in subscribers.durable] == ["built_in", "slack"]
    assert [each.name for each in subscribers.inline] == ["counts"]
    assert len(subscribers) == 3


def test_a_class_named_twice_is_one_subscriber() -> None:
    paths = ["some_subscribers:Counts", "some_subscribers", "some_subscribers:Again"]

    assert names(Subscribers(paths=paths)) == ["slack", "counts"]


def test_two_of_one_name_are_refused_by_the_names_of_both() -> None:
    with pytest.raises(
        SubscriberError,
        match=r"two subscribers are named 'slack': test_subscribers_in_force:Slack and some_subscribers:Slack",
    ):
        Subscribers([Slack("s")], paths=["some_subscribers"])
    with pytest.raises(SubscriberError, match="two subscribers are named 'built_in'"):
        Subscribers([BuiltIn("s"), BuiltIn("s")])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "'' is not an import path"),
        ("a..b", "'a..b' is not an import path"),
        ("some_subscribers:", "'some_subscribers:' is not an import path: module or module:Class"),
        ("nowhere_at_all", "cannot import 'nowhere_at_all': No module named 'nowhere_at_all'"),
        ("json", "'json' holds no subscriber$"),
        ("only_imports", "'only_imports' holds no subscriber; those it imports are not meant .*: some_base:Imported"),
        ("some_subscribers:Slak", r"'some_subscribers' has no 'Slak': did you mean 'Slack'\?"),
        ("some_subscribers:Xyzzy", "has no 'Xyzzy': it has Imported, Slack, Counts"),
        ("some_subscribers:__name__", "'some_subscribers:__name__' is not a subclass of workflow_engine.Subscriber"),
        ("some_base:Shared", "'some_base:Shared' is abstract"),
        ("raises", "cannot import 'raises': ZeroDivisionError: division by zero"),
        ("is_no_python", "cannot import 'is_no_python': SyntaxError: "),
    ],
)
def test_a_path_without_a_subscriber_is_refused_with_the_reason(folder: Path, path: str, said: str) -> None:
    (folder / "only_imports.py").write_text("from some_base import Imported")
    (folder / "raises.py").write_text("1 / 0")
    (folder / "is_no_python.py").write_text("class:")

    with pytest.raises(ConfigurationError, match=f"^WFE_SUBSCRIBERS: .*{said}"):
        Subscribers(paths=[path])


def test_a_subscriber_that_cannot_work_is_refused_when_its_module_is_imported(folder: Path) -> None:
    (folder / "misspelt.py").write_text(
        "from some_base import Shared\nclass Bad(Shared):\n    name = 'bad'\n    subscribe_to = ['step.complete']\n"
    )

    with pytest.raises(
        SubscriberError, match=r"misspelt:Bad: unknown event 'step.complete': did you mean 'step.completed'\?"
    ):
        Subscribers(paths=["misspelt"])


def test_one_that_needs_options_says_where_they_are_given(folder: Path) -> None:
    (folder / "needy.py").write_text(
        "from some_base import Shared\n"
        "class Needy(Shared):\n"
        "    name = 'needy'\n"
        "    subscribe_to = ['run.failed']\n"
        "    def __init__(self, url, key): ...\n"
    )

    with pytest.raises(ConfigurationError, match=r"'needy' .*WFE_SUBSCRIBERS_FILE.* needs options: url, key"):
        Subscribers(paths=["needy"]).durable  # noqa: B018  making them is what fails


def test_without_a_file_a_subscription_wants_what_its_class_subscribes_to() -> None:
    (slack, _) = Subscribers(paths=["some_subscribers"])

    assert slack.wants(an_event("run.failed"))
    assert slack.wants(an_event("step.failed", namespace="tenant", workflow="whatever"))
    assert not slack.wants(an_event("step.completed"))


def test_the_file_narrows_events_and_namespaces(configured: Configured) -> None:
    slack = configured("subscribers: {slack: {subscribe_to: [run.*], namespaces: [tenant]}}")["slack"]

    assert slack.names == {name for name in slack.names if name.startswith("run.")}
    assert slack.wants(an_event("run.failed", namespace="tenant"))
    assert not slack.wants(an_event("run.failed"))
    assert not slack.wants(an_event("step.failed", namespace="tenant"))


def test_a_list_of_workflows_leaves_out_every_other(configured: Configured) -> None:
    slack = configured("subscribers: {slack: {workflows: [orders, billing]}}")["slack"]

    assert slack.wants(an_event("run.failed", workflow="billing"))
    assert not slack.wants(an_event("run.failed", workflow="other"))


def test_a_mapping_of_workflows_tells_what_is_different_for_them(configured: Configured) -> None:
    slack = configured("""
        subscribers:
          slack:
            subscribe_to: [run.failed]
            workflows:
              orders: {subscribe_to: [run.failed, step.failed], options: {channel: shop}}
              noisy: {enabled: false}
    """)["slack"]

    assert slack.names == {"run.failed", "step.failed"}
    assert slack.wants(an_event("step.failed", workflow="orders"))
    assert not slack.wants(an_event("step.failed", workflow="other"))
    assert slack.wants(an_event("run.failed", workflow="other"))
    assert not slack.wants(an_event("run.failed", workflow="noisy"))
    assert slack.subscriber.options_for("orders") == {"channel": "shop", "url": "none"}
    assert slack.subscriber.options_for("other") == {"channel": "ops", "url": "none"}


def test_a_star_among_the_workflows_is_every_other_one(configured: Configured) -> None:
    slack = configured("subscribers: {slack: {workflows: {'*': {enabled: false}, orders: {}}}}")["slack"]

    assert slack.wants(an_event("run.failed", workflow="orders"))
    assert not slack.wants(an_event("run.failed", workflow="other"))


def test_events_about_no_workflow_are_not_left_out_by_workflows(folder: Path) -> None:
    (folder / "watches.py").write_text(
        "from some_base import Shared\nclass W(Shared):\n    name = 'w'\n    subscribe_to = ['subscriber.*', '*']\n"
    )
    (folder / "subs.yml").write_text("subscribers: {w: {workflows: [orders]}}")
    (watches,) = Subscribers(paths=["watches"], file=Path("subs.yml"))

    assert watches.wants(an_event("subscriber.dead_lettered"))
    assert not watches.wants(an_event("run.failed", workflow="other"))


def test_options_reach_the_constructor_and_those_of_built_in_ones_reach_configure(configured: Configured) -> None:
    found = configured("subscribers: {slack: {options: {url: u}}, built_in: {options: {keep: 3}}}")

    assert found["slack"].subscriber.options_for(None) == {"url": "u", "channel": "ops"}
    assert found["built_in"].subscriber.options_for("orders") == {"keep": 3}


def test_the_file_brings_in_subscribers_of_its_own(folder: Path) -> None:
    (folder / "subs.yml").write_text(
        "subscribers: {imported: {class: 'some_base:Imported'}, slack: {class: some_subscribers}}"
    )

    assert names(Subscribers(file=Path("subs.yml"))) == ["imported", "slack"]


def test_a_disabled_one_is_not_made_but_its_rule_is_checked(configured: Configured) -> None:
    assert set(configured("subscribers: {slack: {enabled: false}}")) == {"built_in", "counts"}
    with pytest.raises(ConfigurationError, match=r"unknown event 'run\.faild'"):
        configured("subscribers: {slack: {enabled: false, subscribe_to: [run.faild]}}")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("slak: {}", "slak: unknown subscriber, did you mean 'slack'?"),
        ("other: {}", "other: unknown subscriber, known are built_in, slack, counts; `class: module:Class` adds one"),
        (
            "slack: {subscribe_to: [run.faild]}",
            "slack.subscribe_to.0: unknown event 'run.faild': did you mean 'run.failed'?",
        ),
        (
            "slack: {subscribe_to: [run.failed, 'stop.*']}",
            "slack.subscribe_to.1: no event matches 'stop.*': did you mean 'step.*'?",
        ),
        (
            "slack: {subscribe_to: [step.lost]}",
            "slack.subscribe_to.0: some_subscribers:Slack does not subscribe to 'step.lost': did you",
        ),
        (
            "slack: {subscribe_to: ['subscriber.*']}",
            "slack.subscribe_to.0: some_subscribers:Slack does not subscribe to 'subscriber.*': it",
        ),
        (
            "slack: {workflows: {a: {subscribe_to: [step.lost]}}}",
            "slack.workflows.a.subscribe_to.0: some_subscribers:Slack does not",
        ),
        (
            "slack: {options: {chanel: x}}",
            "slack.options.chanel: unknown option of some_subscribers:Slack, did you mean 'channel'?",
        ),
        (
            "slack: {workflows: {a: {options: {x: 1}}}}",
            "slack.workflows.a.options.x: unknown option of some_subscribers:Slack, options are url, channel",
        ),
        (
            "slack: {class: 'some_base:Imported'}",
            "slack.class: some_base:Imported is named 'imported': name it so here, too",
        ),
        ("slack: {class: nowhere_at_all}", "slack.class: cannot import 'nowhere_at_all'"),
        ("slack: {class: 'a b'}", "slack.class: 'a b' is not an import path"),
        ("built_in: {class: 'some_base:Imported'}", "built_in.class: some_base:Imported is named 'imported'"),
        (
            "built_in: {options: {bad: 1}}",
            "built_in: test_subscribers_in_force:BuiltIn refuses its options: ValueError: bad is bad",
        ),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_with_its_place(configured: Configured, rule: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"subs.yml: subscribers.{said}")):
        configured(f"subscribers: {{{rule}}}")


def test_a_constructor_that_raises_is_told_with_the_subscribers_place(folder: Path) -> None:
    (folder / "picky.py").write_text(
        "from some_base import Shared\n"
        "class Picky(Shared):\n"
        "    name = 'picky'\n"
        "    subscribe_to = ['run.failed']\n"
        "    def __init__(self, url):\n"
        "        raise ValueError(f'{url} is no URL')\n"
    )
    (folder / "subs.yml").write_text("subscribers: {picky: {class: picky, options: {url: u}}}")

    with pytest.raises(ConfigurationError, match=r"picky: picky:Picky cannot be made: ValueError: u is no URL"):
        list(Subscribers(file=Path("subs.yml")))


def test_one_that_is_not_asked_for_is_not_made(folder: Path) -> None:
    (folder / "picky.py").write_text(
        "from some_base import Shared\n"
        "class Picky(Shared):\n"
        "    name = 'picky'\n"
        "    subscribe_to = ['run.failed']\n"
        "    def __init__(self):\n"
        "        raise ValueError('only in the relay')\n"
    )

    subscribers = Subscribers(paths=["picky", "some_subscribers"])

    assert len(subscribers) == 3
    assert [each.name for each in subscribers.inline] == ["counts"]
    with pytest.raises(ConfigurationError, match="only in the relay"):
        subscribers.durable  # noqa: B018  making them is what fails


def test_a_kind_is_made_once() -> None:
    subscribers = Subscribers(paths=["some_subscribers"])

    assert subscribers.inline[0].subscriber is subscribers.inline[0].subscriber


def test_a_rule_about_one_of_the_librarys_that_is_not_wanted_here_is_for_other_processes(folder: Path) -> None:
    (folder / "subs.yml").write_text("subscribers: {metrics: {options: {x: 1}}}")

    assert len(Subscribers(file=Path("subs.yml"), reserved=["metrics"])) == 0
    with pytest.raises(ConfigurationError, match="metrics: unknown subscriber"):
        Subscribers(file=Path("subs.yml"))


def test_a_name_of_the_librarys_is_taken_even_where_its_subscriber_is_not_wanted() -> None:
    with pytest.raises(SubscriberError, match="Slack: a subscriber of this library is named 'slack'"):
        Subscribers(paths=["some_subscribers"], reserved=["slack"])
