"""Files of PINs that are encrypted: to an RSA key, or to an age key."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from mubss.core.errors import InputError
from mubss.services.sealing import MAGIC, is_locked, read_recipient, unseal

CONTENT = b"serial,pin\n" + b"000001-0000001,12345678901234\n" * 10_000


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with key files of several kinds."""
    folder = tmp_path_factory.mktemp("keys")
    for name, key in (
        ("rsa", rsa.generate_private_key(65537, 2048)),
        ("other", rsa.generate_private_key(65537, 2048)),
        ("short", rsa.generate_private_key(65537, 1024)),
        ("curve", ec.generate_private_key(ec.SECP256R1())),
    ):
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.key").write_bytes(private)
        locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open"))
        (folder / f"{name}-locked.key").write_bytes(locked)
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (folder / f"{name}.pem").write_bytes(public)
    (folder / "noise").write_bytes(b"\x80\x00" * 50)
    (folder / "broken.pem").write_text("-----BEGIN PUBLIC KEY-----\nnothing\n-----END PUBLIC KEY-----\n")
    return folder


def test_a_file_for_an_rsa_key(keys: Path) -> None:
    recipient = read_recipient(str(keys / "rsa.pem"))
    sealed, again = recipient.seal(CONTENT), recipient.seal(CONTENT)
    assert sealed != again and b"1234567890" not in sealed and sealed.startswith(MAGIC)
    assert unseal(sealed, str(keys / "rsa.key")) == CONTENT
    assert is_locked(str(keys / "rsa-locked.key")) and not is_locked(str(keys / "rsa.key"))
    assert unseal(sealed, str(keys / "rsa-locked.key"), "open") == CONTENT
    for name, password in (("rsa-locked.key", ""), ("rsa-locked.key", "wrong"), ("rsa.pem", ""), ("noise", "")):
        with pytest.raises(InputError, match="expected an RSA private key"):
            unseal(sealed, str(keys / name), password)
    for key in ("other.key", "curve.key"):
        with pytest.raises(InputError):
            unseal(sealed, str(keys / key))


@pytest.mark.parametrize("at", [0, len(MAGIC), len(MAGIC) + 1, len(MAGIC) + 50, len(MAGIC) + 2 + 256 + 5, -1, -20])
def test_a_changed_octet_is_found(keys: Path, at: int) -> None:
    sealed = bytearray(read_recipient(str(keys / "rsa.pem")).seal(CONTENT))
    sealed[at] ^= 1
    with pytest.raises(InputError, match="file: "):
        unseal(bytes(sealed), str(keys / "rsa.key"))
    for end in (5, len(MAGIC) + 1, len(MAGIC) + 60, len(sealed) - 1):
        with pytest.raises(InputError, match="file: "):
            unseal(bytes(sealed[:end]), str(keys / "rsa.key"))


def test_a_file_for_an_age_key(keys: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    public = str(identity.to_public())
    named = keys / "age.pub"
    named.write_text(f"# the printer's\n\n{public}\n")
    for text in (public, str(named)):
        assert pyrage.decrypt(read_recipient(text).seal(CONTENT), [identity]) == CONTENT


@pytest.mark.parametrize(
    "name", ["short.pem", "curve.pem", "noise", "broken.pem", "rsa.key", "nothing-here", "age1abc"]
)
def test_keys_that_are_refused(keys: Path, name: str) -> None:
    with pytest.raises(InputError, match="recipient: "):
        read_recipient(name if name.startswith("age1") else str(keys / name))
