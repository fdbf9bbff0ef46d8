"""Backups of the embedded store: a checked copy while all programs run, and its way back while none does."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from mubss.core.errors import Busy, InputError
from mubss.services.durable import sync
from mubss.services.group import processes
from mubss.services.stores import file_of, missing, place, reader_of
from mubss.storage.database import (
    SCHEMA_VERSION,
    StoreError,
    open_database,
    read_schema,
)
from mubss.storage.store_files import alone, check_file

_MAGIC = b"SQLite format 3\0"
_MODE = 0o600
_LOG = "-wal"


class Copied(NamedTuple):
    """A backup that was made, or put in place: where, its size, and the file that it replaced ("": none)."""

    file: str
    octets: int
    schema_version: int
    replaced: str = ""


def back_up(url: str, target: Path) -> Copied:
    """Writes a checked copy of the store to the new file `target`, mode 600; there whole, or not at all.

    InputError where the store is a server, or `target` is there or can't be written.
    """
    store_file(url)
    if target.exists() or target.is_symlink():
        raise InputError(f"file: {target} is there already; expected the name of a new file")
    with _draft(target) as draft:
        with closing(reader_of(url)(url)) as store:
            store.copy_to(str(draft))
        version = _check(draft, str(target))
        sync(draft)
        try:
            os.link(draft, target)  # unlike a rename it replaces nothing
        except OSError as error:
            raise InputError(f"file: {target} can't be written: {error.strerror}") from None
    sync(target.parent)
    return Copied(str(target), target.stat().st_size, version)


def restore(url: str, source: Path, run_folder: Path) -> Copied:
    """Puts the backup `source` in the store's place, checked; what was there is kept beside it.

    Busy while a program of the group runs, StoreConflict while another one has the store open, InputError where
    `source` is no whole backup of this version or an older one. Then nothing has changed.
    """
    file = store_file(url)
    if running := processes(run_folder):
        named = ", ".join(f"{one.program} ({one.pid})" for one in running)
        raise Busy(f"{file}: {named} still running: stop all programs, then restore")
    _looks_like_a_backup(source, file)
    with _draft(file) as draft:
        try:
            shutil.copyfile(source, draft)
        except OSError as error:
            raise InputError(f"file: {source} can't be copied to {file.parent}: {error.strerror}") from None
        version = _check(draft, str(source))
        if not file.exists():
            if Path(f"{file}{_LOG}").exists():
                raise InputError(f"file: {file}{_LOG} is there without its store; move it away first")
            _put(draft, file)
            return Copied(str(file), file.stat().st_size, version)
        with alone(str(file)):
            _like(draft, file)
            replaced = _set_aside(file)
            _put(draft, file)
    return Copied(str(file), file.stat().st_size, version, str(replaced))


def store_file(url: str) -> Path:
    """The store's file, behind all links; InputError, with what to do instead, where the store is a server."""
    file = file_of(url)
    if file is None:
        raise InputError(
            f"store.url: {place(url)} is a MySQL server; expected an embedded store. docs/BACKUP.md tells how MySQL is "
            "backed up and restored; `mubss ledger check` proves the result"
        )
    return Path(os.path.realpath(file))


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A place for a file beside `target`, in a folder of its own: what SQLite puts beside it goes with it."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise InputError(f"file: {target} can't be written: {error.strerror}") from None
    try:
        draft = folder / "draft"
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE))
        yield draft
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _looks_like_a_backup(source: Path, file: Path) -> None:
    """What can be seen before anything is copied."""
    try:
        if not source.is_file():
            raise InputError(f"file: {source} is no file; expected a backup that `mubss backup` made")
        if file.exists() and source.samefile(file):
            raise InputError(f"file: {source} is the store itself; expected a backup of it")
        with source.open("rb") as opened:
            head = opened.read(len(_MAGIC))
        log = Path(f"{source}{_LOG}")
        if log.exists() and log.stat().st_size:
            raise InputError(f"file: {source} has a write-ahead log beside it; expected a backup by `mubss backup`")
    except OSError as error:
        raise InputError(f"file: {source} can't be read: {error.strerror}") from None
    if head != _MAGIC:
        raise InputError(f"file: {source} is no SQLite database; expected a backup that `mubss backup` made")


def _check(draft: Path, name: str) -> int:
    """The copy's schema version; InputError, which calls it `name`, where it is damaged or none of ours."""
    try:
        fault = check_file(str(draft))
        if fault:
            raise InputError(f"file: {name} is damaged: {fault}")
        with closing(open_database(f"sqlite:///{quote(str(draft))}")) as store:
            lacking = missing(store)
            version = None if "meta" in lacking else read_schema(store).version
    except StoreError as error:
        raise InputError(f"file: {name} can't be used: {str(error).replace(str(draft), name)}") from None
    if type(version) is not int:
        raise InputError(f"file: {name} has schema version {version!r}; expected a store of µBSS")
    if version > SCHEMA_VERSION:
        raise InputError(f"file: {name} has schema version {version}; this program knows up to {SCHEMA_VERSION}")
    return version


def _like(draft: Path, file: Path) -> None:
    """Gives the draft the mode and, where that is allowed, the owner of what it replaces."""
    about = file.stat()
    draft.chmod(about.st_mode & 0o777)
    with suppress(PermissionError):
        os.chown(draft, about.st_uid, about.st_gid)


def _set_aside(file: Path) -> Path:
    """Gives the replaced store a second name, its log the name that belongs to it; the store's own name stays.

    The log must have gone before the new file comes: SQLite would write the old pages into it.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = file.with_name(f"{file.name}.replaced-{stamp}-{secrets.token_hex(2)}")
    try:
        os.link(file, aside)
        if Path(f"{file}{_LOG}").exists():
            os.rename(f"{file}{_LOG}", f"{aside}{_LOG}")
        Path(f"{file}-shm").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"file: {file} can't be set aside as {aside.name}: {error.strerror}") from None
    sync(file.parent)
    return aside


def _put(draft: Path, file: Path) -> None:
    sync(draft)
    os.replace(draft, file)
    sync(file.parent)
