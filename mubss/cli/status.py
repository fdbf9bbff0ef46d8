"""`mubss status`: is everything there, how much is in it, and how each process does."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict
from typing import Any

import click

from mubss.cli.command import Command, Invocation
from mubss.cli.desk import Desk
from mubss.cli.output import counted, print_json, print_table
from mubss.cli.status_processes import WIDTH, print_processes
from mubss.core.errors import MubssError
from mubss.runtime import ExitCode, exit_code
from mubss.services import stores
from mubss.services.control import FOLDER, PROGRAMS
from mubss.services.group import processes
from mubss.storage import refdata, sessions, subscribers, suspense
from mubss.storage.database import COLLECTIONS

PROBE_SECONDS = 1


@click.command("status", cls=Command)
@click.option("--host", help="Where mubss-gy listens; gy.host by default.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Its port; gy.port by default.")
@click.option("--expect", multiple=True, type=click.Choice(PROGRAMS), help="A program that must be ready; repeatable.")
@click.option("--wide", is_flag=True, help=f"All there is of each process, on lines of more than {WIDTH} columns.")
@click.pass_obj
def status(
    invocation: Invocation, /, host: str | None, port: int | None, expect: tuple[str, ...], wide: bool
) -> ExitCode:
    """The store, what is in it, whether a server listens, and the processes of this machine.

    The exit code isn't 0 if the store can't be used, if a program that is expected has no process that is ready, or
    (79) if a program has no good licence any more.
    """
    config = invocation.config
    code = ExitCode.OK
    found: dict[str, Any] = {"store": {"place": stores.place(config.store_url), "usable": True}}
    try:
        with closing(invocation.open_store()) as store:
            found |= _contents(Desk(config, store))
    except MubssError as error:
        code = exit_code(error)
        found["store"] |= {"usable": False, "error": str(error)}
    running = processes(config.resolve(FOLDER))
    found["gy"] = _gy(host or config.gy.hosts[0], port or config.gy.port)  # last: mubss-gy would count the connection
    found["processes"] = [asdict(one) for one in running]
    found["missing"] = sorted(set(expect) - {one.program for one in running if one.state == "ready"})
    if invocation.as_json:
        print_json(found)
    else:
        print_table(_rows(found), {"what": "", "value": ""}, fold=("value",), within=0 if wide else WIDTH)
        if running:
            click.echo()
            print_processes(running, wide=wide)
    if found["missing"]:
        click.echo(f"mubss: not ready: {', '.join(found['missing'])}", err=True)
        code = code or ExitCode.FAILURE
    if unlicensed := sorted({one.program for one in running if one.licence_fault}):
        click.echo(f"mubss: no good licence: {', '.join(unlicensed)}", err=True)
        code = code or ExitCode.LICENCE
    return code


def _contents(desk: Desk) -> dict[str, Any]:
    store = desk.store
    version = store.run(refdata.read_version)
    return {
        "collections": len(COLLECTIONS),
        "refdata": {
            "version": version.number,
            "loaded": desk.time(version.loaded_s) if version.number else None,
            "plans": sorted(desk.tables.plans),
        },
        "subscribers": subscribers.count_by_state(store),
        "open_sessions": sessions.count_open(store),
        "suspense": suspense.count_open(store),
    }


def _gy(host: str, port: int) -> dict[str, Any]:
    """Whether something takes connections where mubss-gy would."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    try:
        socket.create_connection((reached, port), PROBE_SECONDS).close()
    except (OSError, UnicodeError):  # a host name that IDNA can't encode is a UnicodeError
        return {"host": host, "port": port, "listening": False}
    return {"host": host, "port": port, "listening": True}


def _rows(found: Mapping[str, Any]) -> list[dict[str, str]]:
    store, gy = found["store"], found["gy"]
    rows = [("store", store["place"] if store["usable"] else store["error"])]
    if store["usable"]:
        version, counts = found["refdata"], found["subscribers"]
        loaded = f"version {version['version']}, loaded {version['loaded']}" if version["version"] else "none loaded"
        states = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
        rows += [
            ("collections", f"{found['collections']}, all there"),
            ("reference data", loaded),
            ("price plans", ", ".join(version["plans"]) or "none: every request is refused"),
            ("subscribers", states or "none"),
            ("open sessions", f"{found['open_sessions']:,}"),
            ("suspense", f"{counted(found['suspense'], 'report')} that no account could be charged for"),
        ]
    heard = "listening" if gy["listening"] else "nobody listens; --port looks at another"
    rows.append(("mubss-gy", f"{gy['host']} port {gy['port']}: {heard}"))
    return [{"what": what, "value": value} for what, value in rows]
