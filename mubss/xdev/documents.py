"""Documents as both engines take them: what an `_id` is, what JSON is, and the text they are kept as."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from math import isfinite
from typing import Any

import orjson

from mubss.core.identity import ordered_id
from mubss.xdev.api import Doc
from mubss.xdev.errors import InvalidDocument, StoreError

MAX_ID_OCTETS = 32  # MySQL's generated column is VARBINARY(32)
MAX_DOCUMENT_OCTETS = 16 * 1024 * 1024
MAX_NESTING = 100  # MySQL refuses JSON nested deeper, SQLite from 1000 on
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}", re.ASCII)
_INTEGERS = range(-(1 << 63), 1 << 63)

# Without these orjson writes dates and dataclasses as it sees fit: they come back as something else.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def check_id(document_id: object) -> str:
    """`document_id` if it is text of 1 to 32 bytes in UTF-8, else InvalidDocument."""
    if not isinstance(document_id, str):
        raise InvalidDocument(f"_id: expected text of 1 to {MAX_ID_OCTETS} bytes, got {type(document_id).__name__}")
    try:
        octets = len(document_id) if document_id.isascii() else len(document_id.encode())
    except UnicodeEncodeError:
        raise InvalidDocument("_id: expected text that UTF-8 can hold, got a lone surrogate") from None
    if not 0 < octets <= MAX_ID_OCTETS:
        raise InvalidDocument(f"_id: expected text of 1 to {MAX_ID_OCTETS} bytes, got {octets}: {document_id[:40]!r}")
    return document_id


def check_name(name: object, what: str = "collection") -> str:
    """`name` if it can be a collection's (or an index's) in both engines, else StoreError."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.lower().startswith("sqlite_"):
        raise StoreError(f"{what} name: expected up to 63 letters, digits and '_', not a digit first, got {name!r}")
    return name


def check_ids(ids: Iterable[object]) -> list[str]:
    """Every one of `ids`, checked; a lone text is a caller's slip (its letters would be taken for ids)."""
    if isinstance(ids, str):
        raise InvalidDocument("ids: expected a sequence of ids, got one text")
    return [check_id(document_id) for document_id in ids]


def encode(value: Any, name: str = "value") -> str:
    """`value` as JSON text; InvalidDocument names the path of what JSON, or 64 bits, can't hold."""
    return encode_octets(value, name).decode()


def encode_octets(value: Any, name: str = "value") -> bytes:
    """`value` as JSON text in UTF-8, see `encode`."""
    try:
        octets = orjson.dumps(value, option=_OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:  # orjson.JSONEncodeError is a TypeError
        _refuse_what_json_lacks(value, name, 0)
        raise InvalidDocument(f"{name}: {error}") from None
    if len(octets) > MAX_DOCUMENT_OCTETS:
        raise InvalidDocument(f"{name}: expected up to {MAX_DOCUMENT_OCTETS} bytes of JSON, got {len(octets)}")
    # NaN and infinities come out of orjson as null: look closer only where there is one (a compare in C, 3 µs a KB).
    if b"null" in octets and orjson.loads(octets) != value:
        _refuse_what_json_lacks(value, name, 0)
    if octets.count(b"{") + octets.count(b"[") > MAX_NESTING:
        _refuse_what_json_lacks(value, name, 0)
    return octets


def document_id(doc: object) -> str:
    """The `_id` of what is to be written, checked."""
    if not isinstance(doc, dict):
        raise InvalidDocument(f"document: expected a dict, got {type(doc).__name__}")
    try:
        return check_id(doc["_id"])
    except KeyError:
        raise InvalidDocument(f"document: expected an _id, got keys {list(doc)[:10]!r}") from None


def with_ids(docs: Iterable[Any]) -> list[Doc]:
    """The documents, copied with a new time-ordered `_id` in front where they have none."""
    whole: list[Any] = []  # what is no document is refused later
    for doc in docs:
        if isinstance(doc, dict) and "_id" not in doc:
            doc = {"_id": ordered_id(time.time_ns() // 1_000_000, secrets.randbits(50)), **doc}
        whole.append(doc)
    return whole


def _refuse_what_json_lacks(value: Any, path: str, depth: int) -> None:
    """Raises InvalidDocument for the first thing under `path` that a document can't hold."""
    if depth > MAX_NESTING:
        raise InvalidDocument(f"{path[:60]}…: expected at most {MAX_NESTING} levels of nesting")
    if isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise InvalidDocument(f"{path}: expected keys of text, got {type(key).__name__} {key!r}")
            _refuse_what_json_lacks(part, f"{path}.{key}", depth + 1)
    elif isinstance(value, (list, tuple)):
        for index, part in enumerate(value):
            _refuse_what_json_lacks(part, f"{path}[{index}]", depth + 1)
    elif isinstance(value, float):
        if not isfinite(value):
            raise InvalidDocument(f"{path}: expected a finite number, got {value!r}")
    elif isinstance(value, int):
        if value not in _INTEGERS:
            raise InvalidDocument(f"{path}: expected an integer within 64 bits, got one of {value.bit_length()} bits")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidDocument(f"{path}: expected text that UTF-8 can hold, got a lone surrogate") from None
    elif value is not None:
        raise InvalidDocument(f"{path}: expected a JSON value, got {type(value).__name__}")
