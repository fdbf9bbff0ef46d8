"""A process's journals in the outage mode: the one that it writes, those that it took over, and a look at others'."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from mubss.charging import journal as files
from mubss.charging.journal import DAMAGED, Found, Journal, Offload
from mubss.charging.outage_others import Others
from mubss.core.wording import counted

log = logging.getLogger(__name__)

T = TypeVar("T")


class Journals:
    """In one folder; work on files is offloaded."""

    def __init__(self, folder: Path, offload: Offload) -> None:
        self.others = Others(folder)
        self._folder, self._offload = folder, offload
        self._all: dict[str, Journal] = {}  # those that this process has the lock of
        self._own: Journal | None = None  # of them, the one that is written
        self._fault = ""  # why it couldn't be written last

    def all(self) -> list[Journal]:
        """Those of this process."""
        return list(self._all.values())

    def takes_more(self, journal: Journal) -> bool:
        """Whether it is the one that is written, and can be."""
        return journal is self._own and not journal.is_broken

    def append(self, payloads: list[bytes]) -> tuple[Journal, list[int]] | None:
        """Where the records are on the disk; None where they couldn't be brought there."""
        try:
            if self._own is None:
                self._own = self._offloaded(partial(files.create, self._folder))
                self._all[self._own.name] = self._own
            own = self._own
            if own.is_broken:
                return None
            places = self._offloaded(partial(own.append, payloads))
        except OSError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                log.error("outage mode grants nothing: its journal in %s: %s", self._folder, error)
            return None
        self._fault = ""
        return own, places

    def adopt(self) -> list[tuple[Journal, Found]]:
        """Takes over those that nobody has any more, with what is in them; and looks at those of others."""
        taken: list[tuple[Journal, Found]] = []
        for journal in self._offloaded(partial(files.adopt, self._folder, list(self._all))):
            try:
                found = self._offloaded(journal.read)
            except OSError as error:
                log.error("%s: %s; it stays", journal.path, error)
                journal.close()
                continue
            self._all[journal.name] = journal
            if found.lost:
                journal.keeps = True
                log.error("%s: %s damaged; it is kept as *%s", journal.path, counted(found.lost, "octet"), DAMAGED)
            elif found.tail:
                log.warning("%s: %s torn off its end; nobody had an answer", journal.path, counted(found.tail, "octet"))
            requests = counted(len(found.payloads), "request")
            log.info("%s: %s granted in an outage, done now", journal.path, requests)
            taken.append((journal, found))
        self._offloaded(partial(self.others.look, list(self._all)))
        return taken

    def finish(self, journal: Journal) -> None:
        """All of a journal is in the store."""
        if self._own is journal:
            self._own = None
        del self._all[journal.name]
        try:
            self._offloaded(journal.remove)
        except OSError as error:
            log.warning("%s: %s; another process will look at it again", journal.path, error)

    def close(self) -> None:
        """Leaves them to the next process."""
        for journal in self._all.values():
            journal.close()
        self._all.clear()

    def _offloaded(self, work: Callable[[], T]) -> T:
        """Done beside the event loop; gevent's pool would log an error that only passes through it."""
        result = self._offload(partial(_caught, work))
        if isinstance(result, OSError):
            raise result
        return cast(T, result)


def _caught(work: Callable[[], object]) -> object:
    try:
        return work()
    except OSError as error:
        return error
