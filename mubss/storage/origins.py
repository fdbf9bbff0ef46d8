"""`gy_origins`: the highest Origin-State-Id that each Diameter node has told, for when it comes back after a reboot."""

from __future__ import annotations

from mubss.core.identity import session_hash
from mubss.xdev.api import Session, Store

COLLECTION = "gy_origins"


def known(store: Store, host: str) -> int:
    """The node's Origin-State-Id as last noted; 0 where there is none. `host` is in small letters."""
    doc = store.run(lambda session: session.collection(COLLECTION).get_one(session_hash(host)))
    return 0 if doc is None else int(doc["state_id"])


def note(store: Store, host: str, state_id: int) -> None:
    """Notes it, unless a higher one came meanwhile."""

    def work(session: Session) -> None:
        with session.transaction():
            collection = session.collection(COLLECTION)
            [doc] = collection.get_many([session_hash(host)], for_update=True)
            if doc is None or doc["state_id"] < state_id:
                collection.put_many([{"_id": session_hash(host), "host": host, "state_id": state_id}])

    store.run(work)
