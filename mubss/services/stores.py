"""Where the store is, and whether it has been made: `mubss init` makes it, every other command needs it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mubss.options import mask
from mubss.storage.database import (
    COLLECTIONS,
    META,
    OLDEST_SCHEMA,
    SCHEMA_VERSION,
    NoSuchCollection,
    Schema,
    Store,
    StoreUnavailable,
    create_collections,
    open_database,
    open_to_read,
    read_schema,
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
            with suppress(OSError):  # then the next line says what is wrong
                file.touch(0o600)  # it holds people's numbers and usage; SQLite gives its log the same mode
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
    """Refuses a store that this version of the program can't run on."""
    if META in lacking:
        return
    schema = read_schema(store)
    text = f"{place(url)}: its schema is version {schema.version}, this program's {SCHEMA_VERSION}"
    if not isinstance(schema.version, int):
        raise StoreUnavailable(f"{text}: use the mubss that made it, or another store")
    if not may_run(schema, SCHEMA_VERSION, OLDEST_SCHEMA):
        is_older = schema.version < SCHEMA_VERSION
        raise StoreUnavailable(f"{text}: `mubss migrate` brings it up" if is_older else newer(url, schema))


def may_run(schema: Schema, program: int, oldest: int) -> bool:
    """Whether a program of that version, which runs on stores from `oldest` on, may run on such a store.

    On one version newer than its own, too, where the step to it only added: so that both run side by side.
    """
    version = schema.version
    return isinstance(version, int) and oldest <= version <= program + 1 and schema.least_reader <= program


def newer(url: str, schema: Schema, program: int = SCHEMA_VERSION) -> str:
    """How a store is refused that a newer program has migrated."""
    text = f"{place(url)}: its schema is version {schema.version}, this program's {program}"
    return f"{text}: use the mubss that made it, or another store"


def reader_of(url: str) -> Callable[[str], Store]:
    """How who only reads opens a store: where this user can't write the embedded one, without writing."""
    file = file_of(url)
    if file is None or not file.exists() or (os.access(file.parent, os.W_OK | os.X_OK) and os.access(file, os.W_OK)):
        return open_database
    return open_to_read


def open_existing(url: str, open_store: Callable[[str], Store] = open_database) -> Store:
    """The store as it is, of whatever version, which the caller closes; for who mends it."""
    file = file_of(url)
    if file is not None and not file.exists():  # opening it would leave an empty one behind
        raise StoreUnavailable(f"{file}: there is no store yet; `mubss init` makes it")
    store = open_store(url)
    try:
        if META in missing(store):
            raise StoreUnavailable(f"{place(url)}: there is no store yet; `mubss init` makes it")
    except NoSuchCollection as error:  # a server without the schema
        store.close()
        raise StoreUnavailable(str(error)) from None
    except BaseException:
        store.close()
        raise
    return store


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
        _check_version(store, url, lacking)  # first: an older store lacks what a migration adds
        if lacking:
            text = f"{place(url)}: no collection {', '.join(lacking[:3])}{' …' if len(lacking) > 3 else ''}"
            raise StoreUnavailable(f"{text}; `mubss init` adds what is missing")
    except BaseException:
        store.close()
        raise
    return store
