"""Settings of the HTTP API: ``WFE_API_…``."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

from workflow_engine.errors import ConfigurationError

SHORTEST_SECRET_BYTES: Final = 32
"""Of HS256's key: as long as what it makes (RFC 7518, section 3.2)."""
_ENDS: Final = frozenset({"http", "https"})


class ApiSettings(BaseSettings):
    """Who may use the HTTP API, and how much."""

    api_host: str = Field(
        default="127.0.0.1", min_length=1, max_length=255, description="Address on which the HTTP API listens."
    )
    api_port: int = Field(default=8000, ge=0, le=65_535, description="Its port; 0 is any free one.")
    api_auth: Literal["jwt", "off"] = Field(
        default="jwt",
        description="`jwt`: every caller of the API brings a token; `off`: whoever reaches it may do everything, "
        "so it then serves this machine only.",
    )
    api_secret: SecretStr | None = Field(
        default=None, description=f"Key of HS256 tokens, of {SHORTEST_SECRET_BYTES} bytes or more."
    )
    api_secret_file: Path | None = Field(default=None, description="File with that key, instead.")
    api_public_key_file: Path | None = Field(
        default=None, description="PEM file with the public key of RS256 (or ES256) tokens."
    )
    api_jwks_url: str | None = Field(
        default=None, description="Where the issuer of the tokens publishes its keys (JWKS): `https://…`."
    )
    api_jwks_file: Path | None = Field(default=None, description="File with such keys, instead.")
    api_issuer: str | None = Field(
        default=None, min_length=1, max_length=500, description="What `iss` of every token must be, if set."
    )
    api_audience: str | None = Field(
        default=None, min_length=1, max_length=500, description="What `aud` of every token must be or have, if set."
    )
    api_cors_origins: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=300)], ...], NoDecode] = Field(
        default=(),
        max_length=100,
        description="Origins whose pages may call it from a browser (`https://app.example`), comma separated.",
    )
    api_max_body_bytes: int = Field(
        default=4_194_304,
        ge=1_024,
        le=1_073_741_824,
        description="Largest body of a request; at least `WFE_INPUT_LIMIT_BYTES`.",
    )
    api_request_seconds: float = Field(
        default=30.0,
        ge=0.1,
        le=3_600,
        description="How long a client may take to send its request, and how long it waits for the answer to begin.",
    )
    api_rate_per_second: float = Field(
        default=1_000.0,
        ge=0,
        le=1_000_000,
        description="Requests that one caller may make in a second, in the long run, of one process; 0: any number.",
    )
    api_rate_burst: int = Field(
        default=2_000, ge=1, le=10_000_000, description="Requests that a caller who was quiet may make at once."
    )

    @field_validator("api_secret")
    @classmethod
    def _is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_secret(value.get_secret_value().encode())
        return value

    @field_validator("api_jwks_url")
    @classmethod
    def _is_safe(cls, value: str | None) -> str | None:
        if value is None:
            return None
        found = urlsplit(value)
        if not found.hostname or found.scheme not in _ENDS:
            raise ValueError("must be an https:// URL")
        if found.scheme == "http" and not is_loopback(found.hostname):
            raise ValueError("must be https://, or whoever is on the way could put a key of their own in")
        return value

    @field_validator("api_cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("api_cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            found = urlsplit(each)
            if each != f"{found.scheme}://{found.netloc}" or found.scheme not in _ENDS or not found.hostname:
                raise ValueError(f"{each!r} is no origin such as https://app.example:8443, without a path")
        return value

    def refuse_contradictions_of_api(self) -> None:
        """Raise ``ConfigurationError`` where two of the settings exclude each other."""
        given = list(self.api_keys)
        if len(given) > 1:
            raise ConfigurationError(
                f"{given[0]} and {given[1]} are both set: tokens are checked with the keys of one place, so choose one"
            )
        if self.api_auth == "off" and not is_loopback(self.api_host):
            raise ConfigurationError(
                f"WFE_API_AUTH=off needs WFE_API_HOST to be 127.0.0.1, ::1 or localhost, not {self.api_host!r}: "
                "others could do everything"
            )

    @property
    def api_keys(self) -> Mapping[str, Any]:
        """Where keys may come from, as far as it is set, by the names of the settings."""
        places = ("api_secret", "api_secret_file", "api_public_key_file", "api_jwks_url", "api_jwks_file")
        return {f"WFE_{name.upper()}": value for name in places if (value := getattr(self, name)) is not None}


def check_secret(secret: bytes) -> None:
    """Raise ``ValueError`` if a secret is too short to sign tokens with."""
    if len(secret) < SHORTEST_SECRET_BYTES:
        raise ValueError(
            f"has {len(secret)} bytes, and a key of HS256 needs {SHORTEST_SECRET_BYTES}: `openssl rand -base64 48`"
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, for this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
