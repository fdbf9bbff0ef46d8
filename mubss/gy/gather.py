"""The parent of `mubss-gy --workers N` shows what its workers counted, and serves where one of them does."""

from __future__ import annotations

from contextlib import closing

import gevent
import msgpack

from mubss.config import Config
from mubss.gy.workers import Parent
from mubss.services.control import FOLDER, GY, ask
from mubss.services.inside import Inside

ASK_SECONDS = 1.0  # a worker that says nothing for so long is shown as it was before


class Gather:
    """Asks the workers by their control sockets, all at once, for each page."""

    def __init__(self, config: Config) -> None:
        self.inside = Inside(GY, config, self.obstacle)
        self._folder = config.resolve(FOLDER)
        self._parent: Parent | None = None

    def follow(self, parent: Parent) -> None:
        """Its workers from now on."""
        self._parent = parent
        parent.ended = self.inside.members.leave

    def obstacle(self) -> str:
        """Why no worker serves just now; "" where one does."""
        if self._parent is None:
            return "starting"
        if self._parent.is_draining:
            return "draining"
        asked = [gevent.spawn(self._ask, pid) for pid in self._parent_pids()]
        gevent.joinall(asked)
        obstacles = [one.value for one in asked]
        if not obstacles:
            return "starting"
        return "" if "" in obstacles else str(obstacles[0])

    def _parent_pids(self) -> list[int]:
        return self._parent.pids if self._parent is not None else []

    def _ask(self, pid: int) -> str:
        """Hears what a worker counted; why it doesn't serve."""
        try:
            with closing(ask(self._folder / f"{GY}-{pid}.sock", "metrics", ASK_SECONDS)) as answers:
                answer = next(answers)
            if pid in self._parent_pids():  # else it has just ended, and what it told before is all that counts
                self.inside.members.hear(pid, answer["metrics"])
            return str(answer["obstacle"])
        except (OSError, StopIteration, KeyError, ValueError, msgpack.UnpackException):
            return f"worker {pid} doesn't answer"
