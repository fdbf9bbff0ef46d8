"""`mubss ccr`: plays a Gy client against any server and prints each request and answer."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from mubss.cli.ccr_build import SERVICES, Subject, build, check_units
from mubss.cli.ccr_print import answer_line, exchange_json, is_success, request_line, succeeded, tree_lines
from mubss.cli.command import Group, Invocation
from mubss.cli.output import console, print_json
from mubss.gy.ccr import EVENT, INITIAL, TERMINATION, UPDATE
from mubss.gy.client import GyClient
from mubss.gy.message import Identity
from mubss.gy.tls import client_context
from mubss.runtime import ExitCode

TLS_PORT = 5658  # RFC 6733 §2.1
ACTIONS = {"debit": 0, "refund": 1, "balance": 2, "price": 3}
UNITS = ("octets", "seconds", "events")

_PEER_OPTIONS = (
    click.option("--host", help="Server to connect to; by default the configured one (gy.host)."),
    click.option("--port", type=click.IntRange(1, 65_535), help="Its TCP port; gy.port by default, or gy.tls_port."),
    click.option("--tls", is_flag=True, help="Speak TLS from the first octet on; needs --tls-ca."),
    click.option("--tls-ca", metavar="FILE", help="The authority that signed the server's certificate, in PEM."),
    click.option("--tls-certificate", metavar="FILE", help="Our certificate in PEM, for a server that asks for one."),
    click.option("--tls-key", metavar="FILE", help="Its key; by default in the certificate's file."),
    click.option("--origin-host", help="Who we are; a name of this process by default."),
    click.option("--realm", default="client.mubss.example", show_default=True, help="Our Origin-Realm."),
    click.option("--destination-realm", help="gy.origin_realm by default."),
    click.option("--destination-host", help="Destination-Host, where one is wanted."),
    click.option("--timeout", default=5, show_default=True, type=click.IntRange(1, 300), help="Seconds to wait."),
    click.option("-v", "--verbose", is_flag=True, help="Show each message as a tree of AVPs too."),
)
_SUBJECT_OPTIONS = (
    click.option("--msisdn", help="Subscription-Id of type E164."),
    click.option("--imsi", help="Subscription-Id of type IMSI."),
    click.option("--service", default="data", show_default=True, type=click.Choice(list(SERVICES)), help="What for."),
    click.option("--context", help="Service-Context-Id instead of the service's own."),
    click.option("--unit", type=click.Choice(UNITS), help="What is counted, instead of the service's own unit."),
    click.option("--rating-group", type=click.IntRange(0, 0xFFFFFFFF), help="Rating-Group of the MSCC."),
    click.option("--service-identifier", type=click.IntRange(0, 0xFFFFFFFF), help="Service-Identifier of the MSCC."),
    click.option("--called", metavar="NUMBER", help="The other party, for calls and messages."),
    click.option("--apn", help="Called-Station-Id, the access point name."),
    click.option("--command-level", is_flag=True, help="Units beside no MSCC, as some clients send them."),
)
_NEW_SESSION = (click.option("--session-id", help="Session-Id; a new one by default."),)
_OPEN_SESSION = (click.option("--session-id", help="That of the open session, as its initial request printed it."),)
_RETRANSMITTED = click.option("--retransmitted", is_flag=True, help="Set the T flag: this may have been sent before.")
_REQUESTED = click.option(
    "--requested", type=click.IntRange(0), metavar="N", help="Units to ask for; by default the server decides."
)
_USED = click.option(
    "--used", type=click.IntRange(0), multiple=True, metavar="N", help="Units used; again for several reports at once."
)


def _with(*groups: tuple[Callable[..., Any], ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return decorate


def _number(default: int | None) -> Callable[..., Any]:
    given: dict[str, Any] = {"required": True} if default is None else {"default": default, "show_default": True}
    return click.option("--number", type=click.IntRange(0, 0xFFFFFFFF), help="CC-Request-Number.", **given)


class Player:
    """Sends requests one by one, and prints or gathers what came back."""

    def __init__(self, client: GyClient, subject: Subject, *, as_json: bool, verbose: bool) -> None:
        self._client = client
        self._subject = subject
        self._as_json = as_json
        self._verbose = verbose
        self.exchanges: list[dict[str, Any]] = []
        self.failed = False

    def play(self, request_type: int, number: int, **wishes: Any) -> bool:
        """One request; whether a session can go on after its answer (2xxx at command level)."""
        ccr = build(self._subject, request_type, number, **wishes)
        if not self._as_json:
            _say(request_line(ccr))
        exchange = self._client.ask(ccr)
        self.failed = self.failed or not succeeded(exchange.cca)
        if self._as_json:
            self.exchanges.append(exchange_json(ccr, exchange, with_avps=self._verbose))
        else:
            self._show_tree(exchange.request)
            _say(answer_line(exchange))
            self._show_tree(exchange.answer)
        return is_success(exchange.cca.answer.result_code)

    def _show_tree(self, frame: bytes) -> None:
        if self._verbose:
            for line in tree_lines(frame):
                click.echo(line)


def _say(line: Any) -> None:
    console().print(line, soft_wrap=True)


@contextmanager
def playing(invocation: Invocation, options: dict[str, Any], **units: int | tuple[int, ...] | None) -> Iterator[Player]:
    """A player connected as the options say; prints the JSON at the end. `units` are options that count them."""
    for name, given in units.items():
        for number in given if isinstance(given, tuple) else (given,):
            check_units(f"--{name}", options["unit"] or SERVICES[options["service"]][1], number)
    gy = invocation.config.gy
    configured = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(gy.hosts[0], gy.hosts[0])
    host = options["host"] or configured
    tls = _tls(options)
    port = options["port"] or (gy.tls_port or TLS_PORT if tls else gy.port)
    identity = Identity(options["origin_host"] or f"ccr-{os.getpid()}.{options['realm']}", options["realm"])
    with GyClient(host, port, identity, timeout_s=options["timeout"], tls=tls) as client:
        subject = _subject(options, options["session_id"] or client.new_session_id(), gy.origin_realm)
        player = Player(client, subject, as_json=invocation.as_json, verbose=options["verbose"])
        if not invocation.as_json:
            server = client.cea.find("Origin-Host")
            click.echo(f"{client.where}, {server}; session {subject.session_id}")
        yield player
    if invocation.as_json:
        print_json(
            {
                "server": client.where,
                "origin_host": client.cea.find("Origin-Host"),
                "session_id": subject.session_id,
                "success": not player.failed,
                "exchanges": player.exchanges,
            }
        )


def _tls(options: dict[str, Any]) -> ssl.SSLContext | None:
    if not options["tls"]:
        for name in ("tls_ca", "tls_certificate", "tls_key"):
            if options[name]:
                raise click.UsageError(f"--{name.replace('_', '-')}: expected with --tls only.")
        return None
    if not options["tls_ca"]:
        raise click.UsageError("--tls-ca: missing; expected with --tls, a PEM file.")
    return client_context(options["tls_ca"], options["tls_certificate"], options["tls_key"])


def _subject(options: dict[str, Any], session_id: str, realm: str) -> Subject:
    context, unit = SERVICES[options["service"]]
    return Subject(
        session_id,
        options["context"] or context,
        options["unit"] or unit,
        options["destination_realm"] or realm,
        options["destination_host"],
        options["msisdn"],
        options["imsi"],
        options["rating_group"],
        options["service_identifier"],
        options["called"],
        options["apn"],
        options["command_level"],
    )


def _code(player: Player) -> ExitCode:
    return ExitCode.FAILURE if player.failed else ExitCode.OK


@click.group("ccr", cls=Group)
def ccr() -> None:
    """Play a Gy client: credit-control requests to any server.

    The exit code is 1 if any answer, or any MSCC in it, is no success.
    """


@ccr.command("session")
@_with(_SUBJECT_OPTIONS, _NEW_SESSION)
@click.option("--use", type=click.IntRange(0), multiple=True, metavar="N", help="Units to use; an update for each.")
@click.option("--last", type=click.IntRange(0), metavar="N", help="Units that the termination reports.")
@_REQUESTED
@_with(_PEER_OPTIONS)
@click.pass_obj
def session(
    invocation: Invocation, /, use: tuple[int, ...], last: int | None, requested: int | None, **options: Any
) -> ExitCode:
    """A whole session: initial, an update for each --use, termination."""
    with playing(invocation, options, use=use, last=last, requested=requested) as player:
        goes_on = player.play(INITIAL, 0, requested=requested)
        for number, units in enumerate(use, 1):
            goes_on = goes_on and player.play(UPDATE, number, requested=requested, used=(units,))
        if goes_on:
            player.play(TERMINATION, len(use) + 1, asks=False, used=() if last is None else (last,))
    return _code(player)


@ccr.command("initial")
@_with(_SUBJECT_OPTIONS, _NEW_SESSION)
@_number(0)
@_REQUESTED
@_RETRANSMITTED
@_with(_PEER_OPTIONS)
@click.pass_obj
def initial(
    invocation: Invocation, /, number: int, requested: int | None, retransmitted: bool, **options: Any
) -> ExitCode:
    """One CCR-I: opens a session, whose Session-Id the update and the termination need."""
    with playing(invocation, options, requested=requested) as player:
        player.play(INITIAL, number, requested=requested, retransmitted=retransmitted)
    return _code(player)


@ccr.command("update")
@_with(_SUBJECT_OPTIONS, _OPEN_SESSION)
@_number(None)
@_USED
@_REQUESTED
@click.option("--final", is_flag=True, help="Only report: ask for no more quota.")
@_RETRANSMITTED
@_with(_PEER_OPTIONS)
@click.pass_obj
def update(
    invocation: Invocation,
    /,
    number: int,
    used: tuple[int, ...],
    requested: int | None,
    final: bool,
    retransmitted: bool,
    **options: Any,
) -> ExitCode:
    """One CCR-U of the session that --session-id names."""
    _need_session(options)
    with playing(invocation, options, used=used, requested=requested) as player:
        player.play(UPDATE, number, asks=not final, requested=requested, used=used, retransmitted=retransmitted)
    return _code(player)


@ccr.command("terminate")
@_with(_SUBJECT_OPTIONS, _OPEN_SESSION)
@_number(None)
@_USED
@_RETRANSMITTED
@_with(_PEER_OPTIONS)
@click.pass_obj
def terminate(
    invocation: Invocation, /, number: int, used: tuple[int, ...], retransmitted: bool, **options: Any
) -> ExitCode:
    """One CCR-T of the session that --session-id names."""
    _need_session(options)
    with playing(invocation, options, used=used) as player:
        player.play(TERMINATION, number, asks=False, used=used, retransmitted=retransmitted)
    return _code(player)


@ccr.command("event")
@_with(_SUBJECT_OPTIONS, _NEW_SESSION)
@click.option("--action", default="debit", show_default=True, type=click.Choice(list(ACTIONS)), help="What is wanted.")
@_number(0)
@click.option("--requested", type=click.IntRange(0), default=1, show_default=True, metavar="N", help="Units of it.")
@_RETRANSMITTED
@_with(_PEER_OPTIONS)
@click.pass_obj
def event(
    invocation: Invocation, /, action: str, number: int, requested: int, retransmitted: bool, **options: Any
) -> ExitCode:
    """One CCR-E: debit or refund at once, ask whether the balance is enough, or what it would cost."""
    with playing(invocation, options, requested=requested) as player:
        player.play(EVENT, number, requested=requested, action=ACTIONS[action], retransmitted=retransmitted)
    return _code(player)


def _need_session(options: dict[str, Any]) -> None:
    if not options["session_id"]:
        raise click.UsageError("--session-id: expected that of an open session, as the initial request printed it.")
