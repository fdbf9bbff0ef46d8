"""The configuration: what it is read from, and who else may read that. That it can be read is known by now."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from mubss.core.wording import counted
from mubss.options import DEFAULT, mask
from mubss.services.doctor.scene import Finding, Scene, fail, ok, warn


def check(scene: Scene) -> Iterator[Finding]:
    """Where values come from, whether a password is for all to read, and the folder that all is under."""
    config = scene.config
    own = sum(source != DEFAULT for source in config.sources.values())
    if scene.config_file is None:
        yield ok(f"no configuration file; {counted(own, 'option')} by the environment, the others at their defaults")
    else:
        yield from _file(scene, own)
    folder = config.resolve(".")
    if not folder.is_dir():
        yield fail(f"general.data_dir: {folder} is no folder", "make it, or set general.data_dir to one that is there")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield fail(
            f"general.data_dir: {folder} can't be written by this user", "run as its owner, or change its rights"
        )
    else:
        yield ok(f"general.data_dir: {folder}")


def _file(scene: Scene, own: int) -> Iterator[Finding]:
    file = scene.config_file
    assert file is not None
    has_password = mask(scene.config.store.url) != scene.config.store.url
    in_file = scene.config.sources.get("store.url", "").startswith(str(file))
    mode = stat.S_IMODE(file.stat().st_mode)
    if has_password and in_file and mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield warn(f"{file} holds the store's password and has mode {mode:03o}", f"chmod 600 {file}")
    else:
        yield ok(f"{file}: read, every key known; {counted(own, 'option is', 'options are')} set")
