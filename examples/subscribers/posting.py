"""POST to an address that may itself be a secret, as those of chat services are: it is in no log and no error."""

import logging
from typing import Any

import httpx

logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it logs every URL


class NotAccepted(Exception):
    """The receiver answered, but not with 2xx."""


def post(http: httpx.Client, url: str, **content: Any) -> None:
    """Send a request, with what ``httpx.Client.post`` takes.

    Raises:
        NotAccepted: the answer is not 2xx; a redirect is not followed.
        httpx.TransportError: there is no answer in time.
    """
    response = http.post(url, **content)
    if not response.is_success:
        raise NotAccepted(f"the receiver answered {response.status_code}")
