"""The texts of notifications by language: those that come with the program, and the operator's own over them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mubss.config import Config, data_path
from mubss.core.errors import ConfigError
from mubss.core.notice_texts import Text, faults_of

FOLDER = "templates/notifications"
MAX_FILE_OCTETS = 262_144
_NAME = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?\.toml")


class Texts:
    """Texts by language and kind."""

    def __init__(self, texts: Mapping[str, Mapping[str, Text]], language: str) -> None:
        self._texts = texts
        self._language = language

    def find(self, kind: str, language: str) -> tuple[str, Text]:
        """The language and text for a subscriber: its own, without the country, the operator's, English."""
        for one in (language, language.partition("-")[0], self._language, "en"):
            text = self._texts.get(one, {}).get(kind)
            if text is not None:
                return one, text
        raise ConfigError(f"notifications: no text for {kind!r}; expected one in en.toml")

    def of(self, language: str) -> Mapping[str, Text]:
        """All texts of a language, by kind; none for one that there are none in."""
        return self._texts.get(language, {})

    @property
    def languages(self) -> list[str]:
        """Those that there are texts in."""
        return sorted(self._texts)


def load_texts(config: Config) -> Texts:
    """All texts; ConfigError lists every fault of the operator's, one a line."""
    texts: dict[str, dict[str, Text]] = {}
    faults: list[str] = []
    folders = [data_path(FOLDER)]
    if config.notifications.templates:
        folders.append(config.resolve(config.notifications.templates))
    for folder in folders:
        try:
            files = sorted(one for one in folder.iterdir() if one.suffix == ".toml")
        except OSError as error:
            raise ConfigError(f"notifications.templates: {folder} can't be read: {error.strerror}") from None
        for file in files:
            if not _NAME.fullmatch(file.name):
                faults.append(f"{file}: expected a name like en.toml or pt-BR.toml")
                continue
            of_language = texts.setdefault(file.stem, {})
            for kind, entry in _read(file, faults).items():
                wrong = list(faults_of(kind, entry))
                faults += [f"{file}: {fault}" for fault in wrong]
                if not wrong:
                    of_language[kind] = Text(entry["subject"], entry["text"])
    if faults:
        raise ConfigError("\n".join(faults))
    if config.notifications.language not in texts:
        known = ", ".join(sorted(texts))
        raise ConfigError(f"notifications.language: {config.notifications.language!r}; expected one of {known}")
    return Texts(texts, config.notifications.language)


def _read(file: Path, faults: list[str]) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            octets = stream.read(MAX_FILE_OCTETS + 1)
        if len(octets) > MAX_FILE_OCTETS:
            faults.append(f"{file}: expected a file of up to {MAX_FILE_OCTETS} octets")
            return {}
        return tomllib.loads(octets.decode())
    except OSError as error:
        faults.append(f"{file}: can't be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        faults.append(f"{file}: not TOML: {error}")
    return {}
