"""Settings of webhooks: ``[webhooks.NAME]`` for each endpoint."""

import re
from ipaddress import ip_network
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from workflow_engine.config.section import Section

WebhookName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,50}$")]

_SCHEMES: Final = frozenset({"http", "https"})
_OURS: Final = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent"})
_SIGNED: Final = "webhook-"
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_NUMBER: Final = re.compile(r"(0[xX][0-9a-fA-F]*|\d+)(\.(0[xX][0-9a-fA-F]*|\d+))*\.?")
_PLAIN: Final = re.compile(r"(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}")


class WebhookEndpoint(Section):
    """Where events are posted to."""

    url: str = Field(min_length=1, max_length=2_000, description="Where events are posted to: `https://…`.")
    secret_from: str = Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        min_length=1,
        max_length=200,
        description="Environment variable with the secret that signs; several, with blanks between, while one is "
        "replaced by another. `whsec_…` is base64, as Standard Webhooks has it.",
    )
    events: tuple[Annotated[str, Field(min_length=1, max_length=200)], ...] = Field(
        default=("run.*",), min_length=1, max_length=100, description="Events to post: names or globs."
    )
    namespace: str | None = Field(
        default=None, min_length=1, max_length=100, description="Only events of this namespace; all if not set."
    )
    headers: dict[str, str] = Field(default={}, description="Sent with each request.")
    timeout_seconds: float = Field(
        default=10.0,
        ge=0.1,
        le=300,
        description="How long one request may take, from its name's look-up to its answer.",
    )
    tries: int = Field(
        default=8,
        ge=1,
        le=100,
        description="How often an event is posted before it is a dead letter: after 1 s, 4 s, 16 s … 5 min.",
    )
    allow_http: bool = Field(default=False, description="Also `http://…`, which anybody on the way can read.")
    allow_networks: tuple[str, ...] = Field(
        default=(),
        max_length=100,
        description="Networks (`10.1.0.0/16`, `127.0.0.1/32`) that may be posted to although they are not public.",
    )

    @field_validator("url")
    @classmethod
    def _is_plain(cls, value: str) -> str:
        parts = urlsplit(value)
        host = parts.hostname or ""
        if parts.scheme not in _SCHEMES or not host:
            raise ValueError("must be an https:// URL with a host")
        if "@" in parts.netloc or "\\" in value or not (value.isascii() and value.isprintable()) or " " in value:
            raise ValueError("must have no user, blank, backslash or letter that is not ASCII in it")
        if _NUMBER.fullmatch(host) and not _PLAIN.fullmatch(host):
            raise ValueError(f"host {host!r} is a number in disguise: write an address as 192.0.2.1")
        _check_port(parts.netloc)
        return value

    @field_validator("headers")
    @classmethod
    def _are_free(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _HEADER.fullmatch(name) or not (text.isascii() and text.isprintable()):
                raise ValueError(f"{name!r} is no header, or its value cannot be sent")
            if name.lower() in _OURS or name.lower().startswith(_SIGNED):
                raise ValueError(f"{name!r} is set by the webhook itself")
        return value

    @field_validator("allow_networks")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ip_network(each)  # raises ValueError, and says why
        return value

    @model_validator(mode="after")
    def _is_safe(self) -> "WebhookEndpoint":
        if self.url.startswith("http:") and not self.allow_http:
            raise ValueError("url must be https://, unless allow_http is true")
        return self


def _check_port(netloc: str) -> None:
    try:
        port = urlsplit(f"//{netloc}").port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("has no such port: 1 to 65535")
