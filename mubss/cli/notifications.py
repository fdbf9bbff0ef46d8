"""`mubss notifications`: what subscribers are told, what didn't reach them, and delivery."""

from __future__ import annotations

import logging
import threading
from typing import Any

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import counted, print_json, print_rows
from mubss.core.notice_kinds import DUNNING, KINDS
from mubss.refdata.live import Refdata
from mubss.runtime import ExitCode, on_drain, setup_logging
from mubss.services import lifecycle, notifying
from mubss.services.notice_sinks import open_sinks
from mubss.services.notice_texts import load_texts
from mubss.storage import notifications as storage
from mubss.storage import subscribers
from mubss.storage.database import Doc, StoreError

log = logging.getLogger("mubss.notifications")

MAX_LIST = 10_000
_FORGET_S = 3600
_COLUMNS = {
    "id": "id",
    "kind": "kind",
    "msisdn": "subscriber",
    "state": "state",
    "tries": "tries",
    "made": "made",
    "due": "due",
    "why": "why",
}
_SPARE = ("made", "tries", "due", "why")


@click.group("notifications", cls=Group)
def notifications() -> None:
    """What subscribers are told: list, dead, retry, acknowledge, test, deliver."""


@notifications.command("list")
@click.option("--state", type=click.Choice(storage.STATES), help="Only those in this state.")
@click.option("--kind", type=click.Choice([*KINDS, *DUNNING]), help="Only those of this kind.")
@click.option("--subscriber", default="", metavar="MSISDN", help="Only this one's.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, MAX_LIST), help="At most so many.")
@click.pass_obj
def list_command(invocation: Invocation, /, state: str | None, kind: str | None, subscriber: str, limit: int) -> None:
    """Notifications, the last made first."""
    with open_desk(invocation) as desk:
        whose = str(lifecycle.find_subscriber(desk.store, subscriber)["_id"]) if subscriber else ""
        _print(invocation, desk, storage.find(desk.store, storage.Wanted(state or "", kind or "", whose), limit))


@notifications.command("dead")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, MAX_LIST), help="At most so many.")
@click.pass_obj
def dead(invocation: Invocation, /, limit: int) -> None:
    """Those that no try could deliver, and why."""
    with open_desk(invocation) as desk:
        _print(invocation, desk, storage.find(desk.store, storage.Wanted(storage.DEAD), limit))


def _print(invocation: Invocation, desk: Desk, found: list[Doc]) -> None:
    if invocation.as_json:
        print_json([_view(doc) for doc in found])
        return
    numbers = _msisdns(desk, found)
    rows = [
        {
            **_view(doc),
            "msisdn": numbers[doc["subscriber"]],
            "made": desk.time(doc["made_s"]),
            "due": desk.time(doc["due_s"]) if doc["state"] == storage.NEW else "",
        }
        for doc in found
    ]
    print_rows(False, rows, _COLUMNS, spare=_SPARE)


def _view(doc: Doc) -> dict[str, Any]:
    return {"id": doc["_id"], **{name: value for name, value in doc.items() if name not in ("_id", "version")}}


def _msisdns(desk: Desk, found: list[Doc]) -> dict[str, str]:
    people = {one: subscribers.get(desk.store, one) for one in {doc["subscriber"] for doc in found}}
    return {one: str(person["msisdn"]) if person else one for one, person in people.items()}


@notifications.command("retry")
@click.argument("ids", nargs=-1, metavar="ID...")
@click.option("--all", "all_of_them", is_flag=True, help="All that are dead.")
@click.pass_obj
def retry(invocation: Invocation, /, ids: tuple[str, ...], all_of_them: bool) -> None:
    """Tries dead notifications anew."""
    if bool(ids) == all_of_them:
        raise click.UsageError("Name ids, or --all")
    now_s = wall_clock_ms() // 1000
    with open_desk(invocation) as desk:
        changed: list[Doc] = []
        if ids:
            changed = notifying.retry(desk.store, ids, now_s)
        while all_of_them and (page := storage.find(desk.store, storage.Wanted(storage.DEAD), notifying.PAGE)):
            changed += notifying.retry(desk.store, [doc["_id"] for doc in page], now_s)
        if invocation.as_json:
            print_json([_view(doc) for doc in changed])
        else:
            click.echo(f"{counted(len(changed), 'notification is', 'notifications are')} due now")


@notifications.command("acknowledge")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.pass_obj
def acknowledge(invocation: Invocation, /, ids: tuple[str, ...]) -> None:
    """Takes dead notifications off the list."""
    with open_desk(invocation) as desk:
        changed = notifying.acknowledge(desk.store, ids, wall_clock_ms() // 1000)
        if invocation.as_json:
            print_json([_view(doc) for doc in changed])
        else:
            click.echo(f"{counted(len(changed), 'notification is', 'notifications are')} off the list")


@notifications.command("test")
@click.argument("msisdn")
@click.pass_obj
def test_command(invocation: Invocation, /, msisdn: str) -> ExitCode:
    """Sends a test message to MSISDN by every sink, now. Exit code 1 if one didn't take it."""
    setup_logging(invocation.config.general)
    with open_desk(invocation) as desk:
        found = notifying.send_test(_post(desk), msisdn, lambda person: invocation.note(desk.store, person))
    if invocation.as_json:
        print_json([{"sink": sink, "fault": fault or None} for sink, fault in found])
    else:
        for sink, fault in found:
            click.echo(f"{sink}: {fault or 'taken'}")
    return ExitCode.FAILURE if any(fault for _, fault in found) else ExitCode.OK


def _post(desk: Desk, refdata: Refdata | None = None) -> notifying.Post:
    config = desk.config
    return notifying.Post(
        desk.store,
        (lambda: refdata.tables) if refdata is not None else (lambda: desk.tables),
        load_texts(config),
        open_sinks(config),
        config.notifications,
        lambda: wall_clock_ms() // 1000,
    )


@notifications.command("deliver")
@click.option("--once", is_flag=True, help="What is due now; exit code 1 if one is dead.")
@click.pass_obj
def deliver(invocation: Invocation, /, once: bool) -> ExitCode:
    """Delivers notifications as they become due, until told to stop; any number of processes may."""
    setup_logging(invocation.config.general)
    with open_desk(invocation) as desk:
        refdata = Refdata(desk.store, desk.config.general.timezone)
        refdata.load()
        post = _post(desk, refdata)
        if once:
            done = notifying.deliver(post)
            if invocation.as_json:
                print_json(done._asdict())
            else:
                click.echo(", ".join(f"{count} {name}" for name, count in done._asdict().items()))
            return ExitCode.FAILURE if done.dead else ExitCode.OK
        stopping = threading.Event()
        on_drain(stopping.set)
        _serve(post, refdata, stopping)
    return ExitCode.OK


def _serve(post: notifying.Post, refdata: Refdata, stopping: threading.Event) -> None:
    forgot_s = 0
    while not stopping.is_set():
        try:
            refdata.poll()
            notifying.deliver(post, stopping.is_set)
            if post.clock_s() - forgot_s >= _FORGET_S:
                forgot_s = post.clock_s()
                notifying.forget_old(post.store, post.options, forgot_s)
        except StoreError as error:
            log.warning("the store is away, notifications wait: %s", error)
        except Exception:
            log.exception("delivering notifications failed")
        stopping.wait(post.options.poll_seconds)
