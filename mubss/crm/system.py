"""The System service of proto/crm.proto."""

from __future__ import annotations

import os
import time
from typing import Any

from mubss import __version__
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.pb import crm_pb2 as pb
from mubss.services.control import BILLING, FOLDER, GY, ask_all


class System:
    """The system itself."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._started_s = int(time.monotonic())

    def get_system(self, _request: Any, _call: Call) -> pb.SystemInfo:
        """Version, store and processes."""
        folder = self._office.config.resolve(FOLDER)
        own = pb.Process(
            program="mubss-crm",
            pid=os.getpid(),
            version=__version__,
            uptime_s=int(time.monotonic()) - self._started_s,
        )
        others = [
            pb.Process(
                program=program,
                pid=pid,
                version=str(answer.get("version", "")),
                uptime_s=int(answer.get("uptime_s", 0)),
            )
            for program in (GY, BILLING)
            for pid, answer in ask_all(folder, program, "ping").items()
        ]
        return pb.SystemInfo(
            version=__version__,
            store="mysql" if self._office.store.url.startswith("mysqlx") else "sqlite",
            refdata_version=self._office.tables.version,
            processes=[own, *others],
        )
