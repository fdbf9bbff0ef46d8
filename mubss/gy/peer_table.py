"""The peer table: which peers may connect, from where, and which profile each has. Pure.

A row names an Origin-Host and perhaps an Origin-Realm, each as a pattern with `*` for any letters, and the addresses
or networks they may come from. The first row whose names fit decides; one of exactly that Origin-Host goes before
patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from mubss.gy.profile import Profile

MAX_NAME_LETTERS = 255  # of a host or realm: a DiameterIdentity is a full domain name (RFC 1035 §3.1)
MAX_REMEMBERED = 1024  # names of peers and of clients behind agents: what they send must not fill memory


class Row(NamedTuple):
    """One kind of peer; an empty realm or no networks: any."""

    host: re.Pattern[str]
    realm: re.Pattern[str] | None
    networks: tuple[IPv4Network | IPv6Network, ...]
    profile: Profile


def row(host: str, realm: str, networks: Iterable[str], profile: Profile) -> Row:
    """A row of patterns ("smf.*", "*.epc.mnc001.mcc001.3gppnetwork.org") and networks ("192.0.2.0/24", "::1")."""
    found = tuple(ip_network(network, strict=False) for network in networks)
    return Row(pattern(host), pattern(realm) if realm else None, found, profile)


def pattern(text: str) -> re.Pattern[str]:
    """A name with `*` for any letters; the case of letters means nothing (RFC 6733 §4.3.1)."""
    return re.compile(re.escape(text).replace(r"\*", ".*"), re.IGNORECASE)


def fits_any(patterns: Iterable[re.Pattern[str]], name: str) -> bool:
    """Whether a name fits one of the patterns; what is too long for a name fits none."""
    return len(name) <= MAX_NAME_LETTERS and any(one.fullmatch(name) for one in patterns)


class PeerTable:
    """The rows, and what becomes of peers that none of them names."""

    def __init__(self, rows: Iterable[Row], accept_unknown: str, default: Profile) -> None:
        self._rows = sorted(rows, key=lambda one: ".*" in one.host.pattern)  # stable: patterns keep their order
        self._accept_unknown = accept_unknown
        self._default = default
        self._found: dict[tuple[str, str], Row | None] = {}

    def admits(self, origin_host: str, origin_realm: str, address: str) -> bool:
        """Whether a peer of that name may connect from that address."""
        known = self._find(origin_host, origin_realm)
        remote = ip_address(address)
        if known is not None:
            return not known.networks or any(remote in network for network in known.networks)
        return self._accept_unknown == "always" or (self._accept_unknown == "loopback" and remote.is_loopback)

    def profile(self, origin_host: str, origin_realm: str, agent: Profile | None = None) -> Profile:
        """The profile of a peer; of a client behind an agent it is the agent's where no row names the client."""
        known = self._find(origin_host, origin_realm)
        return (agent or self._default) if known is None else known.profile

    def _find(self, origin_host: str, origin_realm: str) -> Row | None:
        name = origin_host, origin_realm
        if len(origin_host) > MAX_NAME_LETTERS or len(origin_realm) > MAX_NAME_LETTERS:
            return None
        if name in self._found:
            return self._found[name]
        known = next((one for one in self._rows if _fits(one, origin_host, origin_realm)), None)
        if len(self._found) < MAX_REMEMBERED:
            self._found[name] = known
        return known


def _fits(one: Row, origin_host: str, origin_realm: str) -> bool:
    return bool(one.host.fullmatch(origin_host)) and (one.realm is None or bool(one.realm.fullmatch(origin_realm)))
