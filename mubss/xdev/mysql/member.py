"""What a server says of itself, and whether this store can be written there: pure decisions over a few rows.

In a replication group only the primary takes writes, and only while it sees a majority: a primary that was cut off
would let every COMMIT hang. It is asked on each new connection.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

LEAST_VERSION = (
    8,
    0,
    19,
)  # the oldest whose functional indexes, row aliases and SKIP LOCKED were checked in its manual

FACTS = "SELECT @@version, @@global.super_read_only OR @@global.read_only, @@server_uuid, @@mysqlx_max_allowed_packet"
MEMBERS = "SELECT member_id, member_state, member_role FROM performance_schema.replication_group_members"


class Facts(NamedTuple):
    """The row of FACTS."""

    version: str
    read_only: int
    uuid: str
    max_packet_octets: int


class Member(NamedTuple):
    """A row of MEMBERS: ONLINE, RECOVERING, OFFLINE, ERROR or UNREACHABLE; PRIMARY or SECONDARY."""

    uuid: str
    state: str
    role: str


def read_facts(rows: Sequence[tuple[Any, ...]]) -> Facts:
    """The facts from their row."""
    version, read_only, uuid, max_packet_octets = rows[0]
    return Facts(str(version), int(read_only), str(uuid), int(max_packet_octets))


def is_in_group(members: Sequence[Member]) -> bool:
    """Whether the server is part of a replication group; one that left has itself, OFFLINE, as the only member."""
    return any(member.state != "OFFLINE" for member in members)


def too_old(facts: Facts) -> str:
    """Why the server can't be used at all, "" if it can."""
    found = re.match(r"(\d+)\.(\d+)\.(\d+)", facts.version)
    version = tuple(map(int, found.groups())) if found else (0, 0, 0)
    if version >= LEAST_VERSION and "MariaDB" not in facts.version:
        return ""
    return (
        f"it is version {facts.version[:40]}; expected MySQL {'.'.join(map(str, LEAST_VERSION))} or later: upgrade it"
    )


def why_not(facts: Facts, members: Sequence[Member], *, of_several: bool = False) -> str:
    """Why the store can't be written at this server for now, "" if it can.

    `of_several`: the URL names others too. Then one that is made for a group and isn't in it may have been left
    behind, and what is written there would be lost to the group.
    """
    if is_in_group(members):
        return _why_not_in_group(facts, members)
    if members and of_several:
        return "it isn't in its group"
    return "it is read-only" if facts.read_only else ""


def _why_not_in_group(facts: Facts, members: Sequence[Member]) -> str:
    mine = next((member for member in members if member.uuid == facts.uuid), None)
    if mine is None or mine.state != "ONLINE":
        return f"it is {mine.state if mine else 'no member'} in its group"
    reachable = sum(member.state in ("ONLINE", "RECOVERING") for member in members)
    if 2 * reachable <= len(members):
        return f"its group has no quorum ({reachable} of {len(members)} members reachable)"
    if mine.role != "PRIMARY":
        return "it isn't the primary of its group"
    return "it is read-only" if facts.read_only else ""
