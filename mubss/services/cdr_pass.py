"""A pass over the directory of CDR files: each complete one is loaded, and moved out of the way.

    NAME.cdr → processed/NAME.cdr.done                           its records are charged, matched or in suspense
             → error/NAME.cdr.error, NAME.cdr.error.reason       nothing of it was taken, and why
             stays                                               it is still being written, or the store is away

One pass at a time, whoever starts it: the lock on a file of the directory goes with its process, however that ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mubss.cdr.frames import FileFault
from mubss.core.errors import ConfigError, InputError
from mubss.core.wording import counted
from mubss.runtime import one_line
from mubss.services.cdr_load import Loader
from mubss.storage.cdr import DONE
from mubss.storage.database import Doc

log = logging.getLogger(__name__)

Mark = tuple[int, int] | None  # of a file: when it was last written, and its size
SUFFIX, LOCK = ".cdr", ".mubss-cdr.lock"
PROCESSED, ERROR = "processed", "error"
_GROWING = ("empty", "truncated", "no-trailer")  # what a file looks like that is still being written


class Refused(InputError):
    """A file that can't be taken; `reason` is a code."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason


@dataclass(slots=True)
class Passed:
    """What a pass came to."""

    loaded: list[Doc] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)  # name → why
    waiting: list[str] = field(default_factory=list)  # not complete yet
    stuck: list[str] = field(default_factory=list)  # dealt with, and can't be moved away
    is_busy: bool = False  # another pass is under way
    is_cut: bool = False  # it was told to stop


class Pass:
    """Over one directory."""

    def __init__(self, folder: Path, loader: Loader, settle_s: int, is_stopping: Callable[[], bool]) -> None:
        self._folder = folder
        self._loader = loader
        self._settle_s = settle_s
        self._is_stopping = is_stopping
        self._stuck: dict[str, Mark] = {}  # files that couldn't be moved, as they were then

    def run(self, now_s: int) -> Passed:
        """Takes every complete file, in the order of their names; StoreError ends it, with all as it was."""
        passed = Passed()
        try:
            for folder in (self._folder, self._folder / PROCESSED, self._folder / ERROR):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"cdr.directory: {error.filename}: {error.strerror}; expected a folder to write"
            ) from None
        with _locked(self._folder / LOCK) as is_ours:
            if not is_ours:
                passed.is_busy = True
                return passed
            for name in sorted(os.listdir(self._folder)):
                if name.endswith(SUFFIX) and not name.startswith("."):
                    if self._is_stopping():
                        passed.is_cut = True
                        break
                    self._take(name, now_s, passed)
        return passed

    def _take(self, name: str, now_s: int, passed: Passed) -> None:
        path = self._folder / name
        if (mark := _mark(path)) == self._stuck.get(name):
            passed.stuck.append(name)
            return
        try:
            doc = self._load(path, now_s)
        except InputError as fault:
            log.warning("%s is refused: %s", one_line(name), fault, extra={"file": name})
            passed.refused[name] = str(fault)
            self._move(path, ERROR, f"{name}.error", f"{fault}\n", mark)
            return
        if doc is None:
            passed.waiting.append(name)
        elif doc["state"] != DONE:
            passed.is_cut = True
        elif doc["name"] != name:
            text = f"duplicate-file: its records were taken as {doc['name']}"
            passed.refused[name] = text
            log.warning("%s is refused: %s", name, text, extra={"file": name})
            self._move(path, ERROR, f"{name}.error", f"{text}\n", mark)
        else:
            passed.loaded.append(doc)
            log.info("%s: %s", name, summary(doc), extra={"file": name})
            self._move(path, PROCESSED, f"{name}.done", "", mark)

    def _load(self, path: Path, now_s: int) -> Doc | None:
        """Loads a file; None where it isn't complete and may still become so."""
        if not _is_text(path.name):
            raise Refused("bad-name", "its name isn't UTF-8; expected one that is")
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise Refused("not-a-file", "a directory, a link or a device; expected a regular file")
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None  # whoever put it there took it away
        except OSError as error:
            raise Refused("unreadable", f"can't be opened: {error.strerror}; expected a file to read") from None
        with open(descriptor, "rb") as file:
            try:
                return self._loader.load(file, path.name)
            except FileFault as fault:
                age_s = abs(now_s - int(os.fstat(descriptor).st_mtime))
                if fault.reason in _GROWING and age_s < self._settle_s:
                    return None
                raise
            except OSError as error:
                raise Refused("unreadable", f"can't be read: {error.strerror}; expected a file to read") from None

    def _move(self, path: Path, folder: str, name: str, reason: str, mark: Mark) -> None:
        """Moves a file beside what is there; one that can't be moved is left alone until it changes."""
        target = self._folder / folder / name
        stem, dot, suffix = name.rpartition(".")
        number = 1
        while os.path.lexists(target):
            number += 1
            target = self._folder / folder / f"{stem}.{number}{dot}{suffix}"
        try:
            if reason:
                target.with_name(f"{target.name}.reason").write_text(reason)
        except OSError as error:
            log.error("%s: why it was refused can't be written: %s", one_line(target.name), error.strerror)
        try:
            os.rename(path, target)
        except OSError as error:
            log.error(
                "%s can't be moved to %s: %s; it is left alone until it changes", path.name, target, error.strerror
            )
            self._stuck[path.name] = mark


def _mark(path: Path) -> Mark:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def summary(doc: Doc) -> str:
    """`5 records of pgw1, number 7: 4 charged, 1 suspended`."""
    counts = ", ".join(f"{count} {state}" for state, count in sorted(doc["counts"].items()))
    return f"{counted(doc['records'], 'record')} of {doc['source']}, number {doc['sequence']}: {counts or 'none'}"


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Holds the lock of a directory, or says that another process does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(f"cdr.directory: {path}: {error.strerror}; expected a folder to write") from None
    with open(descriptor, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
