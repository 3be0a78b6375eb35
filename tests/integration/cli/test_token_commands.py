"""``wfe token``: tokens for development; ``wfe api`` says what to set."""

from datetime import datetime, timedelta

import jwt
import pytest

from tests.integration.cli.running import wfe
from tests.support.tokens import SECRET, signed
from workflow_engine.clock import SystemClock

pytestmark = pytest.mark.usefixtures("nowhere")
SET = {"WFE_API_SECRET": SECRET, "WFE_NAMESPACE": "shop"}
SERVERS = {"WFE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "WFE_BROKER_URL": "redis://127.0.0.1:1/0"}


def test_a_token_is_printed_alone_on_its_line() -> None:
    ended = wfe("token", "create", "--subject", "ada", "--scope", "runs:read", "--expires-in", "2h", **SET)

    found = jwt.decode(ended.out.strip(), SECRET, algorithms=["HS256"])
    assert (found["sub"], found["scopes"], found["namespaces"]) == ("ada", ["runs:read"], ["shop"])
    assert found["exp"] - found["iat"] == 7_200


def test_programs_get_the_token_with_its_facts() -> None:
    arguments = ["--scope", "admin", "--scope", "runs:read", "--namespace", "*", "--json"]
    found = wfe("token", "create", *arguments, **SET, WFE_API_ISSUER="us", WFE_API_AUDIENCE="wfe").json

    claims = jwt.decode(found["token"], SECRET, algorithms=["HS256"], issuer="us", audience="wfe")
    assert (claims["namespaces"], found["namespaces"]) == (["*"], ["*"])
    assert "@" in found["subject"]
    left = datetime.fromisoformat(found["expires_at"]) - SystemClock().now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing option '--scope'"),
        (["--scope", "everything"], "Invalid value for '--scope'"),
        (["--scope", "admin", "--expires-in", "soon"], "--expires-in: 'soon' is not a length of time"),
        (["--scope", "admin", "--expires-in", "0"], "expires_in: must be more than 0"),
        (["--scope", "admin", "--expires-in", "99999999d"], "expires_in: "),
        (["--scope", "admin", "--subject", ""], "subject: must have 1 to 200 characters"),
    ],
)
def test_a_token_that_could_not_be_used_is_not_made(arguments: list[str], said: str) -> None:
    ended = wfe("token", "create", *arguments, **SET)

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


def test_without_a_secret_it_is_said_what_to_set() -> None:
    ended = wfe("token", "create", "--scope", "admin")

    assert ended.code == 2
    assert "WFE_API_SECRET is not set" in ended.err


def test_one_can_look_into_a_token() -> None:
    found = wfe("token", "show", signed(exp=4_102_444_800), "--json").json

    assert found["claims"]["exp"] == "2100-01-01T00:00:00+00:00"
    assert found["header"]["alg"] == "HS256"
    assert "ada@example.org" in wfe("token", "show", signed()).out
    assert wfe("token", "show", "abc").code == 2


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        ([], {}, "set WFE_API_SECRET (HS256), WFE_API_PUBLIC_KEY_FILE (RS256) or WFE_API_JWKS_URL; or start `wfe api"),
        ([], {"WFE_API_SECRET": "short"}, "WFE_API_SECRET: "),
        ([], {"WFE_API_SECRET": SECRET, "WFE_API_JWKS_FILE": "x"}, "WFE_API_SECRET and WFE_API_JWKS_FILE are both set"),
        ([], {"WFE_API_JWKS_URL": "http://a.example/"}, "WFE_API_JWKS_URL: "),
        ([], {"WFE_API_SECRET": SECRET, "WFE_API_MAX_BODY_BYTES": "2000"}, "WFE_API_MAX_BODY_BYTES must be at least"),
        (["--no-auth", "--host", "0.0.0.0"], {}, "WFE_API_AUTH=off needs WFE_API_HOST to be 127.0.0.1"),
        (["--host", "0.0.0.0"], {"WFE_API_AUTH": "off"}, "WFE_API_AUTH=off needs WFE_API_HOST"),
        ([], {"WFE_API_AUTH": "off", "WFE_API_HOST": "::"}, "WFE_API_AUTH=off needs WFE_API_HOST"),
    ],
)
def test_an_api_that_would_let_in_nobody_or_everybody_does_not_start(
    arguments: list[str], variables: dict[str, str], said: str
) -> None:
    ended = wfe("api", *arguments, **SERVERS, **variables)

    assert ended.code == 2
    assert said in ended.err
    assert "short" not in ended.err
