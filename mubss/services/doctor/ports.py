"""Ports that programs listen on: free, or held by who should. Read from the kernel's tables: nothing is opened."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from mubss.services.control import CRM, GY, PROGRAMS
from mubss.services.doctor.scene import Finding, Scene, fail, ok

_LISTEN = "0A"  # a state in /proc/net/tcp
_TABLES = ("tcp", "tcp6")


class Port(NamedTuple):
    """An option that names a port, and the programs that listen there."""

    option: str
    host: str
    port: int
    programs: tuple[str, ...]


def check(scene: Scene) -> Iterator[Finding]:
    """Each port that is configured; 0 is any that is free."""
    listeners = _listeners()
    for one in _ports(scene):
        if fault := _bad_host(one):
            yield fault
        elif one.port:
            yield _port(scene, one, listeners.get(one.port, {}))


def _ports(scene: Scene) -> Iterator[Port]:
    config = scene.config
    for host in config.gy.hosts:
        yield Port("gy.port", host, config.gy.port, (GY,))
        if config.gy.tls_port:
            yield Port("gy.tls_port", host, config.gy.tls_port, (GY,))
    yield Port("crm.port", config.crm.host, config.crm.port, (CRM,))
    if config.metrics.enabled:
        for program in PROGRAMS:
            option, number = config.metrics.port_of(program)
            if number:
                yield Port(option, config.metrics.host, number, (program,))


def _bad_host(one: Port) -> Finding | None:
    """An address that isn't this machine's, or a name that leads nowhere."""
    section = one.option.partition(".")[0]
    try:
        [*_, (family, kind, _, _, address)] = socket.getaddrinfo(one.host, 0, type=socket.SOCK_STREAM)
        with socket.socket(family, kind) as probe:
            probe.bind(address)  # to any port, and never listening
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        return fail(f"{section}.host: {one.host}: {reason}", "set it to an address of this machine")
    return None


def _port(scene: Scene, one: Port, held: dict[int, set[str]]) -> Finding:
    """`held`: inode of a listening socket → the address in hexadecimal digits that it is bound to."""
    name = f"{one.option}: {one.host} port {one.port}"
    wanted = {ip_address(str(found[4][0]).partition("%")[0]) for found in socket.getaddrinfo(one.host, 0)}
    clashing = {inode for inode, addresses in held.items() if any(_clash(wanted, text) for text in addresses)}
    if not clashing:
        return ok(f"{name} is free")
    ours = {pid: run.program for run in scene.running if run.program in one.programs for pid in (run.pid, run.leader)}
    for pid, program in ours.items():
        if clashing & _sockets_of(pid):
            return ok(f"{name} is held by {program}, process {pid}")
    holder = next((pid for pid in _processes() if clashing & _sockets_of(pid)), 0)
    by = f"process {holder}, {_name_of(holder)}" if holder else "a process that this user can't see"
    return fail(f"{name} is held by {by}", f"stop that one, or set {one.option} to another")


def _listeners() -> dict[int, dict[int, set[str]]]:
    """Port → inode of a socket that listens there → its addresses, as the kernel writes them."""
    found: dict[int, dict[int, set[str]]] = {}
    for table in _TABLES:
        try:
            lines = Path("/proc/net", table).read_text().splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6
        for line in lines:
            parts = line.split()
            if parts[3] == _LISTEN:
                address, _, port = parts[1].partition(":")
                found.setdefault(int(port, 16), {}).setdefault(int(parts[9]), set()).add(address)
    return found


def _clash(wanted: set[IPv4Address | IPv6Address], kernel: str) -> bool:
    """Whether who listens at the kernel's address keeps others from these: one is any address, or both are one."""
    words = [bytes.fromhex(kernel[at : at + 8])[::-1] for at in range(0, len(kernel), 8)]  # little-endian words
    held = ip_address(b"".join(words))
    return held.is_unspecified or any(one.is_unspecified or one == held for one in wanted)


def _processes() -> Iterator[int]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield int(name)


def _sockets_of(pid: int) -> set[int]:
    """Inodes of a process's sockets; none where this user may not look."""
    found = set()
    folder = f"/proc/{pid}/fd"
    try:
        for name in os.listdir(folder):
            target = os.readlink(f"{folder}/{name}")
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    except OSError:
        pass  # it has ended, or is another user's
    return found


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "which has ended"
