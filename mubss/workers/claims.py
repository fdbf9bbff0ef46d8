"""Activities that are this process's: taken from the queue, kept by signs of life, ended."""

from __future__ import annotations

import os
import secrets
import socket
from functools import partial
from typing import Any

from mubss.core import activity
from mubss.core.activity import Activity
from mubss.storage import activities as storage
from mubss.storage.database import Store


class Claim:
    """An activity under way."""

    def __init__(self, doc: Activity) -> None:
        self.doc = doc
        self.progress: dict[str, Any] = {}
        self.is_lost = False  # it was cancelled, or is another's

    def __str__(self) -> str:
        doc = self.doc
        period = f", period {doc['period']}" if "period" in doc else ""
        dry = ", dry run" if doc.get("dry_run") else ""
        return f"{doc['kind']} of cycle {doc['billcycle']}{period}{dry}"


class Claims:
    """One owner's dealings with the queue."""

    def __init__(self, store: Store, lease_s: int) -> None:
        self._store = store
        self._lease_s = lease_s
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"

    def take(self, doc: Activity, now_s: int) -> Claim | None:
        """Takes an activity that was read; None where it isn't to be had, or isn't as it was read any more."""
        take = partial(
            activity.take,
            owner=self.owner,
            now_s=now_s,
            lease_s=self._lease_s,
            owner_is_gone=_is_gone(doc.get("owner", "")),
        )
        if take(doc) is None:
            return None  # no need to ask the store
        taken = storage.change(self._store, doc["_id"], lambda stored: take(stored) if stored == doc else None)
        return Claim(taken) if taken is not None else None

    def beat(self, claim: Claim, now_s: int) -> None:
        """A sign of life, with how far it is."""
        beat = partial(activity.beat, owner=self.owner, progress=claim.progress, now_s=now_s, lease_s=self._lease_s)
        claim.is_lost = storage.change(self._store, claim.doc["_id"], beat) is None

    def finish(self, claim: Claim, result: dict[str, Any], now_s: int) -> Activity | None:
        """It is done; None where it isn't ours any more."""
        return self._change(claim, partial(activity.finish, owner=self.owner, result=result, now_s=now_s))

    def fail(self, claim: Claim, error: str, now_s: int, *, for_good: bool) -> Activity | None:
        """It failed, this time or for good; None where it isn't ours any more."""
        return self._change(
            claim, partial(activity.fail, owner=self.owner, error=error, now_s=now_s, for_good=for_good)
        )

    def give_back(self, claim: Claim, now_s: int) -> Activity | None:
        """Others may go on with it at once; None where it isn't ours any more."""

        def changed(stored: Activity | None) -> Activity | None:
            return activity.give_back(stored, now_s) if activity.is_owned(stored, self.owner) else None

        return self._change(claim, changed)

    def _change(self, claim: Claim, changed: Any) -> Activity | None:
        return storage.change(self._store, claim.doc["_id"], changed)


def _is_gone(owner: str) -> bool:
    """Whether an owner was a process of this machine that is no more; correctness never hangs on it."""
    host, _, rest = owner.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
