"""``wfe token``: tokens for development, and what is in one."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

import click

from workflow_engine.cli.actor import own_name
from workflow_engine.cli.lengths import parse_length
from workflow_engine.cli.output import as_json_option, print_facts, print_json
from workflow_engine.clock import SystemClock
from workflow_engine.config import Settings
from workflow_engine.errors import ConfigurationError

_SCOPES = ("runs:read", "runs:write", "events:read", "admin")
_TIMES = ("iat", "nbf", "exp")


@click.group()
def token() -> None:
    """Make tokens for the HTTP API, for development; look into one."""


@token.command()
@click.option("--subject", default=own_name, show_default="user@host", help="Who the caller is: the actor of runs.")
@click.option("--scope", "scopes", type=click.Choice(_SCOPES), multiple=True, required=True, help="May be repeated.")
@click.option("--namespace", "namespaces", multiple=True, help="May be repeated; '*' is all.  [WFE_NAMESPACE]")
@click.option("--expires-in", default="1h", show_default=True, metavar="LENGTH", help="Such as 90s, 10m, 1h or 2d.")
@as_json_option
def create(subject: str, scopes: Sequence[str], namespaces: Sequence[str], expires_in: str, as_json: bool) -> None:
    """Print a token, signed with WFE_API_SECRET.

    \b
      curl -H "Authorization: Bearer $(wfe token create --scope runs:read)" localhost:8000/v1/runs
    """
    _require_extra()
    from workflow_engine.api.tokens import make_token  # noqa: PLC0415

    settings = Settings()
    now, lifetime = SystemClock().now(), parse_length("--expires-in", expires_in)
    named = list(namespaces) or [settings.namespace]
    made = make_token(settings, subject=subject, scopes=scopes, namespaces=named, now=now, lifetime=lifetime)
    if as_json:
        facts = {"subject": subject, "scopes": list(scopes), "namespaces": named, "expires_at": now + lifetime}
        print_json({"token": made, **facts})
    else:
        click.echo(made)


@token.command()
@click.argument("text", metavar="TOKEN")
@as_json_option
def show(text: str, as_json: bool) -> None:
    """Show what is in TOKEN; whether it is signed well is not looked at."""
    _require_extra()
    import jwt  # noqa: PLC0415

    try:
        found = jwt.decode_complete(text.strip(), options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise click.UsageError(f"TOKEN: {error}") from None
    claims = {name: _moment(value) if name in _TIMES else value for name, value in found["payload"].items()}
    if as_json:
        print_json({"header": found["header"], "claims": claims})
    else:
        print_facts({name: value if isinstance(value, str) else json.dumps(value) for name, value in claims.items()})


def _require_extra() -> None:
    if find_spec("jwt") is None:
        raise ConfigurationError("PyJWT is not installed: pip install 'celery-workflow-engine[api]'")


def _moment(value: Any) -> Any:
    """Return a time as people and programs read it, if it is one."""
    try:
        return datetime.fromtimestamp(value, UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return value
