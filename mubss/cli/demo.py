"""`mubss demo`: the main job from nothing, in a folder of its own: a store, a server, sessions, what they cost."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

from mubss.cli.account_view import money_of
from mubss.cli.bill_view import amount
from mubss.cli.ccr import Player
from mubss.cli.ccr_build import SERVICES, Subject
from mubss.cli.command import Command, Invocation
from mubss.cli.demo_bills import CYCLE, bill_cycle
from mubss.cli.demo_cdr import load_sample
from mubss.cli.demo_folder import LOG, fresh, write_config
from mubss.cli.demo_group import DemoGroup, free_port, prepare_crm
from mubss.cli.demo_server import DemoServer
from mubss.cli.desk import Desk
from mubss.cli.init import set_up, summary
from mubss.cli.ledger import print_postings
from mubss.cli.output import console, counted, print_json, print_table
from mubss.cli.status_processes import print_processes
from mubss.config import LOGS, Config, load
from mubss.core.errors import MubssError
from mubss.core.model import Account
from mubss.gy.ccr import EVENT, INITIAL, TERMINATION, UPDATE
from mubss.gy.client import GyClient
from mubss.gy.message import Identity
from mubss.services import lifecycle
from mubss.services.audit_ledger import check
from mubss.services.cdr_pass import summary as summary_of
from mubss.storage import subscribers
from mubss.storage.database import Doc, open_database

MSISDN, IMSI = "999700000001", "999700000000001"
POSTPAID = "999700000101"
CALLED = "999700000002"
_REALM = "demo.mubss.example"


class DemoFailed(MubssError):
    """Something didn't come out as the demo promises."""


@dataclass(slots=True)
class Story:
    """What is told on the way: headings and lines for people, or parts gathered for JSON."""

    as_json: bool
    parts: dict[str, Any] = field(default_factory=dict)

    def head(self, title: str) -> None:
        """A heading."""
        if not self.as_json:
            from rich.text import Text

            console().print(Text(f"\n{title}", style="bold cyan"))

    def say(self, line: str) -> None:
        """A line for people."""
        if not self.as_json:
            click.echo(line)


@click.command("demo", cls=Command)
@click.option("--serve", is_flag=True, help="Leave the server running until Ctrl-C, to try things on.")
@click.option("--all", "whole", is_flag=True, help="The whole group, by supervisord, instead: started, shown, stopped.")
@click.option("--dir", "folder", default="demo", show_default=True, metavar="FOLDER", help="Made anew each time.")
@click.pass_obj
def demo(invocation: Invocation, /, serve: bool, whole: bool, folder: str) -> None:
    """Charges real sessions on a store and a server of its own, and shows what they cost.

    It has its own configuration, FOLDER/mubss.toml; yours stays out of it.
    """
    if invocation.config_file is not None:
        raise click.UsageError("--config: the demo makes a configuration of its own.")
    story = Story(invocation.as_json)
    with _stopped_like_ctrl_c(), fresh(Path(folder).absolute()) as config_file:
        try:
            (_play_group if whole else _play)(story, config_file, serve)
        except KeyboardInterrupt:
            if not serve:
                raise
            story.say("stopped")


@contextmanager
def _stopped_like_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does, with its server; SIGINT too where a script's & has it ignored."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _play(story: Story, config_file: Path, serve: bool) -> None:
    config = load(config_file, {})
    story.head("A store, with tariffs and subscribers")
    for line in summary(set_up(config, with_demo=True)):
        story.say(line)
    story.head("The server")
    with DemoServer(config_file, config_file.with_name(LOG)) as server:
        write_config(config_file, server.port)
        story.say(f"mubss-gy, process {server.process.pid}, listens on 127.0.0.1:{server.port}")
        with closing(open_database(config.store_url)) as store:
            desk = Desk(config, store)
            doc = lifecycle.find_subscriber(store, MSISDN)
            before = lifecycle.find_account(store, doc)
            _charge(story, config, server.port)
            _show_cost(story, desk, doc, before)
            _load_cdrs(story, desk, config_file)
            _bill(story, desk, config_file)
        if serve:
            _end(story, config_file, server.port, serve=True)
            code = server.process.wait()
            raise DemoFailed(f"mubss-gy: ended by itself with {code}; {config_file.with_name(LOG)} says why")
        if code := server.stop():
            raise DemoFailed(f"mubss-gy: exit code {code} after SIGTERM; {config_file.with_name(LOG)} says why")
    _end(story, config_file, server.port, serve=False)


def _play_group(story: Story, config_file: Path, serve: bool) -> None:
    """The group on a store of its own: started, shown, and stopped, or left running until Ctrl-C."""
    write_config(config_file, free_port(), free_port())
    config = load(config_file, {})
    story.head("A store with tariffs and subscribers; a certificate and a key for tokens")
    for line in [*summary(set_up(config, with_demo=True)), *prepare_crm(config)]:
        story.say(line)
    story.head("The group, by supervisord")
    with DemoGroup(config) as group:
        running = group.wait_until_ready()
        if story.as_json:
            found = [asdict(one) for one in running]
            print_json({"config": str(config_file), "serving": serve, "processes": found})
        else:
            print_processes(running)
        if serve:
            mubss = f"{program()} --config {shlex.quote(_short(config_file))}"
            story.head("It runs until Ctrl-C. In another terminal, try:")
            for line in ("status", f"ccr session --msisdn {MSISDN} --use 1500000", f"billing run --cycle {CYCLE}"):
                story.say(f"  {mubss} {line}")
            raise DemoFailed(f"supervisord: ended by itself with {group.process.wait()}")
        if code := group.stop():
            raise DemoFailed(f"supervisord: exit code {code} after SIGTERM; {config.resolve(LOGS)} says why")
    story.say("stopped, each process after what it had begun")


def _charge(story: Story, config: Config, port: int) -> None:
    """One data session, one call, one SMS, over TCP."""
    with GyClient("127.0.0.1", port, Identity(f"pgw.{_REALM}", _REALM)) as client:

        def player(service: str, called: str | None = None) -> Player:
            context, unit = SERVICES[service]
            session_id, realm = client.new_session_id(), config.gy.origin_realm
            subject = Subject(session_id, context, unit, realm, None, MSISDN, IMSI, called=called)
            return Player(client, subject, as_json=story.as_json, verbose=False)

        story.head(f"Data: {MSISDN} uses 5,200,000 octets at 0.02 EUR per started 1,000,000")
        data = player("data")
        data.play(INITIAL, 0, requested=5_000_000)
        data.play(UPDATE, 1, requested=5_000_000, used=(1_500_000,))
        data.play(UPDATE, 2, requested=5_000_000, used=(3_000_000,))
        data.play(TERMINATION, 3, asks=False, used=(700_000,))
        story.head(f"A call to {CALLED} of 95 seconds at 0.09 EUR per started 60")
        call = player("voice", CALLED)
        call.play(INITIAL, 0, requested=60)
        call.play(UPDATE, 1, requested=60, used=(60,))
        call.play(TERMINATION, 2, asks=False, used=(35,))
        story.head(f"An SMS to {CALLED} at 0.08 EUR")
        message = player("sms", CALLED)
        message.play(EVENT, 0, requested=1, action=0)
    story.parts["exchanges"] = [*data.exchanges, *call.exchanges, *message.exchanges]
    if data.failed or call.failed or message.failed:
        raise DemoFailed("an answer above is no success; the server's log says why")


def _show_cost(story: Story, desk: Desk, doc: Doc, before: Account) -> None:
    """The balance before and after, every posting, and whether the books add up."""
    after = lifecycle.find_account(desk.store, doc)
    postings = subscribers.postings(desk.store, doc["account"])
    count, findings = check(desk.store)
    if story.as_json:
        balances = {"before_micros": before["balance_micros"], "after_micros": after["balance_micros"]}
        story.parts |= {"msisdn": MSISDN, "currency": after["currency"], **balances, "postings": postings}
        story.parts["ledger"] = {"accounts": count, "findings": [finding._asdict() for finding in findings]}
    else:
        story.head("What it cost")
        row = {
            "msisdn": MSISDN,
            "before": money_of(desk, after, before["balance_micros"]),
            "spent": money_of(desk, after, before["balance_micros"] - after["balance_micros"]),
            "after": money_of(desk, after, after["balance_micros"]),
            "reserved": money_of(desk, after, after["reserved_micros"]),
        }
        columns = {
            "msisdn": "subscriber",
            "before": "before",
            "spent": "spent",
            "after": "after",
            "reserved": "reserved",
        }
        print_table([row], columns, right=("before", "spent", "after", "reserved"))
        click.echo()
        print_postings(desk, after, postings, "Every posting")
        verdict = counted(len(findings), "fault") if findings else "every balance is the sum of its postings"
        click.echo(f"\n{counted(count, 'account')} checked: {verdict}")
    if findings:
        raise DemoFailed(f"the ledger doesn't add up: {findings[0].account}: {findings[0].fault}")


def _load_cdrs(story: Story, desk: Desk, config_file: Path) -> None:
    """What postpaid subscribers used comes in a file; what prepaid ones used was charged above, as it was used."""
    file = load_sample(desk.config, config_file, desk.store)
    story.parts["cdr_file"] = file
    story.head(f"A CDR file: {summary_of(file)}")
    account = lifecycle.find_account(desk.store, lifecycle.find_subscriber(desk.store, POSTPAID))
    usage = [one for one in subscribers.usage(desk.store, account["_id"]) if one["source"] == "cdr"]
    rows = [
        {
            "record": one["record_id"],
            "from": desk.time(one["from_s"]),
            "service": one["service"],
            "called": one.get("called", ""),
            "units": f"{one['units']:,}",
            "free": f"{one['free_units']:,}",
            "charge": money_of(desk, account, one["charge_micros"]),
        }
        for one in usage
    ]
    if not story.as_json:
        print_table(
            rows, dict(zip(rows[0], rows[0], strict=True)), f"What {POSTPAID} used", right=("units", "free", "charge")
        )


def _bill(story: Story, desk: Desk, config_file: Path) -> None:
    """The bills of the last closed period, and their files."""
    documents = bill_cycle(desk.config, config_file, desk.store)
    story.parts["bills"] = [{**one.bill, "path": str(one.path)} for one in documents]
    period = documents[0].bill["period"] if documents else ""
    story.head(f"A bill run of cycle {CYCLE}, period {period}: {counted(len(documents), 'bill')}, each as a PDF")
    if story.as_json:
        return
    rows = [
        {
            "number": one.bill["number"],
            "msisdn": one.bill["msisdn"],
            "total": amount(one.bill, one.bill["total"]),
            "due": amount(one.bill, one.bill["due"]),
            "path": _short(one.path),
        }
        for one in documents
    ]
    columns = {"number": "number", "msisdn": "subscriber", "total": "total", "due": "due", "path": "file"}
    print_table(rows, columns, right=("total", "due"))


def _end(story: Story, config_file: Path, port: int, *, serve: bool) -> None:
    """The JSON, or what to try now."""
    if story.as_json:
        print_json({**story.parts, "config": str(config_file), "port": port, "serving": serve})
        return
    mubss = f"{program()} --config {shlex.quote(_short(config_file))}"
    if serve:
        story.head("The server runs until Ctrl-C. In another terminal, try:")
        story.say(f"  {mubss} ccr session --msisdn {MSISDN} --service data --use 1500000 --use 3000000")
        story.say(f"  {mubss} topup {MSISDN} 5")
    else:
        story.head("The server is stopped; its store stays until the next demo. Try:")
        story.say(f"  {program()} demo --serve")
    story.say(f"  {mubss} balance {MSISDN}")
    story.say(f"  {mubss} usage 999700000110")
    story.say(f"  {mubss} cdr files")
    story.say(f"  {mubss} status")


def program() -> str:
    """How this user calls `mubss`."""
    script = Path(sys.executable).with_name("mubss")
    if not script.exists():
        return f"{shlex.quote(_short(Path(sys.executable)))} -m mubss.cli.main"
    return "mubss" if shutil.which("mubss") == str(script) else shlex.quote(_short(script))


def _short(path: Path) -> str:
    """Relative to the current folder where it is in there."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
