"""Files that nobody but their owner may read: secrets are read from them, and PINs written to them."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mubss.core.errors import ConfigError, InputError
from mubss.core.wording import counted
from mubss.services.durable import sync

LEAST_OCTETS = 32  # of a secret that keys an HMAC (RFC 2104 §3: no less than the hash's output)
MAX_OCTETS = 4096
_MODE = 0o600
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_secret(path: Path, option: str, hint: str = "", least: int = LEAST_OCTETS) -> bytes:
    """What a file holds, without white space around it; ConfigError where it is missing, short, or others may read it.

    `option` is the option that names it; what it holds is in no error.
    """
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            octets = file.read(MAX_OCTETS + 1)
    except OSError as error:
        raise ConfigError(f"{option}: {path} can't be read: {error.strerror}{hint and f'; {hint}'}") from None
    if not stat.S_ISREG(about.st_mode):
        raise ConfigError(f"{option}: {path} is no file; expected one that holds a secret")
    if about.st_mode & _OTHERS:
        mode = stat.S_IMODE(about.st_mode)
        raise ConfigError(f"{option}: {path} has mode {mode:03o}; expected 600: none but its owner may use it")
    secret = octets.strip()
    if not least <= len(secret) or len(octets) > MAX_OCTETS:
        raise ConfigError(f"{option}: {path} holds {counted(len(secret), 'octet')}; expected {least} to {MAX_OCTETS}")
    return secret


def make_secret(path: Path) -> bool:
    """Makes a file with a new secret in hexadecimal digits, unless there is a file; whether it made one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with private_file(path) as file:
            file.write(secrets.token_hex(LEAST_OCTETS).encode() + b"\n")
    except InputError:
        if path.exists():
            return False
        raise
    except OSError as error:
        raise ConfigError(f"{path}: can't be written: {error.strerror}") from None
    return True


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """A new file, mode 600, that is there whole and on the disk once the block is done, or not at all.

    InputError where there is a file of that name, or where none can be made; nothing is ever replaced.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    if path.exists() or path.is_symlink():
        raise InputError(f"file: {path} is there already; expected one that isn't")
    try:
        file = os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb")
    except OSError as error:
        raise InputError(f"file: {path} can't be written: {error.strerror}") from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # unlike a rename it replaces nothing
        except OSError as error:
            raise InputError(f"file: {path} can't be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)
