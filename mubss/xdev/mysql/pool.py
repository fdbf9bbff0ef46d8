"""The connections of one process: bounded, reused, and each to the server that takes writes."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from ssl import SSLContext
from typing import NamedTuple
from weakref import WeakSet

from mubss import metrics
from mubss.xdev.errors import StoreAway, StoreUnavailable
from mubss.xdev.mysql import messages, results
from mubss.xdev.mysql.address import Address, Host
from mubss.xdev.mysql.errors import store_error
from mubss.xdev.mysql.link import Link, connect
from mubss.xdev.mysql.member import FACTS, MEMBERS, Member, is_in_group, read_facts, too_old, why_not
from mubss.xdev.mysql.replies import Reply
from mubss.xdev.mysql.tls import make_context

_IDLE_S = 15  # after which the server closes a session and lets go of its locks: a client that vanished blocks nobody
_DISCARD_AFTER_S = 12
_PING_AFTER_S = 1
_PAUSE_S = 0.25  # after every server was tried in vain
_UNKNOWN_VARIABLE = 1193
_PING = (messages.OPEN_BLOCK, messages.CLOSE_BLOCK)


_POOLS: WeakSet[Pool] = WeakSet()  # that aren't closed


class _Idle(NamedTuple):
    link: Link
    since_s: float


class Pool:
    """Lends links; what comes back sound is lent again, the last one first."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._places = threading.BoundedSemaphore(address.max_pool_size)
        self._idle: deque[_Idle] = deque()
        self._open: set[Link] = set()
        self._context: SSLContext | None = None
        self._primary: Host | None = None
        self._closed = False
        _POOLS.add(self)
        self._next_try_s = 0.0
        self._refusal: tuple[type[StoreUnavailable], str] = StoreUnavailable, ""

    def borrow(self) -> Link:
        """A link to the server that takes writes; StoreUnavailable where there is none, or no place in the pool."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if not self._places.acquire(blocking=False):
            metrics.POOL_WAITS.inc()
            self._wait()
        try:
            link = self._sound_one() or self._connect()
        except BaseException:
            self._places.release()
            raise
        return link

    def _wait(self) -> None:
        """For a place."""
        if not self._places.acquire(timeout=self.address.pool_queue_timeout / 1000):
            raise StoreUnavailable(
                f"{self._names()}: all {self.address.max_pool_size} connections are in use (max-pool-size)"
            )

    def give_back(self, link: Link) -> None:
        """Takes a link back. One that broke speaks for the others: they may lead to the server that went away."""
        if link.broken:
            self._open.discard(link)
            self._drop_idle()
        elif self._closed:
            self._open.discard(link)
            link.bid_farewell()
        else:
            self._idle.append(_Idle(link, time.monotonic()))
        self._places.release()

    def close(self) -> None:
        """Closes what is idle now, and what is lent as it comes back."""
        self._closed = True
        _POOLS.discard(self)
        while self._idle:
            link = self._idle.pop().link
            self._open.discard(link)
            link.bid_farewell()

    def abandon(self) -> None:
        """In a forked child: lets go of the parent's connections; closing a socket here ends nothing there."""
        for link in self._open:
            link.close()
        self._open.clear()
        self._idle.clear()
        self._places = threading.BoundedSemaphore(self.address.max_pool_size)

    def _sound_one(self) -> Link | None:
        """An idle link that still works, if there is one."""
        while self._idle:
            link, since_s = self._idle.pop()
            idle_s = time.monotonic() - since_s
            if idle_s < _PING_AFTER_S:
                return link
            if idle_s < _DISCARD_AFTER_S:
                try:
                    link.exchange(_PING)
                    return link
                except StoreUnavailable:
                    pass
            self._open.discard(link)
            link.close()
        return None

    def _drop_idle(self) -> None:
        while self._idle:
            link = self._idle.pop().link
            self._open.discard(link)
            link.close()

    def _connect(self) -> Link:
        """A new link; tries every server once, the known primary first, then by priority."""
        if time.monotonic() < self._next_try_s:
            kind, text = self._refusal
            raise kind(text)
        refusals: list[StoreUnavailable] = []
        for host in self._candidates():
            try:
                link = self._connect_to(host)
            except StoreUnavailable as error:
                refusals.append(error)
                continue
            self._open.add(link)
            return link
        kind = StoreAway if any(isinstance(error, StoreAway) for error in refusals) else StoreUnavailable
        text = "; ".join(map(str, refusals))
        self._refusal = kind, text
        self._next_try_s = time.monotonic() + _PAUSE_S
        raise kind(text)

    def _candidates(self) -> list[Host]:
        hosts = random.sample(self.address.hosts, len(self.address.hosts))
        return sorted(hosts, key=lambda host: (host != self._primary, -host.priority))

    def _connect_to(self, host: Host) -> Link:
        if self._context is None and self.address.ssl_mode != "disabled" and not host.is_socket:
            self._context = make_context(self.address)
        if host == self._primary:
            self._primary = None  # until it says so again
        link = connect(host, self.address, self._context)
        try:
            members = self._set_up(link)
        except BaseException:
            link.close()
            raise
        if is_in_group(members):
            self._primary = host
        return link

    def _set_up(self, link: Link) -> list[Member]:
        """Settings of the session, the same for its whole life; then what the server says of itself."""
        settings = {
            "transaction_isolation": "'READ-COMMITTED'",
            "innodb_lock_wait_timeout": str(self.address.lock_wait),
            "lock_wait_timeout": str(self.address.lock_wait),  # of a table that is being changed
            "mysqlx_wait_timeout": str(_IDLE_S),
            "sql_mode": "'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
        }
        assignments = ", ".join(f"SESSION {name} = {value}" for name, value in settings.items())
        facts_reply, *replies = link.exchange(
            [
                messages.statement(FACTS),
                messages.statement(f"SET NAMES utf8mb4 COLLATE utf8mb4_0900_bin, {assignments}"),
                messages.statement(MEMBERS),
                # A new primary first applies what its predecessor acknowledged. Unknown outside a group.
                messages.statement("SET SESSION group_replication_consistency = 'BEFORE_ON_PRIMARY_FAILOVER'"),
            ]
        )
        facts = read_facts(results.rows(sound(facts_reply, link)))
        if refusal := too_old(facts):
            raise StoreUnavailable(f"{link.host}: {refusal}")
        consistency = replies.pop()
        if consistency.error is None or consistency.error.code != _UNKNOWN_VARIABLE:
            sound(consistency, link)
        _, members_reply = [sound(reply, link) for reply in replies]
        members = [Member(*map(str, row)) for row in results.rows(members_reply)]
        if refusal := why_not(facts, members, of_several=len(self.address.hosts) > 1):
            raise StoreAway(f"{link.host}: {refusal}")
        link.max_packet_octets = facts.max_packet_octets
        return members

    def _names(self) -> str:
        return ", ".join(map(str, self.address.hosts))


def sound(reply: Reply, link: Link) -> Reply:
    """The reply, if it is no error; else StoreUnavailable: a session can't be set up there."""
    if reply.error is not None:
        error = store_error(reply.error, str(link.host))
        raise error if isinstance(error, StoreUnavailable) else StoreUnavailable(str(error))
    return reply


def _connections() -> dict[tuple[str, ...], int]:
    """By state, over all pools of the process: one is for charging, another one for counting."""
    pools = list(_POOLS)
    idle = sum(len(pool._idle) for pool in pools)
    return {("used",): sum(len(pool._open) for pool in pools) - idle, ("idle",): idle} if pools else {}


metrics.POOL_CONNECTIONS.measure = _connections
