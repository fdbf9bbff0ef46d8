"""A leaping wall clock and a slow disk for one program: shim.c, built by the C compiler that is here and preloaded."""

from __future__ import annotations

import mmap
import shutil
import subprocess
from pathlib import Path
from struct import Struct

_ASKED = Struct("<qq")  # shim.c: seconds of the wall clock, milliseconds of each fsync
_SOURCE = Path(__file__).with_name("shim.c")


def build(folder: Path) -> Path | None:
    """The library; None where no compiler is."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    library = folder / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _SOURCE, "-ldl"], check=True)
    return library


class Shim:
    """What the processes of one program are told; harmless until something is set."""

    def __init__(self, library: Path, file: Path) -> None:
        file.write_bytes(bytes(_ASKED.size))
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), _ASKED.size)
        self.settings = {"LD_PRELOAD": str(library), "MUBSS_TORTURE_SHIM": str(file)}

    def set(self, *, clock_s: int = 0, fsync_ms: int = 0) -> None:
        """From now on: how far the wall clock is off, and how much longer each fsync takes."""
        self._map[:] = _ASKED.pack(clock_s, fsync_ms)
