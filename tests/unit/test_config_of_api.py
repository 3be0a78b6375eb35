"""Settings of the HTTP API: what lets in nobody, or too many, is refused by name, and no secret is told."""

from pathlib import Path
from typing import Any

import pytest

from workflow_engine import ConfigurationError, Settings

SECRET = "s3cret-" * 6


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with no settings in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"api_secret": "s3cret"}, "WFE_API_SECRET: .*has 6 bytes, and a key of HS256 needs 32"),
        ({"api_secret": SECRET, "api_secret_file": "x"}, "WFE_API_SECRET and WFE_API_SECRET_FILE are both set"),
        ({"api_public_key_file": "x", "api_jwks_file": "x"}, "WFE_API_PUBLIC_KEY_FILE and WFE_API_JWKS_FILE are both"),
        ({"api_jwks_url": "http://keys.example/"}, "WFE_API_JWKS_URL: .*must be https://"),
        ({"api_jwks_url": "ftp://keys.example/"}, "WFE_API_JWKS_URL: .*must be an https:// URL"),
        ({"api_jwks_url": "https://"}, "WFE_API_JWKS_URL: .*must be an https:// URL"),
        ({"api_auth": "no"}, "WFE_API_AUTH: "),
        ({"api_auth": "off", "api_host": "0.0.0.0"}, "WFE_API_AUTH=off needs WFE_API_HOST to be 127.0.0.1"),
        ({"api_auth": "off", "api_host": "api.example"}, "WFE_API_AUTH=off needs WFE_API_HOST"),
        ({"api_cors_origins": "*"}, r"WFE_API_CORS_ORIGINS: .*'\*' is no origin"),
        ({"api_cors_origins": "https://a.example/"}, "WFE_API_CORS_ORIGINS: .*without a path"),
        ({"api_max_body_bytes": 1_023}, "WFE_API_MAX_BODY_BYTES: "),
        ({"api_request_seconds": 0}, "WFE_API_REQUEST_SECONDS: "),
        ({"api_request_seconds": "nan"}, "WFE_API_REQUEST_SECONDS: "),
        ({"api_rate_per_second": -1}, "WFE_API_RATE_PER_SECOND: "),
        ({"api_rate_per_second": "nan"}, "WFE_API_RATE_PER_SECOND: "),
        ({"api_rate_burst": 0}, "WFE_API_RATE_BURST: "),
        ({"api_port": 65_536}, "WFE_API_PORT: "),
        ({"webhooks": {"a": {"secret": "s3cret"}}}, "WFE_WEBHOOKS__A"),
        ({"webhooks": [{"secret": "s3cret"}]}, "WFE_WEBHOOKS: "),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_the_setting(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{message}") as raised:
        Settings(**values)

    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_authentication_may_be_off_on_this_machine(host: str) -> None:
    assert Settings(api_auth="off", api_host=host).api_host == host


def test_keys_of_this_machine_need_no_https() -> None:
    assert Settings(api_jwks_url="http://127.0.0.1:8080/keys").api_jwks_url


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WFE_API_CORS_ORIGINS", "https://a.example, http://b.example:8080")

    assert Settings().api_cors_origins == ("https://a.example", "http://b.example:8080")


def test_the_secret_is_not_shown_with_the_settings() -> None:
    settings = Settings(api_secret=SECRET)

    assert "s3cret" not in f"{settings!r} {settings} {settings.model_dump_json()}"
