"""Licences for tests: a machine, a key that is trusted by who is told so, and a configuration of its own."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mubss.config import Config, load
from mubss.core.licence import ALL_FEATURES, DAY_S, DEMO, DEMO_SUBSCRIBERS, Licence
from mubss.services import licence_files as files
from mubss.services.licensing import write

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


def _this_machine() -> str:
    return files.read_machine_id(Path("/etc/machine-id"))


class PlatformLicence:
    """One of this machine, for addresses beyond it. Its key is pinned in `entry` alone, which starts mubss-gy."""

    def __init__(self, folder: Path) -> None:
        key, now_s = Ed25519PrivateKey.generate(), int(time.time())
        licence = replace(PLAIN, machine_ids=(_this_machine(),), issued_s=now_s - DAY_S, expires_s=now_s + 90 * DAY_S)
        write(folder / "platform.lic", files.signed(licence, key))
        self.options = {
            "license__file": str(folder / "platform.lic"),
            "license__state_file": str(folder / "licence.state"),
        }
        pinned = {licence.key_id: files.public_of(key)}
        lines = "import mubss.gy.main as gy", "from mubss.services import licence_files as files"
        self.entry = ("-c", "; ".join([*lines, f"files.pinned_keys = lambda: {pinned!r}", "gy.main()"]))


class DemoLicence:
    """A demo's licence of this machine in a folder, by whose options programs find it, with an end to choose."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = Ed25519PrivateKey.generate()
        write(folder / files.DEMO_KEY, files.key_line("demo", files.public_of(self._key)).encode() + b"\n")
        self.now_s = int(time.time())
        self.ends(self.now_s + DAY_S)

    @property
    def options(self) -> dict[str, str]:
        """Programs look at it every second, and it has no period of grace."""
        return {
            "license__file": str(self._folder / "platform.lic"),
            "license__state_file": str(self._folder / "licence.state"),
            "license__look_seconds": "1",
            "license__grace_days": "0",
        }

    @property
    def variables(self) -> dict[str, str]:
        """The same for the environment."""
        return {f"MUBSS_{name.upper()}": text for name, text in self.options.items()}

    def ends(self, expires_s: int, features: int = ALL_FEATURES, subscribers: int = DEMO_SUBSCRIBERS) -> None:
        """Puts one in place that is over from then on."""
        whose, when = ("demo-1", "demo", (_this_machine(),)), (expires_s - 2 * DAY_S, expires_s)
        licence = Licence(*whose, *when, subscribers, features, "demo", DEMO)
        write(self._folder / "platform.lic", files.signed(licence, self._key))
