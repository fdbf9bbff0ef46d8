"""The folder of templates, read whole into memory: what isn't in it is not there for a template or an engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from mubss.core.errors import ConfigError

MAX_OCTETS = 64 * 1024 * 1024
_TEXTS = (".html", ".css", ".svg", ".toml")
_OTHERS = {"notifications"}  # texts beside those of bills: a change of them makes no other bills


class Folder(NamedTuple):
    """Files by their name within the folder ("images/logo.svg"), and where their fonts lie on the disk."""

    files: Mapping[str, bytes]
    font_folders: tuple[Path, ...]

    def text(self, name: str) -> str | None:
        """A text file; None where there is none of that name."""
        content = self.files.get(name)
        return None if content is None else content.decode()

    def texts(self) -> dict[str, str]:
        """All files that can be templates."""
        return {name: content.decode() for name, content in self.files.items() if name.endswith(_TEXTS)}

    def digest(self, *more: Any) -> str:
        """Tells this state of the folder, with what else makes a bill look as it does, from any other: 16 letters."""
        made = blake2b(digest_size=8)
        for name in sorted(self.files):
            made.update(blake2b(f"{name}\0".encode() + self.files[name]).digest())
        made.update(repr(more).encode())
        return made.hexdigest()


def read_folder(shipped: Path, own: Path | None = None) -> Folder:
    """The program's templates, with the operator's files in place of those that have the same name."""
    files = _read(shipped)
    font_folders = [(shipped / "fonts").absolute()]
    if own is not None:
        if not own.is_dir():
            raise ConfigError(f"billfmt.templates: {own}; expected a folder")
        files |= _read(own)
        if (own / "fonts").is_dir():
            font_folders.insert(0, (own / "fonts").absolute())
    if sum(map(len, files.values())) > MAX_OCTETS:
        raise ConfigError(f"billfmt.templates: expected files of up to {MAX_OCTETS >> 20} MiB together")
    for name, content in files.items():
        if name.endswith(_TEXTS):
            try:
                content.decode()
            except UnicodeDecodeError as error:
                raise ConfigError(f"billfmt.templates: {name}: expected UTF-8, octet {error.start} is none") from None
    return Folder(files, tuple(font_folders))


def _read(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        root = folder.resolve(strict=True)
        for place, folders, names in os.walk(root):
            others = _OTHERS if Path(place) == root else set()
            folders[:] = sorted(one for one in folders if not one.startswith(".") and one not in others)
            for name in sorted(names):
                path = Path(place, name)
                if name.startswith("."):
                    continue
                if not path.resolve().is_relative_to(root):
                    raise ConfigError(f"billfmt.templates: {path}; it leads out of the folder, expected a file in it")
                if path.is_file():
                    if path.stat().st_size > MAX_OCTETS:
                        raise ConfigError(f"billfmt.templates: {path}; expected up to {MAX_OCTETS >> 20} MiB")
                    found[path.relative_to(root).as_posix()] = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"billfmt.templates: {folder} can't be read: {error.strerror}") from None
    return found
