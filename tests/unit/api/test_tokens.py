"""Tokens: taken if they are signed by the one key, by its one algorithm, and have not expired."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.tokens import (
    BAD,
    SECRET,
    PrivateKey,
    ec_key,
    forged,
    hs256_with_a_public_key,
    jwks,
    private_pem,
    public_pem,
    rsa_key,
    seconds_from_now,
    signed,
    write,
)
from workflow_engine import ConfigurationError, InvalidInput
from workflow_engine.api.caller import Caller
from workflow_engine.api.keys import Key, OneKey
from workflow_engine.api.refusals import Unauthorized
from workflow_engine.api.tokens import Tokens, make_token, tokens_of
from workflow_engine.config import Settings

HS256 = Settings(api_secret=SECRET)


def caller(token: str, settings: Settings = HS256) -> Caller:
    return asyncio.run(tokens_of(settings).caller(token))


def test_a_good_token_says_who_its_caller_is_and_what_they_may_do() -> None:
    end = seconds_from_now(60)

    found = caller(signed(sub="ada", scopes=["runs:read"], namespaces=["a", "b"], exp=end))

    scopes, namespaces = frozenset({"runs:read"}), frozenset({"a", "b"})
    assert found == Caller(subject="ada", scopes=scopes, namespaces=namespaces, expires_at=end)


def test_scopes_may_be_one_text_as_oauth_has_them() -> None:
    assert caller(signed(scopes=None, scope="openid runs:read  admin")).scopes == {"openid", "runs:read", "admin"}


def test_a_token_that_names_no_scope_and_no_namespace_has_none() -> None:
    found = caller(signed(scopes=None, namespaces=None))

    assert (found.scopes, found.namespaces) == (frozenset(), frozenset())


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_token_is_refused_that_is(bad: Callable[[], str]) -> None:
    with pytest.raises(Unauthorized) as raised:
        caller(bad())

    assert str(raised.value) in {"the token is not valid", "the token has expired"}
    assert raised.value.headers["WWW-Authenticate"].startswith('Bearer realm="workflow-engine", error="invalid_token"')


def test_whoever_runs_it_can_find_out_why_a_token_is_not_valid(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="workflow_engine.api"), pytest.raises(Unauthorized):
        caller(signed("another-secret-that-is-long-enough-for-hs256"))

    assert "a token was refused: InvalidSignatureError: 'Signature verification failed'" in caplog.text


def test_only_a_token_that_is_signed_well_is_told_that_it_has_expired() -> None:
    with pytest.raises(Unauthorized, match="the token has expired"):
        caller(signed(exp=seconds_from_now(-1)))
    with pytest.raises(Unauthorized, match="the token is not valid"):
        caller(signed("another-secret-that-is-long-enough-for-hs256", exp=seconds_from_now(-1)))


class Time:
    """A clock in the test's hands."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at


def test_a_token_that_was_checked_before_ends_all_the_same() -> None:
    clock = Time()
    tokens = Tokens(OneKey(Key(algorithm="HS256", value=SECRET.encode())), clock=clock)
    token = signed(exp=seconds_from_now(60))

    assert asyncio.run(tokens.caller(token)) is asyncio.run(tokens.caller(token))
    clock.at += timedelta(seconds=61)
    with pytest.raises(Unauthorized, match="the token has expired"):
        asyncio.run(tokens.caller(token))


def test_only_so_many_tokens_are_known() -> None:
    tokens = tokens_of(HS256)
    for number in range(1_100):
        asyncio.run(tokens.caller(signed(sub=str(number))))

    assert len(tokens._known) == 1_000


def test_an_issuers_clock_may_be_a_little_ahead() -> None:
    assert caller(signed(iat=seconds_from_now(5), nbf=seconds_from_now(5)))


@pytest.mark.parametrize(
    ("setting", "value", "claim", "wrong"),
    [("issuer", "https://us", "iss", "https://them"), ("audience", "wfe", "aud", ["other", "else"])],
)
def test_issuer_and_audience_count_where_they_are_set(setting: str, value: str, claim: str, wrong: Any) -> None:
    strict = Settings(api_secret=SECRET, **{f"api_{setting}": value})

    assert caller(signed(**{claim: value}), strict)
    assert caller(signed(**{claim: wrong}))
    for changes in ({claim: wrong}, {}):
        with pytest.raises(Unauthorized):
            caller(signed(**changes), strict)


def test_one_of_several_audiences_may_be_ours() -> None:
    assert caller(signed(aud=["other", "wfe"]), Settings(api_secret=SECRET, api_audience="wfe"))


@pytest.mark.parametrize("key", [rsa_key(), ec_key()], ids=["RS256", "ES256"])
def test_a_public_key_checks_what_its_private_key_has_signed(key: PrivateKey, tmp_path: Path) -> None:
    settings = Settings(api_public_key_file=write(tmp_path / "key.pem", public_pem(key)))

    assert caller(signed(key), settings)
    assert caller(signed(key, kid="whatever"), settings)
    for token in (signed(rsa_key(1)), signed(), hs256_with_a_public_key(key), forged({"alg": "none"})):
        with pytest.raises(Unauthorized, match="the token is not valid"):
            caller(token, settings)


@pytest.mark.parametrize("form", [jwks(a=rsa_key()), jwks(a=rsa_key(), b=rsa_key(1))], ids=["one key", "two keys"])
def test_published_keys_are_found_by_their_names(form: dict[str, Any], tmp_path: Path) -> None:
    settings = Settings(api_jwks_file=write(tmp_path / "jwks.json", json.dumps(form)))

    assert caller(signed(rsa_key(), kid="a"), settings)
    for token in (signed(rsa_key(), kid="z"), signed(rsa_key(1), kid="a"), hs256_with_a_public_key(rsa_key())):
        with pytest.raises(Unauthorized):
            caller(token, settings)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("secret_file", "short\n", "SECRET_FILE: has 5 bytes, and a key of HS256 needs 32"),
        ("secret_file", public_pem(rsa_key()), "SECRET_FILE: "),
        ("public_key_file", b"nothing", "PUBLIC_KEY_FILE: .* has no public key in PEM form"),
        ("public_key_file", private_pem(rsa_key()), "PUBLIC_KEY_FILE: .* has a private key"),
        ("public_key_file", public_pem(rsa_key(bits=1024)), "PUBLIC_KEY_FILE: .* RSA key of 2048 bits"),
        ("public_key_file", public_pem(ec.generate_private_key(ec.SECP384R1())), "PUBLIC_KEY_FILE: .* P-256"),
        ("jwks_file", "{", "JWKS_FILE: .*: that is no JSON"),
        ("jwks_file", "[]", "JWKS_FILE: .*: that is no JWKS"),
        ("jwks_file", '{"keys": []}', "JWKS_FILE: .*: it has no RSA key of 2048 bits"),
        ("jwks_file", '{"keys": [7, {"kty": ["RSA"]}, {"kty": "RSA"}]}', "JWKS_FILE: .*: it has no RSA key"),
        ("jwks_file", '{"keys": [{"kty": "oct", "k": "AAAA"}]}', "JWKS_FILE: .*: it has no RSA key"),
    ],
)
def test_a_key_file_that_cannot_be_used_is_refused_by_its_setting(
    name: str, content: bytes | str, message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "key", content)

    with pytest.raises(ConfigurationError, match=f"^WFE_API_{message}"):
        tokens_of(Settings(**{f"api_{name}": path}))


@pytest.mark.parametrize("name", ["secret_file", "public_key_file", "jwks_file"])
def test_a_key_file_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"^WFE_API_{name.upper()}: .*/none cannot be read: No such file"):
        tokens_of(Settings(**{f"api_{name}": tmp_path / "none"}))


def test_a_secret_in_a_file_may_end_in_a_line_break(tmp_path: Path) -> None:
    assert caller(signed(), Settings(api_secret_file=write(tmp_path / "secret", f"{SECRET}\r\n")))


def test_without_any_key_it_is_said_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match=r"set WFE_API_SECRET .* or start `wfe api --no-auth`"):
        tokens_of(Settings())


def made(settings: Settings = HS256, **changes: Any) -> str:
    usual: dict[str, Any] = {
        "subject": "ada",
        "scopes": ["runs:read"],
        "namespaces": ["*"],
        "now": datetime.now(UTC),
        "lifetime": timedelta(hours=1),
    }
    return make_token(settings, **(usual | changes))


def test_a_token_of_our_own_is_one_that_we_take() -> None:
    strict = Settings(api_secret=SECRET, api_issuer="us", api_audience="wfe")

    assert caller(made(strict), strict).namespaces == {"*"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject": ""}, "subject"),
        ({"subject": "a\x00"}, "subject"),
        ({"lifetime": timedelta(0)}, "expires_in"),
        ({"namespaces": ["n" * 100 + str(n) for n in range(100)]}, "namespaces"),
    ],
)
def test_no_token_is_made_that_we_would_not_take(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: "):
        made(**changes)


def test_without_a_secret_no_token_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^WFE_API_SECRET is not set"):
        made(Settings(api_public_key_file=write(tmp_path / "key.pem", public_pem(rsa_key()))))
