"""What a store can say no with; both engines map their own errors onto this tree."""

from __future__ import annotations

from mubss.core.errors import ConfigError, MubssError


class StoreError(MubssError):
    """Anything a store raises."""


class StoreUnavailable(StoreError):
    """The store can't be reached, is read-only or has no quorum: nothing was done, try again later."""


class StoreAway(StoreUnavailable):
    """Nobody answers at the store's server, or it takes no writes for now: as it comes back all is well again."""


class UnknownCommit(StoreUnavailable):
    """The link broke while COMMIT was under way: it may have happened. Repeat the commands; replays settle it."""


class StoreConflict(StoreError):
    """A deadlock or a lock wait that ran out: the transaction was rolled back, try again now."""


class DuplicateId(StoreError):
    """A document with this `_id` is there already; the transaction it was added in can't be kept."""

    def __init__(self, collection: str, document_id: str = "") -> None:
        super().__init__(f"{collection}: a document with _id {document_id!r} is there already")
        self.collection = collection
        self.document_id = document_id


class InvalidDocument(StoreError):
    """A document without a usable `_id` (1 to 32 bytes of text), or with a value that JSON doesn't have."""


class InvalidExpression(StoreError):
    """An expression that can't be parsed, uses what the engines don't share, or misses a bound value."""


class NoSuchCollection(StoreError):
    """The collection was never created: `mubss init` makes them all."""


class NotOffered(StoreError):
    """This engine doesn't do that: the text says what does."""


class StoreUrlError(StoreError, ConfigError):
    """A store URL that names no engine, or options that the engine doesn't know."""
