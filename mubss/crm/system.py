"""The System service of proto/crm.proto."""

from __future__ import annotations

from typing import Any

from mubss import __version__
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.pb import crm_pb2 as pb
from mubss.services.control import FOLDER
from mubss.services.group import processes


class System:
    """The system itself."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def get_system(self, _request: Any, _call: Call) -> pb.SystemInfo:
        """Version, store, licence and the processes of this machine."""
        return pb.SystemInfo(
            version=__version__,
            store="mysql" if self._office.store.url.startswith("mysqlx") else "sqlite",
            refdata_version=self._office.tables.version,
            processes=[
                pb.Process(
                    program=one.program,
                    pid=one.pid,
                    version=one.version,
                    uptime_s=one.uptime_s,
                    state=one.state,
                    last_error=one.last_error,
                    last_error_s=one.last_error_s,
                )
                for one in processes(self._office.config.resolve(FOLDER))
            ],
            licence=self._licence(),
        )

    def _licence(self) -> pb.Licence | None:
        gate = self._office.gate
        if gate is None:
            return None
        licence, standing = gate.standing.licence, gate.standing
        return pb.Licence(
            serial=licence.serial,
            licensee=licence.licensee,
            kind=licence.kind,
            state=str(gate.facts()["licence"]),
            issued_s=licence.issued_s,
            expires_s=licence.expires_s,
            days_left=standing.days_left,
            subscribers=licence.subscribers,
            features=licence.features,
        )
