"""Which addresses a request may go to that somebody else has named: public ones, and those that are allowed. Pure."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOW_BITS: Final = 0xFFFFFFFF


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks as they are written in the settings."""
    return tuple(ip_network(text) for text in texts)


def address_of(text: str) -> Address:
    """Return an address as the resolver or a socket has it; the zone of a link-local one does not count."""
    return ip_address(text.partition("%")[0])


def may_be_asked(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Return whether a request may go to an address, and to every address that it stands for.

    An IPv6 address may carry an IPv4 one (mapped, 6to4, Teredo, NAT64), where packets come out.
    """
    return all(_is_public(each) or _is_allowed(each, allowed) for each in _meant(address))


def _is_public(address: Address) -> bool:
    hidden = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    is_site_local = isinstance(address, IPv6Address) and address.is_site_local
    return address.is_global and not (hidden or is_site_local or address.is_private or address.is_link_local)


def _is_allowed(address: Address, allowed: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in allowed)


def _meant(address: Address) -> Iterator[Address]:
    """Yield the addresses at which packets to this one may come out."""
    if isinstance(address, IPv4Address):
        yield address
    elif address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    elif address in _NAT64:
        yield IPv4Address(int(address) & _LOW_BITS)
    else:
        yield address
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo
