"""Room on the disks that mubss writes to: octets and inodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mubss.config import LOGS
from mubss.services.doctor.scene import Finding, Scene, fail, ok, warn

MEGABYTE = 1_000_000


def check(scene: Scene) -> Iterator[Finding]:
    """A line for each disk, named by the folders that are on it."""
    by_disk: dict[int, list[Path]] = {}
    for folder in _folders(scene):
        there = _nearest(folder)
        folders = by_disk.setdefault(there.stat().st_dev, [])
        if there not in folders:
            folders.append(there)
    for folders in by_disk.values():
        yield from _disk(scene, folders)


def _folders(scene: Scene) -> Iterator[Path]:
    config = scene.config
    if scene.store_file is not None:
        yield scene.store_file.parent
    for path in (".", LOGS, config.billfmt.invoices, config.cdr.directory, config.retention.folder):
        yield config.resolve(path)


def _nearest(folder: Path) -> Path:
    """The folder, or the one above that is there: it is made when it is first needed."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _disk(scene: Scene, folders: list[Path]) -> Iterator[Finding]:
    options = scene.config.doctor
    about = os.statvfs(folders[0])
    free = about.f_bavail * about.f_frsize
    names = ", ".join(map(str, folders))
    text = f"{free // MEGABYTE:,} MB free for {names}"
    do = "make room, or move the folder to another disk: without room nothing is charged"
    if free < options.disk_fail_megabytes * MEGABYTE:
        yield fail(f"{text}; less than {options.disk_fail_megabytes}", do)
    elif free < options.disk_warn_megabytes * MEGABYTE:
        yield warn(f"{text}; less than {options.disk_warn_megabytes}", do)
    else:
        yield ok(text)
    if not about.f_files:
        return  # a file system without a fixed number of inodes
    percent = 100 * about.f_favail // about.f_files
    text, limit = f"{percent} % of the inodes free for {names}", options.inodes_warn_percent
    do = "look for a folder of very many small files, and move old ones away"
    if percent * 2 < limit:
        yield fail(f"{text}; less than half of {limit}", do)
    elif percent < limit:
        yield warn(f"{text}; less than {limit}", do)
    else:
        yield ok(text)
