"""GuardedHttp: POST to a URL that somebody else has named, and to no place where it must not go.

A name is looked up once for each connection, and the connection goes to an address of that answer that was looked at:
whatever the name says a moment later (DNS rebinding), nobody asks again. No redirect is followed, no proxy is used, no
cookie is kept.
"""

import logging
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic
from typing import Any, Final

import httpcore

from workflow_engine.subscribers.addresses import Network, address_of, may_be_asked

logger = logging.getLogger(__name__)

_ANSWER_BYTES: Final = 65_536
"""Of an answer; what is longer is not read, and the connection is not used again."""
_IDLE_SECONDS: Final = 30.0
_SocketOptions = Iterable[Any] | None


class AddressRefused(Exception):
    """The host has no address that may be asked."""


class NoAnswer(Exception):
    """There was no answer, or not in time."""


class GuardedHttp:
    """Posts, by one thread at a time; keeps connections from one request to the next."""

    def __init__(self, *, timeout: float, allowed: Sequence[Network] = ()) -> None:
        """Let a request take ``timeout`` seconds as a whole; ``allowed`` networks need not be public."""
        self._timeout = timeout
        self._wire = _Wire(allowed)
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=10,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=self._wire,
        )

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a request; return the answer's HTTP code.

        Raises:
            AddressRefused: the host has no address that may be asked.
            NoAnswer: there is none, or not in time.
        """
        self._wire.deadline = monotonic() + self._timeout
        try:
            limits = dict.fromkeys(("connect", "read", "write", "pool"), self._timeout)
            with self._pool.stream(
                "POST", url, headers=list(headers.items()), content=body, extensions={"timeout": limits}
            ) as answer:
                _read(answer)
                return answer.status
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}".rstrip(": ")) from error

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


def _read(answer: httpcore.Response) -> None:
    size = 0
    for chunk in answer.iter_stream():
        size += len(chunk)
        if size > _ANSWER_BYTES:
            return


class _Wire(httpcore.NetworkBackend):
    """Connects to addresses that may be asked, and lets nothing take longer than until the deadline."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._plain = httpcore.SyncBackend()
        self.deadline = 0.0

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _SocketOptions = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers, of those that may be asked."""
        del timeout
        last: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in self._addresses(host, port):
            try:
                stream = self._plain.connect_tcp(address, port, self.left(), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
                continue
            self._check_peer(stream)
            return _Timed(stream, self)
        raise last

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: _SocketOptions = None
    ) -> httpcore.NetworkStream:
        """Refuse."""
        raise AddressRefused("a socket of this machine is no address of a webhook")

    def left(self) -> float:
        """Return how many seconds are left.

        Raises:
            httpcore.TimeoutException: none is.
        """
        seconds = self.deadline - monotonic()
        if seconds <= 0:
            raise httpcore.ReadTimeout("the request took too long")
        return seconds

    def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} cannot be looked up: {error}") from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        good = [address for address in addresses if may_be_asked(address_of(address), self._allowed)]
        if addresses and not good:
            raise AddressRefused(
                f"{host} is at {', '.join(addresses)}, which is not public and in no network of allow_networks"
            )
        return good

    def _check_peer(self, stream: httpcore.NetworkStream) -> None:
        peer = stream.get_extra_info("server_addr")
        if not may_be_asked(address_of(str(peer[0])), self._allowed):
            stream.close()
            raise AddressRefused(f"the connection came out at {peer[0]}")


class _Timed(httpcore.NetworkStream):
    """A stream on which nothing takes longer than its wire lets it."""

    def __init__(self, stream: httpcore.NetworkStream, wire: _Wire) -> None:
        self._stream = stream
        self._wire = wire

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._stream.read(max_bytes, self._wire.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._stream.write(buffer, self._wire.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        del timeout
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, self._wire.left()), self._wire)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
