"""Parquet files of the archive: written beside their name, synced, read back, and only then named.

Columns are there to ask by; `document` has the whole document as JSON, so nothing that it held is lost. Rows are in
order of account and sequence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from mubss.core.errors import ConfigError, InputError
from mubss.services.durable import sync
from mubss.storage.subscribers import POSTINGS, USAGE

Doc = dict[str, Any]
GROUP_ROWS = 5_000  # of a row group, which is held in memory
_CHUNK = 1 << 20
_FOLDER_MODE = 0o750
_FOLDERS = 4  # root, kind, year, and what the root is in: a new one must outlast a power cut as its file does
_INTEGER, _TEXT = "int64", "string"
# Kind → column → (type, field of the document). The first three stand in every file.
COLUMNS: dict[str, dict[str, tuple[str, str]]] = {
    POSTINGS: {
        "_id": (_TEXT, "_id"),
        "account": (_TEXT, "account"),
        "sequence": (_INTEGER, "sequence"),
        "at_ms": (_INTEGER, "at_ms"),
        "service": (_TEXT, "service"),
        "amount_micros": (_INTEGER, "amount_micros"),
        "balance_micros": (_INTEGER, "balance_micros"),
    },
    USAGE: {
        "_id": (_TEXT, "_id"),
        "account": (_TEXT, "account"),
        "sequence": (_INTEGER, "sequence"),
        "from_s": (_INTEGER, "from_s"),
        "until_s": (_INTEGER, "until_s"),
        "service": (_TEXT, "service"),
        "plan": (_TEXT, "plan"),
        "zone": (_TEXT, "zone"),
        "units": (_INTEGER, "units"),
        "free_units": (_INTEGER, "free_units"),
        "charge_micros": (_INTEGER, "charge_micros"),
    },
}
SUMMED = {POSTINGS: "amount_micros", USAGE: "charge_micros"}


class Sums(NamedTuple):
    """What a file holds, to be compared."""

    rows: int
    micros: int
    digest: str  # SHA-256 of all documents in their order


def pyarrow(name: str = "pyarrow") -> Any:
    """The library, or a ConfigError that says how it comes here."""
    try:
        return import_module(name)
    except ImportError:
        raise ConfigError("archive: pyarrow isn't installed; `pip install 'mubss[parquet]'` brings it") from None


def draft_of(path: Path) -> Path:
    """Where a file is written that isn't whole yet."""
    return path.with_name(f".{path.name}.part")


class Writer:
    """One file being written; `finish` names what was written."""

    def __init__(self, kind: str, path: Path) -> None:
        self.path = path
        self._kind = kind
        self._draft = draft_of(path)
        self._docs: list[Doc] = []
        self._rows = self._micros = 0
        self._digest = sha256()
        arrow = pyarrow()
        fields = [(name, arrow.type_for_alias(alias)) for name, (alias, _) in COLUMNS[kind].items()]
        self._schema = arrow.schema([*fields, ("document", arrow.string())])
        try:
            for folder in reversed(path.parents):  # `parents=True` would make all but the last for anybody
                folder.mkdir(exist_ok=True, mode=_FOLDER_MODE)
            self._file = open(self._draft, "wb", opener=_private)  # noqa: SIM115 # closed by `close`
            self._writer = pyarrow("pyarrow.parquet").ParquetWriter(self._file, self._schema, compression="zstd")
        except OSError as error:
            raise InputError(f"{self._draft}: can't be written: {error.strerror}") from None

    def add(self, doc: Doc) -> None:
        """One document more."""
        self._docs.append(doc)
        if len(self._docs) >= GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if not self._docs:
            return
        texts = [text_of(doc) for doc in self._docs]
        columns = {name: [doc.get(field) for doc in self._docs] for name, (_, field) in COLUMNS[self._kind].items()} | {
            "document": texts
        }
        for doc, text in zip(self._docs, texts, strict=True):
            self._digest.update(text.encode() + b"\n")
            self._micros += doc[SUMMED[self._kind]]
        self._rows += len(self._docs)
        self._docs = []
        try:
            self._writer.write_table(pyarrow().table(columns, schema=self._schema))
        except OSError as error:
            raise InputError(f"{self._draft}: can't be written: {error.strerror or error}") from None

    def close(self) -> tuple[Sums, str, int]:
        """Syncs the draft and reads it back: what it holds, its SHA-256 and its octets; InputError where it differs."""
        self._flush()
        try:
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            for folder in list(self.path.parents)[:_FOLDERS]:
                sync(folder)
        except OSError as error:
            raise InputError(f"{self._draft}: can't be written: {error.strerror or error}") from None
        written = Sums(self._rows, self._micros, self._digest.hexdigest())
        found = sums_of(self._draft, self._kind)
        if found != written:
            raise InputError(f"{self._draft}: holds {found}; expected {written}, as it was written")
        return written, digest_of(self._draft), self._draft.stat().st_size

    def abandon(self) -> None:
        """The draft goes."""
        try:
            self._writer.close()
            self._file.close()
        except OSError:  # a full disk: it goes anyway
            self._file.close()
        self._draft.unlink(missing_ok=True)


def name(path: Path) -> None:
    """The draft of a file becomes the file, if that isn't done; InputError where there is neither."""
    draft = draft_of(path)
    try:
        if not path.exists():
            draft.rename(path)
        draft.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise InputError(f"{path}: can't be named: {error.strerror}") from None


def sums_of(path: Path, kind: str) -> Sums:
    """What a file holds, read from its first row to its last."""
    digest, rows, micros = sha256(), 0, 0
    for batch in _batches(path, [SUMMED[kind], "document"], GROUP_ROWS):
        for amount, text in zip(batch[SUMMED[kind]].to_pylist(), batch["document"].to_pylist(), strict=True):
            digest.update(text.encode() + b"\n")
            rows, micros = rows + 1, micros + amount
    return Sums(rows, micros, digest.hexdigest())


def digest_of(path: Path) -> str:
    """SHA-256 of a file's octets."""
    digest = sha256()
    try:
        with path.open("rb") as file:
            while octets := file.read(_CHUNK):
                digest.update(octets)
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
    return digest.hexdigest()


def pages(path: Path, size: int, after: int = 0) -> Iterator[list[Doc]]:
    """A file's documents in order, so many at a time, behind the `after` first ones."""
    left = after
    page: list[Doc] = []
    for batch in _batches(path, ["document"], size):
        texts = batch["document"].to_pylist()
        page += [orjson.loads(text) for text in texts[left:]]
        left = max(0, left - len(texts))
        while len(page) >= size:
            yield page[:size]
            page = page[size:]
    if page:
        yield page


def of_account(path: Path, account_id: str) -> list[Doc]:
    """An account's documents in a file; only the row groups that may have some are read."""
    try:
        found = pyarrow("pyarrow.parquet").read_table(
            path, columns=["document"], filters=[("account", "=", account_id)], memory_map=True
        )
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise _unreadable(path, error) from None
    return [orjson.loads(text) for text in found["document"].to_pylist()]


def _batches(path: Path, columns: list[str], size: int) -> Iterator[Any]:
    try:
        with pyarrow("pyarrow.parquet").ParquetFile(path) as file:
            yield from file.iter_batches(batch_size=size, columns=columns)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> InputError:
    what = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
    return InputError(f"{path}: can't be read as Parquet: {what}")


def text_of(doc: Doc) -> str:
    """A document as the files have it: JSON with its keys in order, so that the same document is the same text."""
    return orjson.dumps(doc, option=orjson.OPT_SORT_KEYS).decode()


def _private(path: str, flags: int) -> int:
    """What is used by whom is for its owner alone."""
    return os.open(path, flags, 0o600)
