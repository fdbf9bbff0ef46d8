"""Files that scripts make of proto/crm.proto: what is stale in them is found, with protoc and without."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import pytest

import php_classes
from mubss.pb import crm_pb2


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A copy of clients/php/generated."""
    return Path(copytree(php_classes.FOLDER, tmp_path / "generated"))


def change(file: Path, old: bytes, new: bytes) -> None:
    octets = file.read_bytes()
    assert octets.count(old) >= 1
    file.write_bytes(octets.replace(old, new, 1))


def test_the_php_classes_are_those_of_the_proto(classes: Path) -> None:
    assert php_classes.stale(classes) == []


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (php_classes.METHODS, b"'repeatable' => true", b"'repeatable' => false"),
        (php_classes.METHODS, b"'Balances/TopUp' => [", b"'Balances/TopUp2' => ["),
        (php_classes.DESCRIPTORS, b"amount_micros", b"amount_cents_"),
        (php_classes.DESCRIPTORS, b"TopUpRequest", b"TopOpRequest"),
        (php_classes.DESCRIPTORS, b"internalAddGeneratedFile(", b"nothing("),
    ],
)
def test_stale_php_classes_are_found_without_protoc(classes: Path, file: Path, old: bytes, new: bytes) -> None:
    change(classes / file, old, new)
    assert php_classes.stale(classes) == [str(file)]


def test_php_classes_that_are_missing_are_found(classes: Path) -> None:
    assert php_classes.differing(classes, php_classes.FOLDER) == []
    (classes / php_classes.METHODS).unlink()
    (classes / "New.php").write_text("<?php\n")
    assert php_classes.differing(classes, php_classes.FOLDER) == [str(php_classes.METHODS), "New.php"]
    assert php_classes.stale(classes) == [str(php_classes.METHODS)]


def test_the_document_follows_the_proto() -> None:
    pytest.importorskip("grpc_tools")
    import crm_docs

    file = crm_docs.read()
    text = crm_docs.document(file)
    assert crm_docs.FILE.read_text("utf-8") == text, "run: scripts/crm_docs"
    assert text.count("\nLeast role `") == sum(len(one.methods) for one in crm_pb2.DESCRIPTOR.services_by_name.values())
    file.message_type[0].field[0].name = "another_name"
    changed = crm_docs.document(file)
    assert "`another_name`" in changed and "`another_name`" not in text
