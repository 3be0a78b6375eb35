"""`wfe db` on a real PostgreSQL."""

import pytest

from tests.integration.cli.running import Ended, wfe

pytestmark = pytest.mark.usefixtures("nowhere")


def db(url: str, *arguments: str) -> Ended:
    return wfe("db", *arguments, WFE_DATABASE_URL=url)


def test_the_schema_goes_up_down_and_up_again(fresh_database: str) -> None:
    assert db(fresh_database, "check").code == 1
    up = db(fresh_database, "upgrade")
    assert (up.code, up.out.startswith("empty -> ")) == (0, True)
    assert db(fresh_database, "check").code == 0
    assert db(fresh_database, "downgrade", "base").code == 0
    assert db(fresh_database, "check", "--json").json["current"] is None
    assert db(fresh_database, "upgrade").code == 0
    assert db(fresh_database, "check", "--json").json["is_current"] is True


def test_a_second_upgrade_does_nothing(fresh_database: str) -> None:
    db(fresh_database, "upgrade")

    assert db(fresh_database, "upgrade").out.startswith("nothing to do: the schema is ")


def test_a_downgrade_goes_one_step_back_unless_told_otherwise(fresh_database: str) -> None:
    head = db(fresh_database, "upgrade", "--json").json["head"]

    after = db(fresh_database, "downgrade", "--json").json
    assert after["before"] == head
    assert after["current"] not in {head, None}


def test_an_unknown_revision_is_wrong_usage(fresh_database: str) -> None:
    ended = db(fresh_database, "upgrade", "nope")

    assert ended.code == 2
    assert "nope" in ended.err
    assert ended.err.count("\n") == 1


def test_an_unreachable_database_is_a_failure() -> None:
    ended = db("postgresql://nobody@127.0.0.1:1/none", "check")

    assert ended.code == 1
    assert ended.err.startswith("error: PostgreSQL does not answer")
    assert ended.err.count("\n") == 1


def test_runs_on_a_database_without_the_schema_say_what_to_run(fresh_database: str) -> None:
    ended = wfe("runs", "list", WFE_DATABASE_URL=fresh_database, WFE_BROKER_URL="redis://127.0.0.1:1/0")

    assert ended.code == 1
    assert "wfe db upgrade" in ended.err
