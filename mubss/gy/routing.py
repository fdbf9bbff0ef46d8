"""Whether a request is for this server to do (RFC 6733 §6.1.4). Pure."""

from __future__ import annotations

from collections.abc import Iterable

from mubss.gy.avp import DiameterError
from mubss.gy.peer_table import fits_any, pattern

UNABLE_TO_DELIVER, REALM_NOT_SERVED = 3002, 3003


class Routing:
    """The names that requests may go by: this server's own, and the patterns of the configuration, with `*`."""

    def __init__(
        self, origin_host: str, origin_realm: str, hosts: Iterable[str] = (), realms: Iterable[str] = ()
    ) -> None:
        self._host = origin_host
        self._hosts = [pattern(text) for text in (origin_host, *hosts)]
        self._realms = [pattern(text) for text in (origin_realm, *realms)]

    def check(
        self,
        destination_host: str | None,
        destination_realm: str | None,
        origin_realm: str | None,
        *,
        strict: bool = False,
    ) -> None:
        """DiameterError 3003 or 3002 where a request is for others.

        It is ours by Destination-Host; without one by Destination-Realm; without both. open5gs and Kamailio send their
        own realm as Destination-Realm, which is tolerated unless `strict`.
        """
        if destination_host is not None and fits_any(self._hosts, destination_host):
            return
        if destination_realm is not None and not fits_any(self._realms, destination_realm):
            own = origin_realm is not None and destination_realm.lower() == origin_realm.lower()
            if strict or not own:
                text = f"Destination-Realm {destination_realm[:80]} isn't served here"
                raise DiameterError(REALM_NOT_SERVED, text)
        if destination_host is not None:
            text = f"Destination-Host {destination_host[:80]} can't be reached here; this is {self._host}"
            raise DiameterError(UNABLE_TO_DELIVER, text)
