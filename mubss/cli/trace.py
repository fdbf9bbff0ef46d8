"""`mubss gy trace`: the messages of one subscriber, session or peer as they come, printed or kept as a pcap file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click
import orjson

from mubss.cli.ccr_print import message_json, tree_lines
from mubss.cli.command import Command, Invocation
from mubss.cli.output import counted
from mubss.core.errors import InputError, MubssError
from mubss.gy import pcap
from mubss.gy.dictionary import command_name
from mubss.gy.message import decode_header
from mubss.gy.peer_table import MAX_NAME_LETTERS
from mubss.gy.subscription import digits
from mubss.runtime import one_line
from mubss.services.control import FOLDER, GY, sockets
from mubss.services.trace import follow

MAX_SESSION_ID_OCTETS = 60_000  # with it the question still fits what a control socket reads (65,536)


@click.command("trace", cls=Command)
@click.option("--msisdn", help="This subscriber, as a request names it by MSISDN.")
@click.option("--imsi", help="The same by IMSI; with --msisdn either will do.")
@click.option("--session", help="This Session-Id.")
@click.option("--peer", help="All of the peer with this Origin-Host.")
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(1, 3600), help="For so long.")
@click.option("--messages", default=1000, show_default=True, type=click.IntRange(1), help="At most so many.")
@click.option("--hex", "with_hex", is_flag=True, help="Show each message's octets, too.")
@click.option("--out", metavar="FILE", help="Write to this file what is printed otherwise.")
@click.option("--pcap", "pcap_file", metavar="FILE", help="Write a capture for wireshark, too.")
@click.pass_obj
def trace(
    invocation: Invocation, /, msisdn: str | None, imsi: str | None, session: str | None, peer: str | None,
    seconds: int, messages: int, with_hex: bool, out: str | None, pcap_file: str | None,
) -> None:  # fmt: skip
    """What a subscriber's clients, a session's client or a peer and we say to each other.

    It ends with Ctrl-C, or after so many --seconds or --messages.

    It comes from every mubss-gy of this data folder that runs on this machine. Numbers are shown whole. A session that
    began before is seen from its next request on that names the subscriber; many clients do so in each.
    """
    subscriber = _identities(msisdn, imsi)
    if sum(map(bool, (subscriber, session, peer))) != 1:
        raise click.UsageError("Expected one of --msisdn or --imsi, --session, --peer.")
    if peer is not None and len(peer) > MAX_NAME_LETTERS:
        raise InputError(f"--peer: {counted(len(peer), 'letter')}; expected an Origin-Host of up to {MAX_NAME_LETTERS}")
    if session is not None and (octets := len(session.encode())) > MAX_SESSION_ID_OCTETS:
        raise InputError(f"--session: {octets} octets; expected a Session-Id of up to {MAX_SESSION_ID_OCTETS}")
    wanted = {"subscriber": subscriber, "session_id": session or "", "peer": peer or "", "seconds": seconds}
    if out and pcap_file and _is_same(out, pcap_file):
        raise InputError(f"--pcap: {pcap_file}: the file of --out; expected another one")
    with _writing(" or ".join(filter(None, (out, pcap_file)))), ExitStack() as files:
        text = files.enter_context(_created(out).open("w", encoding="utf-8")) if out else None
        show = Printer(text, as_json=invocation.as_json, with_hex=with_hex)
        capture = PcapFile(files, _created(pcap_file)) if pcap_file else None
        count = 0
        try:
            for pid, message in _messages(invocation.config.resolve(FOLDER), wanted):
                count += 1  # before it is shown: a Ctrl-C right after still counts it
                show.message(message)
                if capture is not None:
                    capture.message(pid, message)
                if count == messages:
                    break
        except KeyboardInterrupt:
            pass  # that is how it is meant to end
        click.echo(counted(count, "message"), err=True)


def _identities(msisdn: str | None, imsi: str | None) -> list[str]:
    found = []
    if msisdn is not None:
        if not (number := digits(msisdn)):
            raise InputError(f"msisdn: {msisdn[:40]!r}; expected 5 to 15 digits")
        found.append(f"e164:{number}")
    if imsi is not None:
        if not (imsi.isascii() and imsi.isdigit() and 5 <= len(imsi) <= 15):
            raise InputError(f"imsi: {imsi[:40]!r}; expected up to 15 digits")
        found.append(f"imsi:{imsi}")
    return found


def _created(name: str) -> Path:
    """A file that only its user may read, unless it is there already: it will have subscribers' numbers."""
    path = Path(name)
    with _writing(name):
        path.touch(mode=0o600)
        path.open("ab").close()  # a folder, too, can be touched
    return path


@contextmanager
def _writing(name: str) -> Iterator[None]:
    """What goes wrong with a file in the block becomes an InputError that names it."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader of our output went away
    except OSError as error:
        raise InputError(f"{name or 'standard output'}: can't be written: {error.strerror}") from None


def _is_same(one: str, other: str) -> bool:
    """Whether both name one file, be it there or not; a device takes both."""
    if Path(one).exists() and Path(other).exists():
        return Path(one).samefile(other) and Path(one).is_file()
    return Path(one).resolve() == Path(other).resolve()


def _messages(folder: Path, wanted: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Those of all processes; says on stderr who is asked, and what was lost."""
    asked = 0
    for pid, said in follow(folder, **wanted):
        if "frame" in said:
            yield pid, said
        elif "error" in said:
            raise MubssError(f"mubss-gy {pid}: {said['error']}")
        elif "pid" in said:
            asked += 1
            click.echo(f"tracing mubss-gy {pid}", err=True)
        elif said["lost"]:
            click.echo(
                f"mubss-gy {pid}: {counted(said['lost'], 'message is', 'messages are')} lost: not read fast enough",
                err=True,
            )
    if not asked and (there := sockets(folder, GY)):
        raise InputError(f"none of {counted(len(there), 'mubss-gy', 'mubss-gy')} answered in {folder}")
    if not asked:
        raise InputError(f"no mubss-gy runs here that could be asked: there is none in {folder}")


class Printer:
    """Shows messages as lines for people, or one JSON object a line."""

    def __init__(self, file: TextIO | None, *, as_json: bool, with_hex: bool) -> None:
        self._file = file
        self._as_json = as_json
        self._with_hex = with_hex

    def message(self, said: dict[str, Any]) -> None:
        """One as a process tells it."""
        frame: bytes = said["frame"]
        time = datetime.fromtimestamp(said["at_us"] / 1_000_000, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
        _, remote, port = said["ends"]
        if self._as_json:
            head = {"time": time, "direction": "out" if said["is_ours"] else "in", "peer": said["peer"]}
            shown = {**head, "address": remote, "port": port, **message_json(frame)}
            if self._with_hex:
                shown["hex"] = frame.hex()
            self._say(orjson.dumps(shown).decode())
            return
        header = decode_header(frame)
        name = command_name(header.command_code, header.is_request)
        peer = one_line(said["peer"] or "a peer")
        self._say(f"{time} {'→' if said['is_ours'] else '←'} {name} {peer} at {remote}")
        for line in tree_lines(frame):
            self._say(line)
        if self._with_hex:
            self._say(f"    {frame.hex()}")

    def _say(self, line: str) -> None:
        click.echo(line, file=self._file)


class PcapFile:
    """The capture."""

    def __init__(self, files: ExitStack, path: Path) -> None:
        self._file = files.enter_context(path.open("wb"))
        self._file.write(pcap.header())
        self._streams: dict[tuple[int, int], pcap.Stream] = {}

    def message(self, pid: int, said: dict[str, Any]) -> None:
        """One as a process tells it."""
        key, at_us = (pid, said["connection"]), said["at_us"]
        if key not in self._streams:
            self._streams[key] = pcap.Stream(pcap.Ends(*said["ends"]))
            self._file.write(self._streams[key].opening(at_us))
        self._file.write(self._streams[key].message(said["frame"], at_us, is_ours=said["is_ours"]))
        self._file.flush()
