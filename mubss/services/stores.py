"""Where the store is, and whether it has been made: `mubss init` makes it, every other command needs it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mubss.options import mask
from mubss.storage.database import (
    COLLECTIONS,
    SCHEMA_VERSION,
    NoSuchCollection,
    Store,
    StoreUnavailable,
    create_collections,
    open_database,
    schema_version,
)


def place(url: str) -> str:
    """The store as people know it: its file, else its URL without the password."""
    file = file_of(url)
    return str(file) if file is not None else str(mask(url)).partition("?")[0]


def file_of(url: str) -> Path | None:
    """The file of an embedded store; None for a store that is a server."""
    if not url.startswith("sqlite:"):
        return None
    return Path(unquote(urlsplit(url).path[1:]))


def make(url: str) -> list[str]:
    """Makes the store's folder, collections and indexes as far as they aren't there; the collections it added."""
    with closing(open_database(url)) as store:  # a URL that names no store makes no folder either
        file = file_of(url)
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreUnavailable(f"{file.parent}: the folder can't be made: {error.strerror}") from None
        store.make()
        added = missing(store)
        _check_version(store, url, added)
        create_collections(store)
    return added


def missing(store: Store) -> list[str]:
    """The collections that the store should have and hasn't."""
    there = set(store.run(lambda session: session.list_collections()))
    return [name for name in COLLECTIONS if name not in there]


def _check_version(store: Store, url: str, lacking: list[str]) -> None:
    """Refuses a store that another version of the program made."""
    version = SCHEMA_VERSION if "meta" in lacking else schema_version(store)
    if version not in (None, SCHEMA_VERSION):  # None: from before stores said it
        raise StoreUnavailable(
            f"{place(url)}: its schema is version {version}, this program's {SCHEMA_VERSION}: "
            f"use the mubss that made it, or another store"
        )


def open_made(url: str, open_store: Callable[[str], Store] = open_database) -> Store:
    """The store, which the caller closes; StoreUnavailable, naming `mubss init`, where it hasn't been made.

    A process with an event loop brings its own `open_store`.
    """
    file = file_of(url)
    if file is not None and not file.exists():  # opening it would leave an empty one behind
        raise StoreUnavailable(f"{file}: there is no store yet; `mubss init` makes it")
    store = open_store(url)
    try:
        try:
            lacking = missing(store)
        except NoSuchCollection as error:  # a server without the schema
            raise StoreUnavailable(str(error)) from None
        if lacking:
            text = f"{place(url)}: no collection {', '.join(lacking[:3])}{' …' if len(lacking) > 3 else ''}"
            raise StoreUnavailable(f"{text}; `mubss init` adds what is missing")
        _check_version(store, url, [])
    except BaseException:
        store.close()
        raise
    return store
