"""The store: there, its owner's alone, of our schema, with all collections and indexes, sound, its tariffs loaded."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

from mubss.core.wording import counted
from mubss.services.doctor.scene import Finding, Scene, fail, ok, warn
from mubss.services.stores import place
from mubss.storage import refdata
from mubss.storage.database import COLLECTIONS, Inspection, Store, StoreError

MEGABYTE = 1_000_000
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
AGAIN_S = 0.2  # between two looks at a file that seems damaged


def check(scene: Scene) -> Iterator[Finding]:
    """What the catalogue and a few small reads tell."""

    def look(store: Store) -> tuple[Inspection, int]:
        found = store.run(lambda session: session.inspect(COLLECTIONS))
        return found, store.run(refdata.read_version).number

    url = scene.config.store_url
    yield from _modes(scene.store_file)
    try:
        found, version = scene.look(look)
    except StoreError as error:
        is_spoilt = any(word in str(error) for word in ("SQLITE_CORRUPT", "not an SQLite database"))
        do = "make it with `mubss init`, start its server, or set store.url right"
        if is_spoilt:
            do = "stop all programs and put the last copy back: `mubss restore`, docs/BACKUP.md"
        yield fail(str(error), do)
        return
    yield ok(f"{place(url)}: {found.engine}, {counted(len(COLLECTIONS), 'collection')}, its schema is this program's")
    if found.missing_indexes:
        names = ", ".join(found.missing_indexes[:5])
        count = counted(len(found.missing_indexes), "index is", "indexes are")
        yield fail(
            f"{count} missing, or over other fields: {names}",
            "`mubss init` makes those that are missing; drop one that is over other fields first",
        )
    else:
        yield ok(f"{counted(sum(map(len, COLLECTIONS.values())), 'index', 'indexes')}, all there")
    yield from _log(scene, found)
    if version:
        yield ok(f"reference data: version {version}")
    else:
        yield fail("no reference data: every request is refused", "`mubss ref load FILE`; conf/refdata has an example")


def _modes(file: Path | None) -> Iterator[Finding]:
    """Who else may read the embedded store, or its log, which holds what was written last."""
    if file is None or not file.exists():
        return  # a server's files are its own; that there is none is told by who opens it
    parts = [file, *(part for end in ("-wal", "-shm") if (part := file.with_name(file.name + end)).exists())]
    open_ones = [part for part in parts if stat.S_IMODE(part.stat().st_mode) & _OTHERS]
    if open_ones:
        mode = stat.S_IMODE(open_ones[0].stat().st_mode)
        text = f"{open_ones[0]} has mode {mode:03o}: others may read people's numbers and usage"
        yield warn(text, f"chmod 600 {' '.join(map(str, open_ones))}")
    else:
        yield ok(f"{file}: for its owner alone")


def _log(scene: Scene, found: Inspection) -> Iterator[Finding]:
    if scene.store_file is None:
        return
    limit = scene.config.doctor.log_warn_megabytes
    text = f"write-ahead log: {found.log_octets // MEGABYTE} MB"
    if found.log_octets > limit * MEGABYTE:
        do = "look for a program that reads for hours (a copy, a report); with none, start the group anew"
        yield warn(f"{text}; more than {limit}", do)
    else:
        yield ok(text)


def check_integrity(scene: Scene) -> Iterator[Finding]:
    """SQLite's quick_check, which reads the whole file."""
    if scene.store_file is None:
        yield ok("a server checks its pages itself, whenever it reads them")
        return
    fault = _fault(scene)
    if fault:  # it may have been read while a program opened it: see xdev/sqlite/reader.py
        time.sleep(AGAIN_S)
        fault = _fault(scene)
    if fault:
        do = "stop the group, keep the file, put the last copy back, and look for a failing disk"
        yield fail(f"{scene.store_file}: {fault}", do)
    else:
        yield ok(f"{scene.store_file}: quick_check finds nothing wrong")


def _fault(scene: Scene) -> str:
    try:
        return scene.look(lambda store: store.run(lambda session: session.fault()))
    except StoreError as error:
        return str(error)
