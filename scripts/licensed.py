"""A demo's licence for the programs that tests, benchmarks and torture start, wherever their data folders are."""

from __future__ import annotations

import os
import time
from pathlib import Path

from mubss.config import load
from mubss.services.licensing import make_demo

PREFIX = "MUBSS_LICENSE__"


def license_programs(folder: Path) -> None:
    """Issues one in `folder`, and tells every program that this process starts from now on where it is."""
    settings = {f"{PREFIX}FILE": str(folder / "platform.lic"), f"{PREFIX}STATE_FILE": str(folder / "licence.state")}
    os.environ.update(settings)
    make_demo(load(None, settings), int(time.time()))


def without_options() -> dict[str, str]:
    """The environment without any option of µBSS, but for where the licence is."""
    return {name: text for name, text in os.environ.items() if name.startswith(PREFIX) or not name.startswith("MUBSS_")}
