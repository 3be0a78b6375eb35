"""Where a webhook may not go, however it is written and whatever it resolves to."""

import socket
from contextlib import suppress
from ipaddress import ip_address
from threading import Event, Thread
from time import monotonic

import pytest

from tests.support.http_server import Answer, http_server
from workflow_engine.subscribers.addresses import address_of, may_be_asked, networks_of
from workflow_engine.subscribers.guarded_http import AddressRefused, GuardedHttp, NoAnswer


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fe80::1%2", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "fec0::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::ffff:169.254.169.254"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::", "2002:a00:1::1"),
        "2001:0:4136:e378:8000:63bf:80ff:fffe",  # Teredo of 127.0.0.1
    ],
)
def test_what_is_not_public_may_not_be_asked(address: str) -> None:
    assert not may_be_asked(address_of(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_what_is_public_may(address: str) -> None:
    assert may_be_asked(ip_address(address))


def test_a_network_may_be_allowed_also_where_it_is_carried_in_another_address() -> None:
    allowed = networks_of(["10.1.0.0/16", "::1/128"])

    assert may_be_asked(address_of("10.1.2.3"), allowed)
    assert may_be_asked(address_of("::ffff:10.1.2.3"), allowed)
    assert may_be_asked(address_of("::1"), allowed)
    assert not may_be_asked(address_of("10.2.0.1"), allowed)
    assert not may_be_asked(address_of("127.0.0.1"), allowed)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::1]", "[::ffff:7f00:1]"],
)
def test_no_way_to_write_this_machine_leads_to_it(host: str) -> None:
    """Below what the settings refuse already: the connection itself looks at where it goes."""
    with http_server() as server:
        port = server.url.rpartition(":")[2]
        http = GuardedHttp(timeout=5)

        with pytest.raises((AddressRefused, NoAnswer)):
            http.post(f"http://{host}:{port}/", b"{}", {})

        assert server.asked == []


def test_the_connection_goes_to_the_address_that_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked at, and this machine a moment later (DNS rebinding)."""
    answers = ["192.88.99.1", "127.0.0.1"]
    asked: list[str] = []

    def rebinding(host: str, port: int, *_: object, **__: object) -> list[object]:
        asked.append(host)
        address = host if host[0].isdigit() else answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with http_server() as server:
        http = GuardedHttp(timeout=0.5)
        with pytest.raises((NoAnswer, AddressRefused)):
            http.post(f"http://partner.example:{server.url.rpartition(':')[2]}/", b"{}", {})

        assert server.asked == []
    assert asked.count("partner.example") == 1
    assert answers == ["127.0.0.1"]


def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    with http_server() as inner, http_server() as server:
        server.answers = [Answer(status=302, headers={"Location": inner.url})]
        http = GuardedHttp(timeout=5, allowed=networks_of(["127.0.0.0/8"]))

        assert http.post(server.url, b"{}", {}) == 302
        http.close()

    assert inner.asked == []


def test_an_answer_that_drips_does_not_take_longer_than_the_time_limit() -> None:
    done = Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not done.wait(0.05):
                connection.sendall(b".")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=drip, args=[server])
        thread.start()
        http = GuardedHttp(timeout=0.4, allowed=networks_of(["127.0.0.0/8"]))
        began = monotonic()
        with pytest.raises(NoAnswer):
            http.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {})
        assert monotonic() - began < 3
        done.set()
        thread.join()
