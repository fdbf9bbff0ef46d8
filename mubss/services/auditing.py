"""Writes that are audited: by an engine and a store that add the entry to the very transaction of each write.

So nothing happens unaudited, nor is audited without happening. What no entry tells (`core/audit.py`'s FIELDS) is
written without one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from mubss.charging.engine import Engine
from mubss.charging.order import Change, Guard, Order
from mubss.core.audit import FIELDS, MAX_DOCUMENTS, changed, cleaned, identities_of
from mubss.core.identity import ordered_id
from mubss.storage import audit as storage
from mubss.storage.database import Doc, How, Read, Session, Store, Write

T = TypeVar("T")
_Key = tuple[str, str]  # collection and id
_BY_ORDERS = frozenset(("bills", "payments"))  # what else changes them is no deed of a person
_IN_BATCHES = frozenset(("vouchers",))  # the batch tells that they were added


class Act:
    """One command or call that writes: who, what, and with which fields."""

    def __init__(
        self,
        who: str,
        role: str,
        address: str,
        what: str,
        fields: Mapping[str, Any],
        clock_ms: Callable[[], int],
        request: str = "",
    ) -> None:
        self._known = {"who": who, "role": role, "from": address, "what": what}
        if request:
            self._known["request"] = request
        self._fields = fields
        self._clock_ms = clock_ms
        self.written = 0  # entries

    @property
    def who(self) -> str:
        """Whose act it is."""
        return self._known["who"]

    def entry(self) -> Doc:
        """An entry's first fields; what came of it is added once that is known. `seq` 0: it isn't sealed."""
        now_ms = self._clock_ms()
        return {"_id": ordered_id(now_ms, secrets.randbits(50)), "at_ms": now_ms, **self._known}

    def outcome(
        self, found: Mapping[_Key, Doc], written: Mapping[_Key, Doc | None], account: str = ""
    ) -> dict[str, Any]:
        """An entry's other fields: what was asked for, whom it is about, and what differs."""
        before, after = dict[str, Doc](), dict[str, Doc]()
        subscribers: dict[str, None] = {}
        more = 0
        for key, doc in written.items():
            old, new = changed(key[0], found.get(key), doc)
            if key[0] == "subscribers":
                subscribers[key[1]] = None
            if not (old or new):
                continue
            if len(before | after) == MAX_DOCUMENTS:
                more += 1
                continue
            name = "/".join(key)
            before |= {name: old} if old else {}
            after |= {name: new} if new else {}
        docs = [*found.values(), *written.values()]
        named = {str(doc["subscriber"]) for doc in docs if doc and doc.get("subscriber")}
        one = next(iter(subscribers), account) or (named.pop() if len(named) == 1 else "")
        about = {"subscriber": "" if len(subscribers) > 1 and not account else one, "account": account}
        rest = {"more_documents": more} if more else {}
        fields = cleaned(self._fields, identities_of(docs))
        return {"seq": 0, **about, "fields": fields, "before": before, "after": after, **rest}

    def whole(self, collection: str, found: Iterable[Doc], written: Iterable[Doc]) -> Doc:
        """An entry of documents as they were and are, also where nothing that is told of them differs."""
        before, after = ({(collection, doc["_id"]): doc for doc in docs} for docs in (found, written))
        return {**self.entry(), **self.outcome(before, after)}

    def write(self, store: Store, about: Doc | None = None) -> None:
        """Writes an entry by itself, of what happens outside the store; `about` is the subscriber that it is about."""
        docs = [] if about is None else [about]
        storage.add(store, self.whole("subscribers", docs, docs))
        self.written += 1


class AuditedEngine(Engine):
    """Does orders by another engine; each brings its entry."""

    def __init__(self, engine: Engine, act: Act) -> None:
        self._inner = engine
        self._act = act

    def execute(self, orders: list[Order]) -> list[Order]:
        for order in orders:
            order.guards.append(Guard(storage.AUDIT, self._act.entry(), None, self._fill))
        done = self._inner.execute(orders)
        self._act.written += sum(order.error is None for order in orders)
        return done

    def _fill(self, _order: Order, change: Change) -> Doc:
        account_id = change.after["_id"]
        key = ("accounts", account_id)
        found: dict[_Key, Any] = {**change.found, key: change.before}
        written: dict[_Key, Any] = {**change.written, key: change.after}
        return self._act.outcome(found, written, account_id)


class AuditedStore:
    """A store whose write transactions bring their entry. It reads, and does what no entry tells, as the other."""

    def __init__(self, store: Store, act: Act) -> None:
        self._inner = store
        self._act = act
        self.url, self.side_by_side = store.url, store.side_by_side

    def make(self) -> None:
        """As the store does."""
        self._inner.make()

    def run(self, work: Callable[[Session], T]) -> T:
        """As the store does, with a session that notes what is written."""
        return self._inner.run(lambda session: work(_Session(session, self._act)))

    def copy_to(self, file: str) -> None:
        """As the store does."""
        self._inner.copy_to(file)

    def close(self) -> None:
        """As the store does."""
        self._inner.close()


def plain(store: Store) -> Store:
    """The store beneath, whose writes bring no entry."""
    return store._inner if isinstance(store, AuditedStore) else store


class _Session:
    """A session that adds the entry of what is written within a transaction."""

    def __init__(self, session: Session, act: Act) -> None:
        self._inner = session
        self._act = act
        self._found: dict[_Key, Doc] = {}
        self._written: dict[_Key, Doc | None] = {}
        self._is_within = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def collection(self, name: str) -> Any:
        """One whose writes are noted, if an entry tells of it."""
        found = self._inner.collection(name)
        return _Collection(found, self) if _is_told(name) else found

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """As the session's; the entry is added last."""
        self._begin()
        try:
            with self._inner.transaction():
                yield
                entries = self._entries()
                if entries:
                    self._inner.collection(storage.AUDIT).add_many(entries)
        finally:
            self._is_within = False
        self._done(entries)

    def begin(self, reads: Iterable[Read]) -> list[list[Doc]]:
        """As the session's; what is read is what was there before."""
        wanted = list(reads)
        found = self._inner.begin(wanted)
        self._begin()
        for read, docs in zip(wanted, found, strict=True):
            if _is_told(read.collection):
                self._found |= {(read.collection, doc["_id"]): doc for doc in docs}
        return found

    def finish(self, writes: Iterable[Write]) -> None:
        """As the session's, and the entry with it."""
        wanted = list(writes)
        for write in wanted:
            if _is_told(write.collection):
                self.note(write.collection, [] if write.how is How.REMOVE else write.docs)
        entries = self._entries()
        if entries:
            wanted.append(Write(storage.AUDIT, entries, How.ADD))
        self._is_within = False
        self._inner.finish(wanted)
        self._done(entries)

    def writing(self, name: str, ids: Sequence[str]) -> Any:
        """A transaction, unless one is open; what is there of these documents is noted."""
        collection = self._inner.collection(name)

        @contextmanager
        def within() -> Iterator[None]:
            with self._transaction_or_none():
                unread = [one for one in ids if (name, one) not in self._found]
                found = collection.get_many(unread, for_update=True) if unread else []
                self._found |= {(name, doc["_id"]): doc for doc in found if doc is not None}
                yield

        return within()

    def note(self, name: str, docs: Iterable[Doc]) -> None:
        """What is written, as it is then."""
        self._written |= {(name, doc["_id"]): doc for doc in docs}

    @contextmanager
    def _transaction_or_none(self) -> Iterator[None]:
        if self._is_within:
            yield
            return
        with self.transaction():
            yield

    def _begin(self) -> None:
        self._found, self._written, self._is_within = {}, {}, True

    def _entries(self) -> list[Doc]:
        differ = {key: doc for key, doc in self._written.items() if any(changed(key[0], self._found.get(key), doc))}
        if not differ:
            return []
        found = {key: self._found[key] for key in differ if key in self._found}
        return [{**self._act.entry(), **self._act.outcome(found, differ)}]

    def _done(self, entries: list[Doc]) -> None:
        self._act.written += len(entries)


class _Collection:
    """A collection whose writes are noted."""

    def __init__(self, collection: Any, session: _Session) -> None:
        self._inner = collection
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put_many(self, docs: Sequence[Doc]) -> int:
        """As the collection's."""
        with self._session.writing(self._inner.name, [doc["_id"] for doc in docs]):
            self._session.note(self._inner.name, docs)
            return int(self._inner.put_many(docs))

    def add_many(self, docs: Sequence[Doc]) -> int:
        """As the collection's."""
        if self._inner.name in _IN_BATCHES:
            return int(self._inner.add_many(docs))
        with self._session.writing(self._inner.name, []):
            self._session.note(self._inner.name, docs)
            return int(self._inner.add_many(docs))


def _is_told(collection: str) -> bool:
    return collection in FIELDS and collection not in _BY_ORDERS
