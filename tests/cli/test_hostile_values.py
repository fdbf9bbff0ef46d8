"""Values that nobody should give: each is one line on stderr that names it, and the exit code of wrong input."""

from __future__ import annotations

import pytest

from cli_tools import Shell
from mubss.runtime import ExitCode

U32, U64 = 1 << 32, 1 << 64
NO_TEXT = "\udcff\udcfe"  # as Python has the octets FF FE of a command line
VOICE, SMS = ("--service", "voice"), ("--service", "sms")
OPEN = ("--session-id", "x", "--number", 1)


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("session", "--use", 10**23 - 1), f"--use: {10**23 - 1}; expected 0 to {U64 - 1} octets"),
        (("session", "--use", 1, "--use", U64), f"--use: {U64}; expected 0 to {U64 - 1} octets"),
        (("session", "--use", "9" * 4000), f"--use: {'9' * 40}… (4,000 digits); expected 0 to {U64 - 1} octets"),
        (("session", *VOICE, "--use", U32), f"--use: {U32}; expected 0 to {U32 - 1} seconds"),
        (("session", *VOICE, "--last", U32), f"--last: {U32}; expected 0 to {U32 - 1} seconds"),
        (("session", *SMS, "--unit", "seconds", "--use", U32), f"--use: {U32}; expected 0 to {U32 - 1} seconds"),
        (("event", *SMS, "--requested", U64), f"--requested: {U64}; expected 0 to {U64 - 1} events"),
        (("initial", "--requested", U64), f"--requested: {U64}; expected 0 to {U64 - 1} octets"),
        (("update", *OPEN, "--used", U64), f"--used: {U64}; expected 0 to {U64 - 1} octets"),
        (("update", *OPEN, "--requested", U64), f"--requested: {U64}; expected 0 to {U64 - 1} octets"),
        (("terminate", *OPEN, "--used", U64), f"--used: {U64}; expected 0 to {U64 - 1} octets"),
        (("initial", "--host", ".."), "host: '..'; expected a host's name or address"),
        (("initial", "--host", "a" * 100), f"host: '{'a' * 80}'; expected a host's name or address"),
    ],
)
def test_what_a_request_cannot_hold(shell: Shell, arguments: tuple[object, ...], fault: str) -> None:
    done = shell("ccr", *arguments)
    assert (done.code, done.out, done.err) == (ExitCode.INPUT, "", f"mubss: {fault}\n")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        *(
            (("ccr", "initial", option, NO_TEXT), option)
            for option in "--msisdn --imsi --session-id --origin-host --realm --context --apn --called --host".split()
        ),
        (("sessions", "show", NO_TEXT), "session"),
        (("sessions", "list", "--peer", NO_TEXT), "--peer"),
        (("gy", "suspense", "list", "--reason", NO_TEXT), "--reason"),
        (("gy", "suspense", "charge", "a", NO_TEXT), "ids"),
        (("gy", "trace", "--peer", NO_TEXT), "--peer"),
        (("balance", NO_TEXT), "msisdn"),
    ],
)
def test_text_that_is_not_utf_8(demo_shell: Shell, arguments: tuple[str, ...], name: str) -> None:
    done = demo_shell(*arguments)
    assert (done.code, done.err) == (ExitCode.INPUT, f"mubss: {name}: '\\udcff\\udcfe'; expected text in UTF-8\n")


def test_a_files_name_may_be_any_octets(demo_shell: Shell) -> None:
    done = demo_shell("subscriber", "import", NO_TEXT)
    assert "expected text in UTF-8" not in done.err and "\\udcff\\udcfe: can't be read" in done.err


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--session", "x", "--pcap", "."), ".: can't be written: Is a directory"),
        (("--session", "x", "--out", "."), ".: can't be written: Is a directory"),
        (("--session", "x", "--out", "none/a"), "none/a: can't be written: No such file or directory"),
        (("--session", "x", "--pcap", "/dev/full"), "/dev/full: can't be written: No space left on device"),
        (("--session", "x", "--out", "a", "--pcap", "a"), "--pcap: a: the file of --out; expected another one"),
        (("--session", "x", "--out", "b", "--pcap", "./b"), "--pcap: ./b: the file of --out; expected another one"),
        (("--session", "x", "--out", "b", "--pcap", "link"), "--pcap: link: the file of --out; expected another one"),
        (("--peer", "a" * 100_000), "--peer: 100,000 letters; expected an Origin-Host of up to 255"),
        (("--session", "ä" * 50_000), "--session: 100000 octets; expected a Session-Id of up to 60000"),
        (("--session", "x"), "no mubss-gy runs here that could be asked: there is none in {folder}/var/run"),
    ],
)
def test_what_a_trace_cannot_do(shell: Shell, arguments: tuple[str, ...], fault: str) -> None:
    (shell.folder / "link").symlink_to("b")
    done = shell("gy", "trace", *arguments)
    assert (done.code, done.out) == (ExitCode.INPUT, "")
    assert done.err.splitlines()[-1] == f"mubss: {fault.format(folder=shell.folder)}"


def test_processes_that_do_not_answer_a_trace(shell: Shell) -> None:
    (shell.folder / "var/run").mkdir(parents=True)
    (shell.folder / "var/run/mubss-gy-1.sock").touch()  # it is no socket: like that of a process that was killed
    done = shell("gy", "trace", "--session", "x")
    assert done.err.splitlines()[-1] == f"mubss: none of 1 mubss-gy answered in {shell.folder}/var/run"
    assert done.code == ExitCode.INPUT


@pytest.mark.parametrize("command", ["show", "abort", "reauth"])
@pytest.mark.parametrize("session", ["", "ä" * 20, "nobody's"])
def test_sessions_that_are_not_there(demo_shell: Shell, command: str, session: str) -> None:
    done = demo_shell("sessions", command, session)
    assert (done.code, done.out) == (ExitCode.INPUT, "")
    assert done.err.startswith(f"mubss: session: {session!r}; expected the Session-Id of a")


def test_reasons_of_suspense_that_there_are_not(demo_shell: Shell) -> None:
    done = demo_shell("gy", "suspense", "list", "--reason", "nope")
    assert done.code == ExitCode.INPUT
    assert done.err.startswith("mubss: reason: 'nope'; expected one of no price for these units, ")
    assert "UNKNOWN_SESSION_ID" in done.err and "USER_UNKNOWN" in done.err
    assert demo_shell.json("gy", "suspense", "list", "--reason", "USER_UNKNOWN") == []
    assert demo_shell.json("gy", "suspense", "list", "--subscriber", "4912345") == []
