"""What other processes of this machine have granted in an outage and haven't done yet: nobody else serves it meanwhile.

A client whose process died, or who came to another worker, goes on with a session that the store doesn't know yet:
called unknown, its reports would go into suspense. So the journals of others are read as they grow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mubss.charging.journal import SUFFIX, records
from mubss.charging.outage_record import decode


@dataclass(slots=True)
class _Seen:
    read: int = 0  # octets
    names: set[str] = field(default_factory=set)  # identities, and hashes of sessions


class Others:
    """The journals in a folder that are not ours."""

    def __init__(self, folder: Path) -> None:
        self.names: set[str] = set()
        self._folder = folder
        self._seen: dict[str, _Seen] = {}

    def look(self, mine: Sequence[str]) -> None:
        """Reads what is new; may block."""
        paths = {path.name.removesuffix(SUFFIX): path for path in self._folder.glob("*" + SUFFIX)}
        self._seen = {name: self._seen.get(name, _Seen()) for name in paths if name not in mine}
        for name, seen in self._seen.items():
            try:
                _read_on(paths[name], seen)
            except OSError:  # it has just been done; or it can't be read, which its process tells
                continue
        self.names = set().union(*(seen.names for seen in self._seen.values()))

    def hold(self, identities: Sequence[str], session: str) -> bool:
        """Whether one of them has served this subscriber, or the session."""
        names = self.names
        return bool(names) and (session in names or any(one in names for one in identities))


def _read_on(path: Path, seen: _Seen) -> None:
    with path.open("rb") as file:
        file.seek(seen.read)
        data = file.read()
    found = records(data)
    seen.read += len(data) - found.tail
    for payload in found.payloads:
        try:
            command = decode(payload).command
        except ValueError:  # of a newer version, say
            continue
        seen.names.update(command.identities, (command.session_hash,))
