"""A small disk of our own: a file system in a file, or in memory, in a mount namespace that ends with this process."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

_CLONE_NEWNS = 0x00020000


class Disk:
    """Mounted at `folder`; `kind` says what it is, and is "" where none could be had: then `folder` is a plain one."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        self._megabytes = megabytes
        folder.mkdir()
        self._ballast = folder / "ballast"
        self.kind = self._mount()

    def _mount(self) -> str:
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS):
            return ""
        image = self.folder.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(self._megabytes << 20)
        ways = {
            "ext4": [
                ["mount", "--make-rprivate", "/"],
                ["mkfs.ext4", "-q", "-m", "0", str(image)],
                ["mount", "-o", "loop", str(image), str(self.folder)],
            ],
            "tmpfs": [
                ["mount", "--make-rprivate", "/"],
                ["mount", "-t", "tmpfs", "-o", f"size={self._megabytes}m", "mubss-torture", str(self.folder)],
            ],
        }
        for kind, commands in ways.items():
            if all(_went_well(command) for command in commands):
                return kind
        return ""

    def fill(self) -> None:
        """Takes all the room there is."""
        with self._ballast.open("wb") as file:
            for size in (16 << 20, 1 << 20, 64 << 10, 4 << 10):
                while _grew(file.fileno(), size):
                    pass

    def free(self) -> None:
        """Gives it back."""
        self._ballast.unlink(missing_ok=True)

    def end(self) -> None:
        """Unmounts it, though a process may still have a file open there."""
        if self.kind:
            subprocess.run(["umount", "-l", str(self.folder)], check=False)


def _grew(file: int, size: int) -> bool:
    try:
        os.posix_fallocate(file, os.fstat(file).st_size, size)
    except OSError:
        return False
    return True


def _went_well(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
