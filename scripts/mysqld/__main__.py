"""scripts/mysql: a throw-away MySQL server on loopback, or with --group 3 a replication group of three.

    scripts/mysql start [--group 3]     starts it (the first time it is made, and fetched where none is installed)
    scripts/mysql url [--group 3]       where its store is, for --store or MUBSS_STORE__URL
    scripts/mysql status [--group 3]    a line for each server; exit code 0 if all is well
    scripts/mysql stop [--group 3]      ends it; its data stays
    scripts/mysql remove [--group 3]    ends it and removes its data
    scripts/mysql kill --group 3        kill -9 of the primary; `start` brings it back

Full durability is the default (sync_binlog=1, innodb_flush_log_at_trx_commit=1); `--fast` is for tests.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mubss.xdev.errors import StoreError
from mysqld.binaries import ROOT, NoMySQL, find_or_fetch
from mysqld.group import Group
from mysqld.server import Server, ServerFailed


def status(servers: list[Server], group: Group | None) -> int:
    """A line for each server."""
    well = True
    for server in servers:
        line = f"{server.name}: "
        if not server.is_running:
            well = False
            print(line + "doesn't run")
            continue
        try:
            [(version,)] = server.sql("SELECT VERSION()", timeout_s=5)
            line += f"MySQL {version}, port {server.port()}, pid {server.pid}"
        except (StoreError, ServerFailed) as error:
            well = False
            line += f"pid {server.pid} doesn't answer: {error}"
        if group is not None:
            state = group.state(server)
            well = well and state == "ONLINE"
            line += f", {state or 'no member'} {group.role(server)}".rstrip()
        print(line)
    return 0 if well else 1


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/mysql", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["start", "stop", "status", "url", "kill", "remove"])
    parser.add_argument("--group", type=int, choices=[3], help="a replication group of so many")
    parser.add_argument("--dir", type=Path, help="its folder; .mysql/single or .mysql/group of the project by default")
    parser.add_argument("--fast", action="store_true", help="safe against a killed process, not against a power cut")
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="one more of mysqld's own")
    parser.add_argument("--root", action="store_true", help="url: the administrator's")
    arguments = parser.parse_args()
    folder = arguments.dir or ROOT / ".mysql" / ("group" if arguments.group else "single")
    options = [f"--{option}" for option in arguments.option]
    binaries = find_or_fetch()
    group = Group(folder, binaries, fast=arguments.fast, options=options) if arguments.group else None
    single = None if group else Server(folder, binaries, fast=arguments.fast, options=options)
    whole = group or single
    assert whole is not None  # one of the two
    servers = group.members if group else [single] if single else []
    match arguments.command:
        case "start":
            whole.start()
            return status(servers, group)
        case "stop":
            whole.stop()
        case "remove":
            whole.remove()
        case "status":
            return status(servers, group)
        case "kill":
            victim = group.primary() if group else servers[0]
            victim.kill()
            print(f"{victim.name}: killed")
        case "url":
            if not any(server.is_running for server in servers):
                print("scripts/mysql: nothing runs there; `scripts/mysql start` starts it", file=sys.stderr)
                return 1
            print(whole.url("root" if arguments.root else "mubss"))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (NoMySQL, ServerFailed, StoreError) as failed:
        sys.exit(f"scripts/mysql: {failed}")
