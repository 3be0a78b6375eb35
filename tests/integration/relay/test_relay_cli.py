"""`wfe subscribers` and `wfe dead-letters`, on a database where a relay has been at work; and the relay process."""

import getpass
import json
import signal
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.integration.cli.running import Command, Ended, wfe, wfe_process
from tests.support.processes import ROOT, wait_until
from tests.support.relays import Recorder, append, running, wait_for
from workflow_engine.store.deliveries import DeadLetter
from workflow_engine.store.transaction import Store

ME = f"{getpass.getuser()}@{socket.gethostname()}"
Wfe = Callable[..., Ended]


class Once(Recorder):
    name = "slack"
    tries = 1


@pytest.fixture
def command(store: Store) -> Wfe:
    """Run a command on the database."""
    urls = {"WFE_DATABASE_URL": store.database.url, "WFE_BROKER_URL": "redis://127.0.0.1:1/0"}
    return lambda *arguments: wfe(*arguments, **urls)


@pytest.fixture
def letters(store: Store) -> list[DeadLetter]:
    """Two dead letters of slack, while mail has got everything."""
    places = append(store, 2)
    slack, mail = Once("slack", reaction=lambda event: 1 / 0), Recorder("mail")
    with running(store.database.url, slack, mail):
        wait_for(mail, places)
        wait_until(lambda: len(_dead(store)) == 2)
    return _dead(store)


def _dead(store: Store) -> list[DeadLetter]:
    with store.single() as tx:
        return tx.deliveries.page_dead_letters()


def published(store: Store, name: str) -> list[dict[str, object]]:
    with store.single() as tx:
        return [row.data for row in tx.connection.execute("SELECT data FROM events WHERE name = %s", [name])]


def test_the_list_of_subscribers_says_how_far_each_is(command: Wfe, letters: list[DeadLetter]) -> None:
    rows = {row["subscriber"]: row for row in command("subscribers", "list", "--json").json}
    table = command("subscribers", "list").out.splitlines()

    assert rows["slack"]["dead"] == 2
    assert rows["slack"]["relay"] is None
    assert rows["mail"]["position"] >= letters[-1].position
    assert table[0].split() == ["SUBSCRIBER", "POSITION", "BEHIND", "SINCE", "PARKED", "DEAD", "RELAY"]
    assert [line.split()[0] for line in table[1:]] == ["mail", "slack"]


def test_where_nobody_ever_subscribed_the_list_says_what_to_do(command: Wfe) -> None:
    ended = command("subscribers", "list")

    assert ended.code == 0
    assert "WFE_SUBSCRIBERS" in ended.out
    assert command("subscribers", "list", "--json").json == []


def test_a_replay_from_a_position_sets_the_cursor_and_names_who_did_it(
    command: Wfe, store: Store, letters: list[DeadLetter]
) -> None:
    ended = command("subscribers", "replay", "mail", "--from-position", "0", "--json")

    assert ended.json == {"subscriber": "mail", "position": 0}
    assert published(store, "subscriber.replayed") == [{"subscriber": "mail", "from_position": 0, "actor": ME}]


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d"])
def test_a_replay_from_a_time_begins_before_the_first_event_since(
    command: Wfe, letters: list[DeadLetter], form: str
) -> None:
    since = (datetime.now(UTC) - timedelta(days=2)).strftime(form)

    ended = command("subscribers", "replay", "mail", "--from-time", since)

    assert ended.code == 0, ended.err
    assert ended.out == f"mail gets what comes after position {letters[0].position - 1}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["mail"], 2, "give either --from-position or --from-time"),
        (["mail", "--from-position", "1", "--from-time", "2026-01-01"], 2, "give either"),
        (["mail", "--from-position", "999999"], 2, "position: must be between 0 and"),
        (["nobody", "--from-position", "0"], 1, "no durable subscriber 'nobody' has a cursor; known: mail, slack"),
        (["mail", "--from-time", "yesterday"], 2, "'yesterday' does not match the formats"),
    ],
)
def test_a_replay_that_cannot_be_is_refused(
    command: Wfe, letters: list[DeadLetter], arguments: list[str], code: int, message: str
) -> None:
    ended = command("subscribers", "replay", *arguments)

    assert ended.code == code
    assert message in ended.err


def test_a_subscriber_that_is_gone_is_forgotten_with_all_it_failed_on(
    command: Wfe, store: Store, letters: list[DeadLetter]
) -> None:
    ended = command("subscribers", "forget", "slack", "--yes", "--actor", "ada")

    assert ended.out == "forgot slack, with 2 dead letters and 0 parked events\n"
    assert [row["subscriber"] for row in command("subscribers", "list", "--json").json] == ["mail"]
    assert _dead(store) == []
    assert published(store, "subscriber.discarded") == [{"subscriber": "slack", "deliveries": 2, "actor": "ada"}]
    assert command("subscribers", "forget", "mail", "--json").json == {"subscriber": "mail", "parked": 0, "dead": 0}


def test_a_subscriber_that_a_relay_delivers_to_is_not_forgotten(command: Wfe, store: Store) -> None:
    with running(store.database.url, Recorder("mail")):
        wait_until(lambda: any(row["relay"] for row in command("subscribers", "list", "--json").json), why="it is held")
        refused = command("subscribers", "forget", "mail")

    assert refused.code == 2
    assert "delivers to 'mail': remove it there first" in refused.err
    assert command("subscribers", "forget", "mail").code == 0


def test_a_subscriber_that_nobody_knows_cannot_be_forgotten(command: Wfe, letters: list[DeadLetter]) -> None:
    ended = command("subscribers", "forget", "slak")

    assert ended.code == 1
    assert ended.err == (
        "error: no durable subscriber 'slak' has a cursor (did you mean 'slack'?); known: mail, slack\n"
    )


def test_dead_letters_are_listed_and_shown(command: Wfe, letters: list[DeadLetter]) -> None:
    listed = command("dead-letters", "list", "--subscriber", "slack", "--json").json
    table = command("dead-letters", "list").out.splitlines()
    shown = command("dead-letters", "show", letters[0].event_id)

    assert [row["event_id"] for row in listed] == [letter.event_id for letter in letters]
    assert table[0].split() == ["SUBSCRIBER", "EVENT", "NAME", "FAILED", "TRIES", "ERROR"]
    assert "ZeroDivisionError: division by zero" in table[1]
    assert json.loads(shown.out[shown.out.index("{") :])["event_id"] == letters[0].event_id
    assert command("dead-letters", "show", letters[0].event_id, "--json").json[0]["subscriber"] == "slack"


def test_where_there_are_no_dead_letters_the_list_says_so(command: Wfe) -> None:
    assert command("dead-letters", "list").out == "no dead letters\n"
    assert command("dead-letters", "list", "--json").json == []


def test_one_dead_letter_is_requeued_and_the_rest_discarded(
    command: Wfe, store: Store, letters: list[DeadLetter]
) -> None:
    requeued = command("dead-letters", "requeue", "--event", letters[0].event_id, "--actor", "ada", "--json")
    discarded = command("dead-letters", "discard", "--all")

    assert requeued.json == {"requeued": 1, "subscribers": {"slack": 1}}
    assert discarded.out == "discarded 1 of slack\n"
    assert _dead(store) == []
    assert published(store, "subscriber.requeued") == [{"subscriber": "slack", "deliveries": 1, "actor": "ada"}]
    assert published(store, "subscriber.discarded") == [{"subscriber": "slack", "deliveries": 1, "actor": ME}]


@pytest.mark.parametrize("what", ["requeue", "discard"])
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "say which: --subscriber, --event or both, or else --all"),
        (["--all", "--subscriber", "slack"], 2, "say which"),
        (["--event", "17"], 2, "'17' is not the id of an event"),
        (["--subscriber", "mail"], 1, "there is no dead letter of subscriber 'mail'"),
        (["--event", str(uuid4())], 1, "there is no dead letter for event"),
    ],
)
def test_dead_letters_that_are_not_there_are_refused(
    command: Wfe, letters: list[DeadLetter], store: Store, what: str, arguments: list[str], code: int, message: str
) -> None:
    ended = command("dead-letters", what, *arguments)

    assert ended.code == code
    assert message in ended.err
    assert len(_dead(store)) == 2


def test_showing_a_dead_letter_that_is_not_there_fails(command: Wfe) -> None:
    ended = command("dead-letters", "show", str(uuid4()))

    assert (ended.code, ended.err[:35]) == (1, "error: there is no dead letter for ")


@pytest.fixture
def start(tmp_path: Path, store: Store) -> Iterator[Callable[..., Command]]:
    """Start commands on the database; what still runs at the end of the test is killed."""
    started: list[Command] = []

    def start_one(*arguments: str, **variables: str) -> Command:
        log = tmp_path / f"command-{len(started)}.log"
        urls = {"WFE_DATABASE_URL": store.database.url, "PYTHONPATH": str(ROOT)}
        started.append(Command(*arguments, cwd=tmp_path, log=log, **{**urls, **variables}))
        return started[-1]

    yield start_one
    for each in started:
        each.clean_up()


def test_a_relay_delivers_until_ctrl_c(store: Store, tmp_path: Path, start: Callable[..., Command]) -> None:
    ready = tmp_path / "ready"
    places = append(store, 3)
    subscribers = {"WFE_SUBSCRIBERS": "tests.acceptance.relay_log:Tracer", "RELAY_FOLDER": str(tmp_path)}
    relay = start("relay", "--ready-file", str(ready), **subscribers)
    wait_until(ready.exists, why="it is ready")
    trace = tmp_path / "trace"
    wait_until(lambda: trace.exists() and trace.read_text().count("\n") == len(places), why="it has delivered")

    assert relay.stop(signal.SIGINT, within=15) == 0
    assert not ready.exists()
    assert "stopping (SIGINT)" in relay.output


def test_a_relay_whose_subscribers_cannot_be_loaded_says_so_in_one_line(store: Store, tmp_path: Path) -> None:
    variables = {"WFE_DATABASE_URL": store.database.url, "WFE_SUBSCRIBERS": "no_such_module"}

    ended = wfe_process("relay", cwd=tmp_path, **variables)

    assert ended.code == 2
    assert ended.err.startswith("error: WFE_SUBSCRIBERS: cannot import 'no_such_module'")
