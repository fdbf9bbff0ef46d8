"""Three servers in a single-primary replication group, on loopback."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mubss.xdev.errors import StoreError
from mysqld.binaries import Binaries
from mysqld.server import Server, ServerFailed

JOIN_S = 120  # it takes 3 to 12, and beside other tests on slow cores has taken more than 30
_RECOVERY_RIGHTS = "REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM"
_RECOVERY = "FOR CHANNEL 'group_replication_recovery'"
_MEMBERS = "SELECT member_port, member_state, member_role FROM performance_schema.replication_group_members"


class Group:
    """A group in `folder`, a member in each of its folders 1, 2 and 3."""

    def __init__(
        self, folder: Path, binaries: Binaries, *, size: int = 3, fast: bool = False, options: Sequence[str] = ()
    ) -> None:
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, str(folder.absolute())))
        paths = [folder / str(number) for number in range(1, size + 1)]
        ports = [Server(path, binaries).port("group") for path in paths]
        seeds = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.members: list[Server] = []
        for number, (path, port) in enumerate(zip(paths, ports, strict=True), 1):
            own = [*_options(name, number, port, seeds), *options]
            self.members.append(Server(path, binaries, fast=fast, options=own, name=f"member {number}"))
        for user in ("root", "mubss", "recovery"):
            for member in self.members:
                member.adopt_password(user, self.members[0].password(user))

    def start(self) -> None:
        """Starts the members that don't run, and the group, or joins them to it."""
        for member in self.members:
            member.start()
        try:
            self._join_all()
        except (StoreError, ServerFailed):
            # After freezes, members' views were seen that never came to agree (8.4), and kept others from joining.
            for member in self.members:
                member.kill()
            for member in self.members:
                member.start()
            self._join_all()

    def _join_all(self) -> None:
        online = [member for member in self.members if self.state(member) == "ONLINE"]
        if not online:
            first = max(self.members, key=_transactions)
            self._join(first, bootstrap=True)
            online = [first]
        for member in self.members:
            if member not in online:
                self._join(member, bootstrap=False)
        self._settle()

    def _settle(self) -> None:
        """Waits until all see all ONLINE: one that was frozen doesn't know yet that it is out, and must join again."""
        until = time.monotonic() + JOIN_S
        while not all(
            sum(state == "ONLINE" for _, state, _ in self._seen_by(member)) == len(self.members)
            for member in self.members
        ):
            if time.monotonic() > until:
                raise ServerFailed(f"the group isn't whole after {JOIN_S} s")
            for member in self.members:
                if self.state(member) in ("ERROR", "OFFLINE"):
                    self._join(member, bootstrap=False)
            time.sleep(0.2)

    def stop(self) -> None:
        """Ends all members."""
        for member in reversed(self.members):
            member.stop()

    def remove(self) -> None:
        """Ends all members and removes their data."""
        for member in self.members:
            member.remove()

    def url(self, user: str = "mubss", schema: str = "mubss") -> str:
        """Where a store would be."""
        hosts = ",".join(f"127.0.0.1:{member.port()}" for member in self.members)
        return f"mysqlx://{user}:{self.members[0].password(user)}@[{hosts}]/{schema}"

    def primary(self) -> Server:
        """The member that most take for the primary (one that was cut off has a view of its own); else ServerFailed."""
        votes: Counter[int] = Counter()
        for member in self.members:
            rows = self._seen_by(member) if member.is_running else []
            votes.update(port for port, state, role in rows if role == "PRIMARY" and state == "ONLINE")
        for port, count in votes.items():
            if 2 * count > len(self.members):
                return next(one for one in self.members if one.port("classic") == port)
        raise ServerFailed("the group has no primary")

    def state(self, member: Server) -> str:
        """ONLINE, RECOVERING, OFFLINE, ERROR, UNREACHABLE as the member sees itself; "" where it doesn't answer."""
        rows = self._seen_by(member) if member.is_running else []
        mine = [state for port, state, _ in rows if port == member.port("classic")]
        return mine[0] if mine else "OFFLINE" if rows else ""

    def role(self, member: Server) -> str:
        """PRIMARY or SECONDARY, "" for what is no member."""
        rows = self._seen_by(member) if member.is_running else []
        return next((role for port, _, role in rows if port == member.port("classic")), "")

    def _seen_by(self, member: Server) -> list[tuple[int, str, str]]:
        try:
            rows: list[tuple[Any, ...]] = member.sql(_MEMBERS, timeout_s=5)
        except StoreError:
            return []
        return [(int(port or 0), str(state), str(role)) for port, state, role in rows]

    def _join(self, member: Server, *, bootstrap: bool) -> None:
        if self.state(member) == "ERROR":
            # STOP GROUP_REPLICATION was seen to hang in one that lost its majority with a COMMIT under way.
            member.kill()
            member.start()
        password = member.password("recovery")
        if not member.sql("SELECT 1 FROM mysql.user WHERE user = 'recovery'"):
            member.sql(
                "SET SESSION sql_log_bin = 0",
                "SET GLOBAL super_read_only = OFF",
                f"CREATE USER 'recovery'@'%' IDENTIFIED BY '{password}'",
                f"GRANT {_RECOVERY_RIGHTS} ON *.* TO 'recovery'@'%'",
                # The users were made on each member alone: none has a history that the others lack.
                _reset(member),
            )
        member.sql(f"CHANGE REPLICATION SOURCE TO SOURCE_USER = 'recovery', SOURCE_PASSWORD = '{password}' {_RECOVERY}")
        if bootstrap:
            member.sql(
                "SET GLOBAL group_replication_bootstrap_group = ON",
                "START GROUP_REPLICATION",
                "SET GLOBAL group_replication_bootstrap_group = OFF",
            )
        else:
            member.sql("START GROUP_REPLICATION", timeout_s=JOIN_S)
        until = time.monotonic() + JOIN_S
        while self.state(member) != "ONLINE":
            if time.monotonic() > until:
                raise ServerFailed(f"{member.name}: it is {self.state(member) or 'away'} after {JOIN_S} s in the group")
            time.sleep(0.1)


def _options(name: str, number: int, port: int, seeds: str) -> list[str]:
    """A member's options; what each is for stands in docs/MYSQL.md."""
    return [
        f"--server-id={number}",
        "--gtid-mode=ON",
        "--enforce-gtid-consistency=ON",
        "--super-read-only=ON",
        "--plugin-load-add=group_replication.so",
        f"--group-replication-group-name={name}",
        f"--group-replication-local-address=127.0.0.1:{port}",
        f"--group-replication-group-seeds={seeds}",
        "--group-replication-start-on-boot=OFF",
        "--group-replication-recovery-get-public-key=ON",
        "--group-replication-member-expel-timeout=0",
        "--group-replication-unreachable-majority-timeout=5",
        "--group-replication-exit-state-action=READ_ONLY",
        "--group-replication-consistency=BEFORE_ON_PRIMARY_FAILOVER",
    ]


def _reset(member: Server) -> str:
    version = tuple(int(part) for part in str(member.sql("SELECT VERSION()")[0][0]).split("-")[0].split("."))
    return "RESET BINARY LOGS AND GTIDS" if version >= (8, 2) else "RESET MASTER"


def _transactions(member: Server) -> int:
    """How many transactions a member has, to bootstrap from the one that has most."""
    executed = str(member.sql("SELECT @@global.gtid_executed")[0][0])
    ranges = [part for source in executed.split(",") for part in source.strip().split(":")[1:]]
    bounds = [part.split("-") for part in ranges]
    return sum(int(bound[-1]) - int(bound[0]) + 1 for bound in bounds)
