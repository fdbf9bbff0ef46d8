"""The last known good time, in a file that an HMAC protects: a clock that is set back is noticed.

What it protects from: a clock set back by mistake or to stretch a licence, a hand that edits the file, and a file
brought from another machine. What not: who may read the secret can write any time, and who may delete both files begins
anew, at the licence's day of issue. A file that is missing is made anew, with a warning where its secret is there; one
that can't be believed, or whose secret is gone, is refused until the operator moves it away.

Several processes at once: each reads and writes under a lock, and a time is only ever replaced by a later one.
"""

from __future__ import annotations

import fcntl
import hmac
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from mubss.core.errors import ConfigError, InputError, LicenceError
from mubss.services.durable import sync
from mubss.services.licence_files import read_file
from mubss.services.secret_files import make_secret, read_secret

log = logging.getLogger(__name__)

MAX_OCTETS = 256
_LINE = re.compile(rb"mubss-known-good 1 ([1-9][0-9]{0,11}) ([0-9a-f]{64})\n")
_OPTION = "license.state_file"


class StateFile:
    """The file, its secret and its lock. Every failure is a LicenceError that names the file and what is to be done."""

    def __init__(self, path: Path, machine_id: str) -> None:
        self.path = path
        self.secret_path = path.with_name(path.name + ".secret")
        self._lock_path = path.with_name(path.name + ".lock")
        self._machine_id = machine_id

    def open(self, floor_s: int) -> int:
        """The last known good time; a file that isn't there is made, with `floor_s`."""
        with self._locked():
            if not self.path.exists():
                return self._begin(floor_s)
            return self._read()

    def read(self) -> int | None:
        """The last known good time without a lock, as it is only ever replaced whole; None where there is no file."""
        try:
            return self._read() if self.path.exists() else None
        except OSError as error:  # its folder can't be looked into
            raise self._unusable(error) from None

    def expected(self, floor_s: int) -> int:
        """What `open` would give, without making anything."""
        known_s = self.read()
        if known_s is not None:
            return known_s
        try:
            return max(floor_s, int(self.secret_path.stat().st_mtime))
        except FileNotFoundError:
            return floor_s
        except OSError as error:
            raise self._unusable(error) from None

    def raise_to(self, known_s: int) -> int:
        """Notes `known_s` unless the file knows a later time; what it knows now."""
        with self._locked():
            there = self._read() if self.path.exists() else self._begin(known_s)
            if known_s > there:
                self._write(known_s)
            return max(known_s, there)

    def _begin(self, floor_s: int) -> int:
        try:
            if not make_secret(self.secret_path):
                made_s = int(self.secret_path.stat().st_mtime)
                log.warning("%s: missing, though it was there; begun anew at no earlier than its secret", self.path)
                floor_s = max(floor_s, made_s)
        except (ConfigError, InputError) as error:
            raise LicenceError(f"{_OPTION}: {error}") from None
        except OSError as error:
            raise self._unusable(error) from None
        self._write(floor_s)
        return floor_s

    def _digest(self, known: bytes) -> str:
        try:
            secret = read_secret(self.secret_path, _OPTION)
        except ConfigError as error:
            raise LicenceError(f"{error}; without it {self.path} can't be believed: move that away as well") from None
        return hmac.new(secret, b"known good\0" + self._machine_id.encode() + b"\0" + known, sha256).hexdigest()

    def _read(self) -> int:
        found = _LINE.fullmatch(read_file(self.path, MAX_OCTETS, _OPTION))
        if found is None:
            raise LicenceError(f"{_OPTION}: {self.path} isn't as it was written; move it away once you know why")
        if not hmac.compare_digest(found[2].decode(), self._digest(found[1])):
            raise LicenceError(
                f"{_OPTION}: {self.path} was changed, or comes from another machine; move it away once you know why"
            )
        return int(found[1])

    def _write(self, known_s: int) -> None:
        known = b"%d" % known_s
        line = b"mubss-known-good 1 " + known + b" " + self._digest(known).encode() + b"\n"
        draft = self.path.with_name(f".{self.path.name}.new")  # one name is enough under the lock
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path)
            sync(self.path.parent)
        except OSError as error:
            raise self._unusable(error) from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _unusable(self, error: OSError) -> LicenceError:
        return LicenceError(f"{_OPTION}: {self.path} can't be written: {error.strerror}")
