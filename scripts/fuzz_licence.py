"""Licence files, their keys, and the file of the last known good time."""

from __future__ import annotations

import hmac
import tempfile
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mubss.core.errors import LicenceError
from mubss.core.licence import ALL_FEATURES, DAY_S, Licence, canonical, parse
from mubss.services import licence_files as files
from mubss.services.licence_state import StateFile

NOW_S = 1_800_000_000
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUSTED = {"k1": files.public_of(KEY)}
MACHINE = "0123456789abcdef" * 2
PLAIN = Licence("S-1", "Example Telecom", (MACHINE,), NOW_S - DAY_S, NOW_S + 90 * DAY_S, 1000, ALL_FEATURES, "k1")
DOCUMENT, FILE, KEYS, STATE, MACHINE_ID = range(5)
FOLDER = tempfile.TemporaryDirectory(prefix="mubss-fuzz-licence-")
SECRET = b"s" * 43


def seeds() -> dict[str, bytes]:
    """What the first octet says; then that."""
    known = b"%d" % NOW_S
    digest = hmac.new(SECRET, b"known good\0" + MACHINE.encode() + b"\0" + known, sha256).hexdigest()
    return {
        "document": bytes([DOCUMENT]) + canonical(PLAIN),
        "deep": bytes([DOCUMENT]) + b"[" * 5000,
        "digits": bytes([DOCUMENT]) + canonical(PLAIN).replace(b":1000,", b":" + b"9" * 5000 + b","),
        "file": bytes([FILE]) + files.signed(PLAIN, KEY),
        "keys": bytes([KEYS]) + b"# trusted\n" + files.key_line("k1", TRUSTED["k1"]).encode() + b"\n",
        "state": bytes([STATE]) + b"mubss-known-good 1 " + known + b" " + digest.encode() + b"\n",
        "machine-id": bytes([MACHINE_ID]) + MACHINE.encode() + b"\n",
    }


def one_input(data: bytes) -> None:
    """LicenceError alone; what is taken is in the one form that there is."""
    kind, rest = (data[0] % 5, data[1:]) if data else (DOCUMENT, b"")
    try:
        if kind == DOCUMENT:
            assert canonical(parse(rest)) == rest
        elif kind == FILE:
            assert files.verified(rest, TRUSTED) == PLAIN, "a licence that nobody signed"
        else:
            _as_file(kind, rest)
    except LicenceError as error:
        assert len(str(error)) < 1000 and str(error).isprintable(), "one line, bounded"


def _as_file(kind: int, data: bytes) -> None:
    file = Path(FOLDER.name, "file")
    file.write_bytes(data)
    if kind == KEYS:
        files.read_keys(file)
    elif kind == MACHINE_ID:
        assert len(files.read_machine_id(file)) == 32
    else:
        state = StateFile(file, MACHINE)
        if not state.secret_path.exists():
            state.secret_path.touch(0o600)
            state.secret_path.write_bytes(SECRET)
        assert state.read() == NOW_S, "a time that nobody wrote"
