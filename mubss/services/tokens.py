"""Tokens that open the management interface: JWTs (RFC 7519), HS256, checked to the letter; and the keys they hang on.

python-jose takes empty and short keys, decodes without `algorithms` and ignores `crit`, so all of that is refused here.
Times and claims are checked here as well: with the `now` that is passed in, and types as they must be.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jose import jwt
from jose.exceptions import JWTError

from mubss.config_crm import CrmOptions
from mubss.core.errors import ConfigError, InputError, MubssError
from mubss.core.roles import ROLES, Principal
from mubss.core.wording import counted

ALGORITHM = "HS256"
LEAST_KEY_OCTETS = 32  # RFC 7518 §3.2
MAX_KEY_OCTETS = 4096
MAX_TOKEN_LETTERS = 4096
MAX_TEXT_LETTERS = 100  # of a subject; of an id less
_KID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_JTI = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DAY_S = 86_400


class TokenRefused(MubssError):
    """A token that isn't taken. Why is for our log; who sent it hears only that it wasn't."""


class Terms(NamedTuple):
    """What tokens must say."""

    issuer: str
    audience: str
    leeway_s: int = 5
    max_s: int = 400 * _DAY_S


class Keys:
    """The keys of a folder by their ids; the last by name signs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.by_id: dict[str, bytes] = {}
        self.load()

    def load(self) -> None:
        """Reads the folder (again); ConfigError names a file that can't be a key, and all stays as it was."""
        files = sorted(self._folder.glob("*.key"))
        if not files:
            raise ConfigError(f"{self._folder}: no KID.key there; `mubss token key` makes one")
        self.by_id = {file.stem: _read_key(file) for file in files}

    @property
    def signing_id(self) -> str:
        """The id of the key that signs."""
        return max(self.by_id)


def _read_key(file: Path) -> bytes:
    if not _KID.fullmatch(file.stem):
        raise ConfigError(f"{file}: expected a name of up to 40 letters, digits, points and dashes")
    try:
        if file.stat().st_mode & 0o077:
            raise ConfigError(f"{file}: others may read it; expected mode 0600: chmod 600 {file}")
        with file.open("rb") as opened:
            key = opened.read(MAX_KEY_OCTETS + 1).strip()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; expected a key") from None
    if not LEAST_KEY_OCTETS <= len(key) <= MAX_KEY_OCTETS:
        raise ConfigError(f"{file}: {counted(len(key), 'octet')}; expected {LEAST_KEY_OCTETS} to {MAX_KEY_OCTETS}")
    if len(set(key)) < LEAST_KEY_OCTETS // 4:
        raise ConfigError(f"{file}: {len(set(key))} different octets; expected a key made by chance")
    return key


def make_key(folder: Path, kid: str) -> Path:
    """Makes a key of 256 bits by chance, which only its owner may read; InputError where there is one of that id."""
    if not _KID.fullmatch(kid):
        raise InputError(f"kid: {kid[:50]!r}; expected up to 40 letters, digits, points and dashes")
    file = folder / f"{kid}.key"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(secrets.token_urlsafe(LEAST_KEY_OCTETS) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
    except FileExistsError:
        raise InputError(f"kid: {kid!r}; expected one that there is no key of") from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; expected a folder to write to") from None
    return file


def issue(keys: Keys, terms: Terms, subject: str, role: str, lasts_s: int, now_s: int) -> tuple[str, Principal]:
    """A token and what it says; InputError for what no token may say."""
    if role not in ROLES:
        raise InputError(f"role: {role[:20]!r}; expected one of {', '.join(ROLES)}")
    if not _is_text(subject):
        raise InputError(f"subject: {subject[:40]!r}; expected 1 to {MAX_TEXT_LETTERS} printable letters")
    if not 0 < lasts_s <= terms.max_s:
        raise InputError(f"lasts: {lasts_s} s; expected 1 to {terms.max_s}")
    claims = {
        "iss": terms.issuer,
        "aud": terms.audience,
        "sub": subject,
        "role": role,
        "iat": now_s,
        "exp": now_s + lasts_s,
        "jti": secrets.token_hex(12),
    }
    kid = keys.signing_id
    token = jwt.encode(claims, keys.by_id[kid].decode("latin-1"), ALGORITHM, headers={"kid": kid})
    return token, Principal(subject, role, str(claims["jti"]), now_s + lasts_s)


def verify(token: str, keys: Mapping[str, bytes], terms: Terms, now_s: int) -> Principal:
    """Whom a token stands for; TokenRefused says what is wrong with it, which its sender must not hear."""
    if len(token) > MAX_TOKEN_LETTERS or not token.isascii():
        raise TokenRefused(f"{counted(len(token), 'letter')}; expected up to {MAX_TOKEN_LETTERS} of ASCII")
    try:
        header = jwt.get_unverified_header(token)
    except JWTError:
        raise TokenRefused("no JWT") from None
    kid = header.get("kid")
    if header.get("alg") != ALGORITHM or "crit" in header:
        raise TokenRefused(f"alg {str(header.get('alg'))[:20]!r}, crit {'crit' in header}; expected {ALGORITHM} alone")
    if not isinstance(kid, str) or kid not in keys:
        raise TokenRefused(f"kid {str(kid)[:40]!r}; expected that of a key")
    try:
        options = {f"verify_{name}": False for name in ("aud", "exp", "iat", "iss", "jti", "nbf", "sub", "at_hash")}
        claims = jwt.decode(token, keys[kid].decode("latin-1"), algorithms=[ALGORITHM], options=options)
    except (JWTError, RecursionError):  # claims nested too deep, by who has the key
        raise TokenRefused(f"the signature isn't that of key {kid}, or no claims stand under it") from None
    return _principal(claims, terms, now_s)


def _principal(claims: Mapping[str, Any], terms: Terms, now_s: int) -> Principal:
    issued_s, expires_s, from_s = claims.get("iat"), claims.get("exp"), claims.get("nbf", 0)
    if not all(type(time) is int for time in (issued_s, expires_s, from_s)):
        raise TokenRefused("iat, exp, nbf: expected whole seconds")
    assert isinstance(issued_s, int) and isinstance(expires_s, int)
    latest_s = now_s + terms.leeway_s
    if issued_s > latest_s or from_s > latest_s:
        raise TokenRefused("iat or nbf lies in the future")
    if expires_s <= now_s - terms.leeway_s:
        raise TokenRefused("it has expired")
    if not 0 < expires_s - issued_s <= terms.max_s:
        raise TokenRefused(f"good for {expires_s - issued_s} s; expected up to {terms.max_s}")
    if claims.get("iss") != terms.issuer or claims.get("aud") not in (terms.audience, [terms.audience]):
        raise TokenRefused("iss or aud; expected our own")
    subject, role, token_id = claims.get("sub"), claims.get("role"), claims.get("jti")
    if role not in ROLES or not isinstance(role, str):
        raise TokenRefused(f"role {str(role)[:20]!r}; expected one of {', '.join(ROLES)}")
    if not isinstance(subject, str) or not _is_text(subject):
        raise TokenRefused("sub: expected a short text")
    if not isinstance(token_id, str) or not _JTI.fullmatch(token_id):
        raise TokenRefused("jti: expected up to 64 letters, digits, points and dashes")
    return Principal(subject, role, token_id, expires_s)


def _is_text(text: str) -> bool:
    return 0 < len(text) <= MAX_TEXT_LETTERS and text.isprintable()


def terms_of(options: CrmOptions) -> Terms:
    """What the configuration wants tokens to say."""
    return Terms(options.issuer, options.audience, options.leeway_seconds, options.max_token_days * _DAY_S)


def check_id(token_id: str) -> None:
    """InputError for what can't be the id of a token."""
    if not _JTI.fullmatch(token_id):
        raise InputError(f"jti: {token_id[:70]!r}; expected up to 64 letters, digits, points and dashes")
