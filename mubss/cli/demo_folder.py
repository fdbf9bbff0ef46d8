"""The demo's folder: made anew by each run, and only if it is the demo's."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mubss.cli.init import text, write_file
from mubss.config import FILE_NAME
from mubss.core.errors import InputError

MARK = "# Made by `mubss demo`, which makes this folder anew each time."
_LOCK, _STORE, LOG = "lock", "var", "mubss-gy.log"


@contextmanager
def fresh(folder: Path) -> Iterator[Path]:
    """An empty demo folder with its configuration file, whose path is given; nobody else's while the block runs.

    InputError where the folder holds something that no demo made, or where another demo runs in it.
    """
    config_file = folder / FILE_NAME
    if folder.exists() and not _is_ours(folder):
        raise InputError(f"{folder}: not made by `mubss demo`, so it stays as it is; name another one with --dir")
    if not folder.exists():
        write_config(config_file, 0)
    with (folder / _LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{folder}: another demo runs there; stop it, or name another folder with --dir") from None
        write_config(config_file, 0)  # the mark first: what is made from here on is known as the demo's
        shutil.rmtree(folder / _STORE, ignore_errors=True)
        yield config_file


def write_config(file: Path, port: int, crm_port: int = 0) -> None:
    """The demo's configuration; port 0 until a server has one."""
    known = f"\n[gy]\nport = {port}\n" if port else ""
    known += f"\n[crm]\nport = {crm_port}\n" if crm_port else ""
    write_file(file, f"{MARK}\n[general]\ndata_dir = {text(str(file.parent))}\n{known}")


def _is_ours(folder: Path) -> bool:
    try:
        if not set(os.listdir(folder)) - {_LOCK}:
            return True
        return (folder / FILE_NAME).read_text("utf-8").startswith(MARK)
    except (OSError, UnicodeDecodeError):
        return False
