"""The store outage mode: its folder is of use in an outage, and no journal is left that nobody does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mubss.core.wording import counted
from mubss.services.control import GY
from mubss.services.doctor.folders import folder_finding
from mubss.services.doctor.scene import Finding, Scene, fail, ok, warn
from mubss.services.outage import waiting

_MOUNTS = Path("/proc/self/mounts")
_IN_MEMORY = ("tmpfs", "ramfs")


def check(scene: Scene) -> Iterator[Finding]:
    """Where the mode is on, or was."""
    options = scene.config.outage
    folder = scene.config.resolve(options.folder)
    if options.enabled:
        yield folder_finding(folder, "outage.folder", "mubss-gy makes it", private=True)
        yield from _disk(folder, scene.store_file)
    elif not folder.is_dir():
        yield ok("the outage mode is off: requests get 3004 while the store is away")
        return
    yield from _journals(scene, folder)


def _disk(folder: Path, store_file: Path | None) -> Iterator[Finding]:
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if (kind := _file_system(there)) in _IN_MEMORY:
        yield fail(f"{folder} is on a {kind}: a restart of the machine loses journals", "set outage.folder to a disk")
    elif store_file is not None and store_file.exists() and there.stat().st_dev == store_file.stat().st_dev:
        do = "for more than that set outage.folder to another disk"
        yield warn(f"{folder} is on the store's disk: the mode helps against locks, not against a full disk", do)


def _file_system(path: Path) -> str:
    """Its kind, "" where the system doesn't say."""
    try:
        rows = [line.split(" ") for line in _MOUNTS.read_text(errors="replace").splitlines()]
    except OSError:
        return ""
    real = path.resolve()
    above = [row for row in rows if real.is_relative_to(row[1].replace("\\040", " "))]
    return max(above, key=lambda row: len(row[1]))[2] if above else ""


def _journals(scene: Scene, folder: Path) -> Iterator[Finding]:
    found = waiting(scene.config)
    for row in found:
        if row["is_kept"]:
            text = f"{folder / row['journal']}: {counted(row['damaged_octets'], 'octet')} were damaged"
            yield warn(text, "what it held is lost to charging: compare it with the log, then move it away")
    requests = sum(row["requests"] for row in found if not row["is_kept"])
    if not requests:
        yield ok(f"{folder}: no request waits")
    elif not scene.config.outage.enabled:
        text = f"{folder}: {counted(requests, 'answered request waits', 'answered requests wait')}, and the mode is off"
        yield fail(text, "set outage.enabled until mubss-gy has done them")
    elif any(one.program == GY for one in scene.running):
        text = f"{folder}: {counted(requests, 'answered request waits', 'answered requests wait')} for the store"
        yield warn(text, "see what is said of the store; `mubss outage report` has what came of them")
    else:
        text = f"{folder}: {counted(requests, 'answered request waits', 'answered requests wait')} for mubss-gy"
        yield warn(text, "start it: it does them before all else")
