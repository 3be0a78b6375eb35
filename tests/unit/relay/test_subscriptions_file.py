"""The subscribers file is read strictly: each mistake is told with file, place and what was probably meant."""

import re
from pathlib import Path

import pytest

from workflow_engine import ConfigurationError
from workflow_engine.relay.subscriptions_file import SubscriberRule, read_subscribers_file, unknown_workflows


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, where the file is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str | bytes) -> dict[str, SubscriberRule]:
    file = Path("subs.yml")
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_subscribers_file(file)


def test_a_rule_has_all_its_keys() -> None:
    rule = read("""
        subscribers:
          slack:
            class: "ours:Slack"
            enabled: false
            subscribe_to: [run.failed, "step.*"]
            namespaces: [default]
            options: {url: https://hooks.example.com, tries: [1, 2]}
            workflows:
              orders: {enabled: false, subscribe_to: [run.failed], options: {channel: shop}}
              "*": {enabled: true}
    """)["slack"]

    assert (rule.import_path, rule.enabled, rule.subscribe_to) == ("ours:Slack", False, ["run.failed", "step.*"])
    assert (rule.namespaces, rule.only_workflows) == (["default"], None)
    assert rule.options == {"url": "https://hooks.example.com", "tries": [1, 2]}
    assert list(rule.workflow_rules) == ["orders", "*"]
    assert rule.workflow_rules["orders"].options == {"channel": "shop"}


def test_workflows_may_be_a_list() -> None:
    rule = read("subscribers: {slack: {workflows: [orders]}}")["slack"]

    assert (rule.only_workflows, rule.workflow_rules) == (["orders"], {})


@pytest.mark.parametrize("workflows", ["[orders, ordres, x]", "{orders: {}, ordres: {enabled: false}, x: {}, '*': {}}"])
def test_names_that_no_workflow_has_are_told_with_the_closest_one(workflows: str) -> None:
    read(f"subscribers: {{mail: {{}}, slack: {{workflows: {workflows}}}}}")

    assert unknown_workflows(Path("subs.yml"), {"orders", "bills"}) == [
        "subs.yml: subscribers.slack.workflows: no workflow 'ordres' is known here, did you mean 'orders'?",
        "subs.yml: subscribers.slack.workflows: no workflow 'x' is known here, known are bills, orders",
    ]


@pytest.mark.parametrize("text", ["", "# nothing yet", "subscribers:", "subscribers: {}"])
def test_an_empty_file_is_about_nobody(text: str) -> None:
    assert read(text) == {}


def test_a_subscriber_without_anything_is_as_it_comes() -> None:
    assert read("subscribers:\n  slack:\n  mail: {options: }")["slack"] == SubscriberRule()


def test_what_yaml_merges_is_no_key_twice() -> None:
    rules = read("""
        subscribers:
          one: &usual {namespaces: [a], options: {x: 1}}
          two: {<<: *usual, namespaces: [b]}
    """)

    assert (rules["two"].namespaces, rules["two"].options) == (["b"], {"x": 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("subscriber: {}", "subscriber: unknown key, did you mean 'subscribers'?"),
        ("1: {}", "1: the key must be text (in quotes)"),
        ("[slack]", "must be a mapping with the key 'subscribers', not a list"),
        ("slack", "must be a mapping with the key 'subscribers', not 'slack'"),
        ("subscribers: [slack]", "subscribers: must be a mapping, not a list"),
        ("subscribers: {slack: yes}", "subscribers.slack: must be a mapping, not True"),
        ("subscribers: {7: {}}", "subscribers.7: the key must be text (in quotes)"),
        (
            "subscribers: {slack: {subscribe_too: [run.failed]}}",
            "subscribers.slack.subscribe_too: unknown key, did you mean 'subscribe_to'?",
        ),
        (
            "subscribers: {slack: {xyz: 1}}",
            "subscribers.slack.xyz: unknown key, keys are class, enabled, subscribe_to, namespaces, options, workflows",
        ),
        (
            "subscribers: {slack: {workflows: {orders: {optoins: {}}}}}",
            "subscribers.slack.workflows.orders.optoins: unknown key, did you mean 'options'?",
        ),
        (
            "subscribers: {slack: {subscribe_to: run.failed}}",
            "subscribers.slack.subscribe_to: must be a list: [run.failed]",
        ),
        (
            "subscribers: {slack: {subscribe_to: []}}",
            "subscribers.slack.subscribe_to: must be a list with something in it, not an empty list",
        ),
        ("subscribers: {slack: {subscribe_to: [1]}}", "subscribers.slack.subscribe_to.0: must be text, not 1"),
        ("subscribers: {slack: {enabled: 'no'}}", "subscribers.slack.enabled: must be true or false, not 'no'"),
        ("subscribers: {slack: {namespaces: {a: b}}}", "subscribers.slack.namespaces: must be a list, not a mapping"),
        ("subscribers: {slack: {class: [a]}}", "subscribers.slack.class: must be text, not a list"),
        ("subscribers: {slack: {class: ''}}", "subscribers.slack.class: must be a name, not ''"),
        ("subscribers: {slack: {options: [1]}}", "subscribers.slack.options: must be a mapping, not a list"),
        (
            "subscribers: {slack: {options: {1: 1}}}",
            "subscribers.slack.options.1: the key must be text (in quotes)",
        ),
        (
            "subscribers: {slack: {workflows: orders}}",
            "subscribers.slack.workflows: must be a list of workflows or a mapping, not 'orders'",
        ),
        (
            "subscribers: {slack: {workflows: ['my orders']}}",
            "subscribers.slack.workflows.0: workflow name 'my orders' may only have letters",
        ),
        ("subscribers: {slack: {workflows: {a: [b]}}}", "subscribers.slack.workflows.a: must be a mapping, not a list"),
        (
            "subscribers: {slack: {namespaces: ['*']}}",
            "subscribers.slack.namespaces.0: namespace name '*' may only have letters",
        ),
        ("subscribers: {a: {}, b: {}, a: {}}", "is not YAML: the key 'a' is there twice (line 1, column 29)"),
        (
            "subscribers:\n  a:\n    options: {x: 1}\n    options: {y: 1}",
            "is not YAML: the key 'options' is there twice (line 4, column 5)",
        ),
        ("a: b: c", "is not YAML: mapping values are not allowed here (line 1, column 5)"),
        ("subscribers: {a: {options: {at: 2026-13-01}}}", "is not YAML: month must be in 1..12"),
        ("!!python/object/apply:os.getcwd []", "is not YAML: could not determine a constructor for the tag"),
        (b"\xff\xfe\x00", "is not YAML: "),
        ("\0", "is not YAML: "),
        ("[" * 10_000, "is not YAML: "),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str | bytes, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(f"subs.yml: {said}")):
        read(text)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        read("subscribers: {slack: {enabld: true, namespaces: a}, mail: {class: 1}}")

    assert sorted(str(refused.value).split("; ")) == [
        "subs.yml: subscribers.mail.class: must be text, not 1",
        "subs.yml: subscribers.slack.enabld: unknown key, did you mean 'enabled'?",
        "subs.yml: subscribers.slack.namespaces: must be a list: [a]",
    ]


def test_a_file_that_is_not_there_is_told_with_the_setting(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"WFE_SUBSCRIBERS_FILE: there is no file 'none\.yml'"):
        read_subscribers_file(Path("none.yml"))
    with pytest.raises(ConfigurationError, match=r"WFE_SUBSCRIBERS_FILE: cannot read .*: Is a directory"):
        read_subscribers_file(folder)
