"""Licence files and the keys that sign them.

A licence file is two lines: the document in its canonical form, and its Ed25519 signature (RFC 8032) in base64. Public
keys are lines `KEY-ID HEX` of 64 digits; those of who issues licences are pinned in conf/licence-keys.txt, which comes
with the program and is no option: an operator who could name another file could sign for himself.
"""

from __future__ import annotations

import os
import re
import stat
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from mubss.config import data_path
from mubss.core.errors import InputError, LicenceError
from mubss.core.licence import MAX_DOCUMENT_OCTETS, Licence, canonical, is_machine_id, parse
from mubss.core.wording import counted
from mubss.services.secret_files import private_file, read_secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PINNED = "conf/licence-keys.txt"
DEMO_KEY = "demo.pub"  # beside the licence, on the machine that made it
SIGNATURE_OCTETS = 64
MAX_FILE_OCTETS = MAX_DOCUMENT_OCTETS + 100
MAX_KEYS_OCTETS = 16_384
_KEY_LINE = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,39}) ([0-9a-f]{64})")

Keys = dict[str, bytes]  # public keys, 32 octets, by their ids


def read_file(path: Path, most: int, what: str) -> bytes:
    """A whole small file; LicenceError where there is none, it is too large, or no plain file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO must not keep us waiting
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise LicenceError(f"{what}: {path} is no plain file; expected one")
            octets = file.read(most + 1)
    except OSError as error:
        raise LicenceError(f"{what}: {path} can't be read: {error.strerror}") from None
    if len(octets) > most:
        raise LicenceError(f"{what}: {path} has more than {most} octets; expected fewer")
    return octets


def read_keys(path: Path) -> Keys:
    """The public keys of a file; empty lines and those that begin with # count for nothing."""
    keys: Keys = {}
    text = read_file(path, MAX_KEYS_OCTETS, "licence keys").decode("ascii", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _KEY_LINE.fullmatch(line.strip())
        if found is None:
            raise LicenceError(
                f"licence keys: {path}:{number}: {counted(len(line), 'letter')}; expected KEY-ID and 64 hex digits"
            )
        if found[1] in keys:
            raise LicenceError(f"licence keys: {path}:{number}: {found[1]} stands twice; expected each id once")
        keys[found[1]] = bytes.fromhex(found[2])
    return keys


def pinned_keys() -> Keys:
    """Those that came with the program."""
    return read_keys(data_path(PINNED))


def key_line(key_id: str, public: bytes) -> str:
    """A key as such a file has it."""
    return f"{key_id} {public.hex()}"


def read_machine_id(path: Path) -> str:
    """What machine-id(5) says."""
    text = read_file(path, 256, "license.machine_id_file").decode("ascii", errors="replace").strip()
    if not is_machine_id(text):
        raise LicenceError(
            f"license.machine_id_file: {path} holds {counted(len(text), 'letter')}; expected 32 hex digits, not 0"
        )
    return text


def split(octets: bytes) -> tuple[bytes, bytes]:
    """Document and signature of a licence file; LicenceError where it isn't exactly these two lines."""
    lines = octets.split(b"\n")
    if len(lines) != 3 or lines[2]:
        raise LicenceError(
            f"licence file: {counted(len(octets), 'octet')}, {counted(len(lines) - 1, 'whole line')}; expected 2 lines"
        )
    try:
        signature = b64decode(lines[1], validate=True)
    except ValueError:
        signature = b""
    if len(signature) != SIGNATURE_OCTETS or b64encode(signature) != lines[1]:
        raise LicenceError(
            f"licence file: a second line of {counted(len(lines[1]), 'octet')}; expected a signature in base64"
        )
    return lines[0], signature


def verified(octets: bytes, trusted: Keys) -> Licence:
    """The licence of a file whose signature is that of a trusted key; LicenceError says what is wrong."""
    document, signature = split(octets)
    licence = parse(document)
    if licence.key_id not in trusted:
        raise LicenceError(f"licence.key_id: {licence.key_id!r}; expected the id of a key that is trusted here")
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(trusted[licence.key_id]).verify(signature, document)
    except InvalidSignature:
        raise LicenceError(f"licence file: the signature isn't that of key {licence.key_id} over this text") from None
    return licence


def signed(licence: Licence, key: Ed25519PrivateKey) -> bytes:
    """A licence file."""
    document = canonical(licence)
    return document + b"\n" + b64encode(key.sign(document)) + b"\n"


def public_of(key: Ed25519PrivateKey) -> bytes:
    """The 32 octets of a key's public half."""
    return key.public_key().public_bytes_raw()


def make_key_pair(folder: Path, key_id: str) -> tuple[Path, Path, bytes]:
    """Makes KEY-ID.key (the private half, mode 0600) and KEY-ID.pub; both files and the public half."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not _KEY_LINE.fullmatch(f"{key_id} {'0' * 64}"):
        raise InputError(f"key id: {key_id[:50]!r}; expected 1 to 40 letters, digits, points and dashes")
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{key_id}.key", folder / f"{key_id}.pub"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InputError(f"{folder}: can't be made: {error.strerror}") from None
    if public.exists():
        raise InputError(f"file: {public} is there already; expected one that isn't")
    with private_file(private) as file:
        file.write(key.private_bytes_raw().hex().encode() + b"\n")
    with private_file(public) as file:
        file.write(key_line(key_id, public_of(key)).encode() + b"\n")
    return private, public, public_of(key)


def read_private(path: Path) -> Ed25519PrivateKey:
    """The private key of a file that nobody else may read."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = read_secret(path, "key", "`mubss license keygen` makes one").decode("ascii", errors="replace")
    if re.fullmatch(r"[0-9a-f]{64}", text) is None:
        raise InputError(f"key: {path} holds {counted(len(text), 'letter')}; expected 64 hex digits")
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text))
