"""`gy_origins`: the highest Origin-State-Id that each Diameter node has told, for when it comes back after a reboot."""

from __future__ import annotations

from mubss.core.identity import session_hash
from mubss.xdev.api import Session, Store

COLLECTION = "gy_origins"


def known(store: Store, host: str, via: str = "") -> int:
    """The node's Origin-State-Id as last noted of what the agent `via` told, or it itself; 0 where there is none.

    Names are in small letters.
    """
    doc = store.run(lambda session: session.collection(COLLECTION).get_one(_id(host, via)))
    return 0 if doc is None else int(doc["state_id"])


def note(store: Store, host: str, state_id: int, via: str = "") -> None:
    """Notes it, unless a higher one came meanwhile."""

    def work(session: Session) -> None:
        with session.transaction():
            collection = session.collection(COLLECTION)
            [doc] = collection.get_many([_id(host, via)], for_update=True)
            if doc is None or doc["state_id"] < state_id:
                collection.put_many([{"_id": _id(host, via), "host": host, "via": via, "state_id": state_id}])

    store.run(work)


def _id(host: str, via: str) -> str:
    return session_hash(f"{host} {via}" if via else host)
