"""What every main shares: exit codes, errors as one line, logging, signals, masking."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from enum import IntEnum
from types import FrameType

from mubss.config import GeneralOptions
from mubss.core.errors import Busy, ConfigError, InputError, LicenceError, MubssError, PortInUse, Stopped
from mubss.log_writer import LogWriter
from mubss.storage.database import StoreConflict, StoreUnavailable

SHOWN_DIGITS = 3
MAX_TEXT, MAX_FIELD = 3000, 300  # letters in JSON: a line that had to be cut (log_writer.py) would be none
MSISDN = "msisdn"
# What a line may tell beside its message, given as `extra=` to the logger; each its own field in JSON.
FIELDS = ("request_id", "session_id", "peer", MSISDN, "method", "subject", "activity", "bill", "file")
_IDENTITY = re.compile(r"\b((?:e164|imsi|tel|sip):\+?)(\d{4,})")
# An address of mail (RFC 5322 §3.4.1, without quotes). It begins where such letters do, so that no line takes long.
_LOCAL = r"A-Za-z0-9.!#$%&*+/=?^_{|}~\-"
_MAIL = re.compile(rf"(?<![{_LOCAL}@])([A-Za-z0-9])[{_LOCAL}]{{0,63}}(?=@[A-Za-z0-9-]{{1,63}}\.[A-Za-z0-9-])")


class ExitCode(IntEnum):
    """What a process tells its caller; from 64 on as sysexits.h names them."""

    OK = 0
    FAILURE = 1  # something was found wrong, or went wrong
    USAGE = 2  # the command line
    INPUT = 65  # EX_DATAERR: a file or a value that can't be taken
    STORE_UNAVAILABLE = 69  # EX_UNAVAILABLE
    PORT_IN_USE = 71  # EX_OSERR
    TRY_AGAIN = 75  # EX_TEMPFAIL
    CONFIG = 78  # EX_CONFIG
    LICENCE = 79  # the first that sysexits.h leaves free
    INTERRUPTED = 130  # as a shell says it of SIGINT


_EXIT_CODES: tuple[tuple[type[MubssError], ExitCode], ...] = (
    (PortInUse, ExitCode.PORT_IN_USE),  # a ConfigError as well
    (ConfigError, ExitCode.CONFIG),
    (LicenceError, ExitCode.LICENCE),
    (StoreUnavailable, ExitCode.STORE_UNAVAILABLE),
    (StoreConflict, ExitCode.TRY_AGAIN),
    (Busy, ExitCode.TRY_AGAIN),
    (InputError, ExitCode.INPUT),
)


def exit_code(error: MubssError) -> ExitCode:
    """What a process that ends with `error` tells its caller."""
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), ExitCode.FAILURE)


def run_main(program: str, work: Callable[[], int | None]) -> int:
    """Does `work` and gives the exit code; a MubssError becomes a line on stderr (a line per fault of a file).

    Anything else is a bug and keeps its traceback.
    """
    try:
        return work() or ExitCode.OK
    except Stopped:
        return ExitCode.OK
    except MubssError as error:
        flush_logs()
        for line in getattr(error, "faults", None) or str(error).splitlines():
            sys.stderr.write(f"{program}: {one_line(line)}\n")
        return exit_code(error)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILURE


def on_drain(drain: Callable[[], None]) -> None:
    """SIGTERM and SIGINT call `drain` once, in the main thread; a second one ends the process at once.

    Under gevent the handler runs in the hub, so `drain` must not wait: an event's `set` is right. A signal that comes
    just as the hub falls asleep is seen when it wakes: the process needs a timer that ticks (mubss-gy's: each second).
    """

    def handle(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        drain()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def mask_identities(text: str) -> str:
    """`text` with the digits of each `e164:…`, `imsi:…`, `tel:…`, `sip:…` as stars, but for the last 3.

    Of an address of mail the first letter and the domain stay.
    """
    text = _IDENTITY.sub(lambda found: found[1] + "*" * (len(found[2]) - SHOWN_DIGITS) + found[2][-SHOWN_DIGITS:], text)
    return _MAIL.sub(r"\1***", text) if "@" in text else text


def mask_digits(text: str) -> str:
    """A number with its digits as stars, but for the last 3."""
    return "*" * max(0, len(text) - SHOWN_DIGITS) + text[-SHOWN_DIGITS:] if len(text) > SHOWN_DIGITS else text


def one_line(text: str) -> str:
    """`text` with everything that isn't printable escaped: what a peer sent can't forge a log line."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class TextFormatter(logging.Formatter):
    """`2026-11-23T05:14:00.123Z warning mubss.gy.server: message`; a bug's traceback follows on its own lines."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self._finish = mask_identities if masked else str

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_utc(record)} {record.levelname.lower()} {record.name}: {one_line(record.getMessage())}"
        return self._finish(f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts, level, program, pid, logger, message, those of FIELDS that are known, a traceback.

    docs/OBSERVING.md promises these names.
    """

    def __init__(self, masked: bool, program: str = "mubss") -> None:
        super().__init__()
        self._masked = masked
        self._program = program
        self._finish = mask_identities if masked else str

    def format(self, record: logging.LogRecord) -> str:
        import orjson  # 15 ms: a process that logs text never loads it

        fields = {
            "ts": _utc(record),
            "level": record.levelname.lower(),
            "program": self._program,
            "pid": record.process,
            "logger": record.name,
            "message": self._finish(one_line(record.getMessage()))[:MAX_TEXT],
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None:
                text = one_line(str(value))[:MAX_FIELD]
                fields[name] = mask_digits(text) if name == MSISDN and self._masked else self._finish(text)
        if record.exc_info:
            fields["traceback"] = self._finish(self.formatException(record.exc_info))[-MAX_TEXT:]
        return orjson.dumps(fields).decode()


def setup_logging(general: GeneralOptions, program: str = "") -> None:
    """Logs of this process go to stderr, as the configuration says; those of a `program` ("mubss-gy") never wait."""
    masked = general.mask_msisdn
    handler: logging.Handler = LogWriter() if program else logging.StreamHandler()
    if general.log_format == "json":
        handler.setFormatter(JsonFormatter(masked, program or "mubss"))
    else:
        handler.setFormatter(TextFormatter(masked))
    logging.raiseExceptions = False  # a stderr that went away must not take the process with it
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(general.log_level.upper())


def flush_logs() -> None:
    """Has what was logged written, before something else is said on stderr."""
    for handler in logging.getLogger().handlers:
        handler.flush()


def _utc(record: logging.LogRecord) -> str:
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"
