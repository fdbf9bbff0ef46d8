"""What a check is given, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

from mubss.config import Config
from mubss.services.control import FOLDER
from mubss.services.group import Running, processes
from mubss.services.stores import file_of, open_made
from mubss.storage.database import Store, StoreUnavailable, open_to_read

T = TypeVar("T")


class Level(Enum):
    """How bad it is: OK; WARN: it works, and won't for ever; FAIL: something doesn't work."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


class Finding(NamedTuple):
    """One line: what was looked at and how it is; `do` is what people are to do, empty where it is OK."""

    level: Level
    text: str
    do: str = ""


def ok(text: str) -> Finding:
    """All as it should be."""
    return Finding(Level.OK, text)


def warn(text: str, do: str) -> Finding:
    """It works, and won't for ever, or not for all."""
    return Finding(Level.WARN, text, do)


def fail(text: str, do: str) -> Finding:
    """Something doesn't work."""
    return Finding(Level.FAIL, text, do)


class Scene:
    """The configuration, the moment, and what several checks look at, read once. Nothing here writes."""

    def __init__(self, config: Config, config_file: Path | None, now_s: int) -> None:
        self.config = config
        self.config_file = config_file  # None: there is none, all is at its default
        self.now_s = now_s
        self._away: StoreUnavailable | None = None

    @cached_property
    def running(self) -> list[Running]:
        """The processes of this machine that answer."""
        return processes(self.config.resolve(FOLDER))

    @property
    def store_file(self) -> Path | None:
        """The embedded store's file."""
        return file_of(self.config.store_url)

    def look(self, work: Callable[[Store], T]) -> T:
        """What `work` finds in the store, opened to be read; StoreError where that can't be."""
        if self._away is not None:
            raise self._away
        try:
            with closing(open_made(self.config.store_url, open_to_read)) as store:
                return work(store)
        except StoreUnavailable as error:
            if self.store_file is None:  # a server that doesn't answer keeps one check waiting, not each
                self._away = error
            raise


Check = Callable[[Scene], Iterator[Finding]]
