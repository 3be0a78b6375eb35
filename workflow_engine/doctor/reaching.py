"""Whether what answers HTTP does."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import httpx

from workflow_engine.doctor.finding import Finding, fine, warning

_PATIENCE: Final = 2.0
"""Seconds."""


def on_flower(url: str | None) -> Iterator[Finding]:
    """Yield whether Flower answers where people are sent to."""
    if url is None:
        return
    trouble = _trouble(f"{url}/healthcheck")
    if trouble is None:
        yield fine("flower", f"Flower answers at {url}.")
    else:
        yield warning(
            "flower",
            f"Flower at {url} {trouble}.",
            "Start it: `wfe flower`, or correct WFE_FLOWER_URL. Fine if people reach it and only this host does not.",
        )


def on_api(url: str | None) -> Iterator[Finding]:
    """Yield whether the HTTP API is ready."""
    if url is None:
        return
    trouble = _trouble(f"{url}/health/ready")
    if trouble is None:
        yield fine("api", f"The HTTP API is ready at {url}.")
    else:
        yield warning(
            "api",
            f"The HTTP API at {url} {trouble}.",
            "Start it: `wfe api`; its log says what it misses. Fine if it runs on another host.",
        )


def _trouble(url: str) -> str | None:
    try:
        answer = httpx.get(url, timeout=_PATIENCE, trust_env=False, follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"does not answer ({type(error).__name__}: {error})".replace("\n", " ")
    if answer.status_code == HTTPStatus.OK:
        return None
    return f"answers {answer.status_code}{_reasons(answer)}"


def _reasons(answer: httpx.Response) -> str:
    try:
        reasons = answer.json()["reasons"]
    except (json.JSONDecodeError, KeyError, TypeError):
        return ""
    return f": {'; '.join(f'{name}: {reason}' for name, reason in dict(reasons).items())}"
