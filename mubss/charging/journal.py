"""A file of what was granted while the store was away. What `append` has returned for is on the disk.

    MAGIC, length (4 octets), CRC-32 (4), payload; again and again

Whoever has the lock of a journal writes to it, and does what is in it; the system takes the lock from a process that
dies, so that another can. A tail that was torn by a crash was answered to nobody, and is left out. Octets that are
damaged further ahead cost the records that they are in, no others.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

log = logging.getLogger(__name__)

MAGIC = b"\xb5\x0aSO"
SUFFIX, DAMAGED = ".journal", ".damaged"
MAX_PAYLOAD = 1 << 20  # octets; a CCR has up to gy.max_message_octets
NAME_DIGITS = 24  # of its random name
_HEAD = len(MAGIC) + 8


class Found(NamedTuple):
    """What a journal holds."""

    payloads: list[bytes]
    places: list[int]  # where each begins
    lost: int  # octets between records that are no records
    tail: int  # octets behind the last record that are none


def frame(payload: bytes) -> bytes:
    """A record as it lies in the file."""
    return MAGIC + len(payload).to_bytes(4, "big") + zlib.crc32(payload).to_bytes(4, "big") + payload


def records(data: bytes) -> Found:
    """The records of a file's content."""
    payloads: list[bytes] = []
    places: list[int] = []
    pos = end = lost = 0
    while (pos := data.find(MAGIC, pos)) >= 0:
        length = int.from_bytes(data[pos + 4 : pos + 8], "big")
        payload = data[pos + _HEAD : pos + _HEAD + length]
        crc = int.from_bytes(data[pos + 8 : pos + 12], "big")
        is_whole = pos + _HEAD + length <= len(data)
        if not is_whole or length > MAX_PAYLOAD or zlib.crc32(payload) != crc:
            pos += 1
            continue
        payloads.append(payload)
        places.append(pos)
        lost += pos - end
        pos = end = pos + _HEAD + length
    return Found(payloads, places, lost, len(data) - end)


class Journal:
    """A journal that this process has the lock of; all of it may block: `offload` what must not be waited for."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.is_broken = False  # nothing more may be appended
        self.keeps = False  # it isn't removed when it is done
        self._descriptor = descriptor
        self._end = 0

    @property
    def name(self) -> str:
        """What its records are known by in the store."""
        return self.path.name.removesuffix(SUFFIX)

    def append(self, payloads: Sequence[bytes]) -> list[int]:
        """Writes records, all or none; when they are on the disk, gives the place of each. OSError if that can't be."""
        framed = [frame(payload) for payload in payloads]
        data = b"".join(framed)
        try:
            done = 0
            while done < len(data):
                done += os.pwrite(self._descriptor, data[done:], self._end + done)
        except OSError:
            self._cut()
            raise
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            self.is_broken = True  # after that nobody knows what of it is on the disk
            self._cut()
            raise
        places = []
        for one in framed:
            places.append(self._end)
            self._end += len(one)
        return places

    def _cut(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._end)
        except OSError:
            self.is_broken = True

    def read(self) -> Found:
        """All that is in it; OSError where it can't be read."""
        found = records(self.path.read_bytes())
        self._end = self.path.stat().st_size
        return found

    def remove(self) -> None:
        """It is done: the file goes, or where something in it couldn't be read it is kept under another name."""
        try:
            if self.keeps:
                self.path.rename(self.path.with_suffix(DAMAGED))
            else:
                self.path.unlink()
        finally:
            self.close()

    def close(self) -> None:
        """Leaves it to whoever comes."""
        os.close(self._descriptor)


def create(folder: Path) -> Journal:
    """A new journal, locked; its name is on the disk. OSError where it can't be made."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (secrets.token_hex(NAME_DIGITS // 2) + SUFFIX)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for one in (folder, folder.parent):  # which may have been made just now
            _sync_folder(one)
    except OSError:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return Journal(path, descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def adopt(folder: Path, mine: Sequence[str] = ()) -> list[Journal]:
    """The journals that nobody has the lock of, which is ours now; `mine` are the names of those that we have."""
    taken = []
    for path in sorted(folder.glob("*" + SUFFIX)):
        if path.name.removesuffix(SUFFIX) in mine:
            continue
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                log.warning("%s: %s; expected a journal that can be read", path, error.strerror)
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_there = path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino
        except OSError:  # another process has it, or has just removed it
            is_there = False
        if is_there:
            taken.append(Journal(path, descriptor))
        else:
            os.close(descriptor)
    return taken


Offload = Callable[[Callable[[], Any]], Any]


def call(work: Callable[[], Any]) -> Any:
    """Where nobody waits meanwhile."""
    return work()
