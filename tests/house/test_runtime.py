"""What mains share: exit codes, one line per error, log lines, masking, signals with and without gevent."""

from __future__ import annotations

import json
import logging
import re
import signal
import subprocess
import sys

import pytest

from mubss import runtime
from mubss.config import GeneralOptions
from mubss.core.errors import Busy, ConfigError, InputError, MubssError, PortInUse, RefdataError, UnknownAccount
from mubss.runtime import ExitCode, run_main
from mubss.storage.database import StoreConflict, StoreUnavailable, UnknownCommit
from mubss.xdev.errors import StoreUrlError

ENDS = [
    (ConfigError("gy.port = 0"), ExitCode.CONFIG),
    (PortInUse("gy.port = 1"), ExitCode.PORT_IN_USE),
    (StoreUrlError("store URL"), ExitCode.CONFIG),
    (StoreUnavailable("away"), ExitCode.STORE_UNAVAILABLE),
    (UnknownCommit("perhaps"), ExitCode.STORE_UNAVAILABLE),
    (StoreConflict("deadlock"), ExitCode.TRY_AGAIN),
    (Busy("full"), ExitCode.TRY_AGAIN),
    (InputError("amount"), ExitCode.INPUT),
    (UnknownAccount("nobody"), ExitCode.INPUT),
    (MubssError("else"), ExitCode.FAILURE),
]


@pytest.mark.parametrize(("error", "code"), ENDS)
def test_an_error_is_one_line_and_a_code(capsys: pytest.CaptureFixture[str], error: MubssError, code: int) -> None:
    def work() -> None:
        raise error

    assert run_main("mubss-x", work) == code
    assert capsys.readouterr().err == f"mubss-x: {error}\n"


def test_every_fault_has_its_line_and_cannot_forge_another(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise RefdataError(["a.toml: x", "b.toml: \x1b[31my\nz"])

    assert run_main("mubss", work) == ExitCode.INPUT
    assert capsys.readouterr().err == "mubss: a.toml: x\nmubss: b.toml: \\x1b[31my\\nz\n"


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (3, 3)])
def test_what_work_gives_is_the_code(result: int | None, code: int) -> None:
    assert run_main("mubss", lambda: result) == code


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_main("mubss", lambda: 1 // 0)


def test_a_reader_that_goes_away_is_no_error() -> None:
    program = "import sys; from mubss.cli.main import main; sys.exit(main(['config', 'defaults']))"
    command = f'{sys.executable} -c "{program}" | head -c 1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("#", "")


MASKED = [
    ("e164:999700000001 is away", "e164:*********001 is away"),
    ("'imsi:999700000000001', tel:+4930123456", "'imsi:************001', tel:+*******456"),
    ("sip:+4930123456@ims.example", "sip:+*******456@ims.example"),
    ("to: ada.l+x@mail.example, <b@c.de>", "to: a***@mail.example, <b***@c.de>"),
    (
        "{'ada@x-y.example': (550, b'no ada@x-y.example here')}",
        "{'a***@x-y.example': (550, b'no a***@x-y.example here')}",
    ),
    ("root@localhost, @wraps, a@@b.c, sip:ada@ims.example", "root@localhost, @wraps, a@@b.c, sip:a***@ims.example"),
    ("e164:123, e1640:99999, session 1795413292;1938882561", "e164:123, e1640:99999, session 1795413292;1938882561"),
]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_masking(text: str, masked: str) -> None:
    assert runtime.mask_identities(text) == masked


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("masked", [True, False])
def test_log_lines_are_masked(capsys: pytest.CaptureFixture[str], log_format: str, masked: bool) -> None:
    runtime.setup_logging(GeneralOptions(log_format=log_format, mask_msisdn=masked))
    try:
        raise ValueError("e164:999700000001")
    except ValueError:
        logging.getLogger("mubss").exception("imsi:%s", "999700000000001")
    line = capsys.readouterr().err
    assert ("999700000001" in line) != masked
    assert ("999700000000001" in line) != masked
    assert ("*001" in line) == masked


@pytest.fixture
def root_logger() -> logging.Logger:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    yield root
    root.handlers[:], logging.raiseExceptions = handlers, raising
    root.setLevel(level)


@pytest.mark.usefixtures("root_logger")
def test_text_lines(capsys: pytest.CaptureFixture[str]) -> None:
    runtime.setup_logging(GeneralOptions(log_level="warning"))
    log = logging.getLogger("mubss.gy.server")
    log.info("not this")
    log.warning("peer %s: closed", "a\nb")
    line = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z warning mubss\.gy\.server: peer a\\nb: closed\n", line)


@pytest.mark.usefixtures("root_logger")
def test_json_lines(capsys: pytest.CaptureFixture[str]) -> None:
    runtime.setup_logging(GeneralOptions(log_format="json"))
    log = logging.getLogger("mubss.gy.server")
    log.info("peer %s", "ü\ud800\n")
    try:
        raise ValueError("x")
    except ValueError:
        log.exception("bug")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("info", "mubss.gy.server", "peer ü\\ud800\\n")
    assert second["traceback"].endswith("ValueError: x")


PLAIN = """
import queue
from mubss.runtime import on_drain
asked = queue.SimpleQueue()
on_drain(lambda: asked.put(1))
print("ready", flush=True)
asked.get()
print("drained", flush=True)
asked.get()
"""

GEVENT = """
from gevent import monkey
monkey.patch_all()
import gevent.event
from mubss.runtime import on_drain
asked = gevent.event.Event()
on_drain(asked.set)
def tick():
    while True:
        gevent.sleep(0.1)
gevent.spawn(tick)
print("ready", flush=True)
asked.wait()
print("drained", flush=True)
gevent.sleep(600)
"""


@pytest.mark.parametrize("program", [PLAIN, GEVENT], ids=["plain", "gevent"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_drains_and_the_second_ends(program: str, number: int) -> None:
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(number)
            assert process.stdout.readline() == "drained\n"
            process.send_signal(number)
            assert process.wait(10) == -number
        finally:
            process.kill()
