"""The keys that an issuer publishes: kept, asked for anew when a token names another one, and not too often."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.support.http_server import Answer, HttpServer, http_server, json_answer
from tests.support.processes import wait_until
from tests.support.tokens import ec_key, jwk, jwks, rsa_key, signed, write
from workflow_engine.api.jwks import PublishedKeys, download, read_bounded
from workflow_engine.api.refusals import KeysUnavailable, Unauthorized
from workflow_engine.api.tokens import Tokens

OLD, NEW = rsa_key(), rsa_key(1)


class Issuer:
    """A real server of keys, and what checks tokens with them; the time is the test's."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.now = 1_000.0
        self.keys = PublishedKeys(
            partial(download, f"{server.url}/jwks.json"), fresh_seconds=300, pause_seconds=5, clock=lambda: self.now
        )
        self.tokens = Tokens(self.keys)

    def publishes(self, *answers: Answer) -> None:
        self.server.answers[:] = answers

    def takes(self, token: str) -> bool:
        try:
            return asyncio.run(self.tokens.caller(token)).subject is not None
        except Unauthorized:
            return False

    @property
    def times_asked(self) -> int:
        return len(self.server.asked)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with http_server() as server:
        made = Issuer(server)
        made.publishes(json_answer(jwks(old=OLD)))
        yield made


def test_the_keys_are_asked_for_once(issuer: Issuer) -> None:
    assert issuer.times_asked == 0
    assert all(issuer.takes(signed(OLD, kid="old")) for _ in range(10))
    assert issuer.times_asked == 1


def test_a_new_key_is_taken_as_soon_as_a_token_names_it_and_the_old_one_goes(issuer: Issuer) -> None:
    assert issuer.takes(signed(OLD, kid="old"))
    issuer.publishes(json_answer(jwks(new=NEW)))
    issuer.now += 6

    assert issuer.takes(signed(NEW, kid="new"))
    assert not issuer.takes(signed(OLD, kid="old"))


def test_invented_names_do_not_make_us_hammer_the_issuer(issuer: Issuer) -> None:
    assert issuer.takes(signed(OLD, kid="old"))

    assert not any(issuer.takes(signed(OLD, kid=f"invented-{number}")) for number in range(50))
    assert issuer.times_asked == 1
    issuer.now += 6
    assert not any(issuer.takes(signed(OLD, kid=f"invented-{number}")) for number in range(50))
    assert issuer.times_asked == 2


def test_a_withdrawn_key_goes_when_the_keys_are_old(issuer: Issuer) -> None:
    assert issuer.takes(signed(OLD, kid="old"))
    issuer.publishes(json_answer(jwks(new=NEW)))
    issuer.now += 301

    wait_until(lambda: not issuer.takes(signed(OLD, kid="old")), why="the old key is gone")


@pytest.mark.parametrize(
    "trouble",
    [
        Answer(hang_up=True),
        Answer(status=503),
        Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        Answer(body=b"{"),
        Answer(body=b"[" * 100_000),
        Answer(body=b'{"keys": []}'),
        Answer(body=b" " * 300_000 + json.dumps(jwks(new=NEW)).encode()),
    ],
    ids=["hangs up", "503", "sends elsewhere", "no JSON", "nested JSON", "no keys", "too much"],
)
def test_while_the_issuer_is_in_trouble_the_old_keys_go_on(issuer: Issuer, trouble: Answer) -> None:
    assert issuer.takes(signed(OLD, kid="old"))
    issuer.publishes(trouble)
    issuer.now += 301

    assert not issuer.takes(signed(NEW, kid="new"))
    assert issuer.times_asked == 2
    assert issuer.takes(signed(OLD, kid="old"))


def test_with_no_keys_yet_nobody_can_tell_and_it_is_tried_again(issuer: Issuer) -> None:
    issuer.publishes(Answer(status=503))
    for _ in range(3):
        with pytest.raises(KeysUnavailable) as raised:
            issuer.takes(signed(OLD, kid="old"))
    assert raised.value.headers == {"Retry-After": "5"}
    assert issuer.times_asked == 1

    issuer.publishes(json_answer(jwks(old=OLD)))
    issuer.now += 6
    assert issuer.takes(signed(OLD, kid="old"))


def test_many_who_wait_for_the_same_keys_ask_once(issuer: Issuer) -> None:
    token = signed(OLD, kid="old")
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: issuer.takes(token), range(40)))

    assert issuer.times_asked == 1


def test_a_token_without_a_key_name_fits_where_there_is_one_key_only(issuer: Issuer) -> None:
    assert issuer.takes(signed(OLD))

    issuer.publishes(json_answer(jwks(old=OLD, new=NEW)))
    issuer.now += 301
    wait_until(lambda: not issuer.takes(signed(OLD)), why="two keys are known")


def test_keys_for_other_purposes_and_secrets_are_not_taken(issuer: Issuer) -> None:
    found = [
        jwk(OLD, "for-encryption", use="enc"),
        jwk(OLD, "for-another-algorithm", alg="PS256"),
        jwk(rsa_key(bits=1024), "short"),
        {
            "kty": "oct",
            "kid": "secret",
            "k": "YS1zZWNyZXQtb2YtdGhlc2UtdGVzdHMtYW5kLW9mLW5vYm9keS1lbHNl",
            "alg": "HS256",
        },
        jwk(NEW, "new", alg="RS256", use="sig"),
        jwk(ec_key(), "curve"),
    ]
    issuer.publishes(json_answer({"keys": found}))

    assert issuer.takes(signed(NEW, kid="new"))
    assert issuer.takes(signed(ec_key(), kid="curve"))
    assert not issuer.takes(signed(OLD, kid="for-encryption"))
    assert not issuer.takes(signed(OLD, kid="for-another-algorithm"))
    assert asyncio.run(issuer.keys.find("short")) is None
    assert not issuer.takes(signed(kid="secret"))


def test_keys_in_a_file_change_with_it(tmp_path: Path) -> None:
    path = write(tmp_path / "jwks.json", json.dumps(jwks(old=OLD)))
    keys = PublishedKeys(partial(read_bounded, path), pause_seconds=0)
    assert asyncio.run(keys.find("old")) is not None

    write(path, json.dumps(jwks(new=NEW)))
    assert asyncio.run(keys.find("new")) is not None
    write(path, " " * 300_000 + json.dumps(jwks(old=OLD)))
    assert asyncio.run(keys.find("old")) is None
    path.unlink()
    assert asyncio.run(keys.find("old")) is None
    assert asyncio.run(keys.find("new")) is not None
