"""Licences for tests: a machine, a key that is trusted by who is told so, and a configuration of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mubss.config import Config, load
from mubss.core.licence import ALL_FEATURES, DAY_S, Licence
from mubss.services import licence_files as files
from mubss.services.licensing import make_demo

NOW_S = 1_800_000_000
MACHINE, OTHER_MACHINE = "0123456789abcdef" * 2, "f" * 32
PLAIN = Licence("S-1", "Example Telecom", (MACHINE,), NOW_S - DAY_S, NOW_S + 90 * DAY_S, 1000, ALL_FEATURES, "k1")


class World:
    """A folder with a licence, signed by `key`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = Ed25519PrivateKey.generate()
        self.pinned = {"k1": files.public_of(self.key)}
        (folder / "machine-id").write_text(MACHINE + "\n")
        environ = {"MUBSS_GENERAL__DATA_DIR": str(folder), "MUBSS_LICENSE__MACHINE_ID_FILE": "machine-id"}
        self.config: Config = load(None, environ)
        self.file = folder / "license" / "platform.lic"
        self.state = folder / "var" / "licence.state"
        self.file.parent.mkdir()
        self.issue()

    def issue(self, **changes: Any) -> Licence:
        """Puts a licence in place, as PLAIN but for `changes`."""
        licence = replace(PLAIN, **changes)
        self.file.write_bytes(files.signed(licence, self.key))
        return licence

    def with_options(self, section: str, **options: Any) -> Config:
        """The configuration with other options in a section."""
        return replace(self.config, **{section: replace(getattr(self.config, section), **options)})


def license_folder(folder: Path) -> None:
    """A data folder whose programs may start: it has a demo's licence."""
    make_demo(load(None, {"MUBSS_GENERAL__DATA_DIR": str(folder)}), int(time.time()))
