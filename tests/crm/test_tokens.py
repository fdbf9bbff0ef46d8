"""Tokens: what is taken, and every forgery that isn't."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubss.core.errors import ConfigError, InputError
from mubss.core.roles import ADMIN, AGENT, ROLES, VIEWER, Principal, has_role
from mubss.services.tokens import Keys, Terms, TokenRefused, issue, make_key, verify

NOW = 1_800_000_000
TERMS = Terms("mubss", "mubss-crm", leeway_s=5, max_s=86_400)
KEY = b"0123456789abcdefghijklmnopqrstuv"
KEYS = {"k1": KEY, "k2": KEY[::-1]}
GOOD = {
    "iss": "mubss",
    "aud": "mubss-crm",
    "sub": "clerk",
    "role": "agent",
    "iat": NOW,
    "exp": NOW + 60,
    "jti": "a1",
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(claims: Any = None, header: Any = None, key: bytes = KEY, digest: str = "sha256") -> str:
    """A token made by hand, signed with whatever key."""
    head = {"alg": "HS256", "typ": "JWT", "kid": "k1"} if header is None else header
    body = f"{b64(json.dumps(head).encode())}.{b64(json.dumps(GOOD if claims is None else claims).encode())}"
    return f"{body}.{b64(hmac.new(key, body.encode(), digest).digest())}"


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def test_a_good_one_says_who_it_is() -> None:
    assert verify(forged(), KEYS, TERMS, NOW) == Principal("clerk", AGENT, "a1", NOW + 60)
    assert verify(forged({**GOOD, "aud": ["mubss-crm"], "nbf": NOW}), KEYS, TERMS, NOW).subject == "clerk"
    assert verify(forged(header={"alg": "HS256", "kid": "k2"}, key=KEYS["k2"]), KEYS, TERMS, NOW).subject == "clerk"
    assert verify(forged(), KEYS, TERMS, NOW - 5) and verify(forged(), KEYS, TERMS, NOW + 64)


HEADERS: dict[str, Any] = {
    "none": {"alg": "none", "kid": "k1"},
    "None": {"alg": "None", "kid": "k1"},
    "RS256 with the key as HMAC": {"alg": "RS256", "kid": "k1"},
    "HS512": {"alg": "HS512", "kid": "k1"},
    "no alg": {"kid": "k1"},
    "crit": {"alg": "HS256", "kid": "k1", "crit": ["exp"]},
    "an empty crit": {"alg": "HS256", "kid": "k1", "crit": []},
    "no kid": {"alg": "HS256"},
    "an unknown kid": {"alg": "HS256", "kid": "k9"},
    "a path as kid": {"alg": "HS256", "kid": "../../etc/passwd"},
    "a number as kid": {"alg": "HS256", "kid": 1},
    "a list as kid": {"alg": "HS256", "kid": ["k1"]},
    "a list": ["HS256"],
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_arent_taken(name: str) -> None:
    with pytest.raises(TokenRefused):
        verify(forged(header=HEADERS[name]), KEYS, TERMS, NOW)


CLAIMS: dict[str, Any] = {
    **{f"no {name}": without(name) for name in GOOD},
    "expired": {**GOOD, "iat": NOW - 99, "exp": NOW - 5},
    "another issuer": {**GOOD, "iss": "mubs"},
    "an issuer list": {**GOOD, "iss": ["mubss"]},
    "another audience": {**GOOD, "aud": "mubss"},
    "an audience list without us": {**GOOD, "aud": ["other"]},
    "an audience list with others": {**GOOD, "aud": ["mubss-crm", "other"]},
    "an empty audience list": {**GOOD, "aud": []},
    "issued in the future": {**GOOD, "iat": NOW + 6},
    "not before the future": {**GOOD, "nbf": NOW + 6},
    "a text as exp": {**GOOD, "exp": str(NOW + 60)},
    "a float as exp": {**GOOD, "exp": NOW + 60.5},
    "true as iat": {**GOOD, "iat": True},
    "infinity": {**GOOD, "exp": float("inf")},
    "null as nbf": {**GOOD, "nbf": None},
    "too long a life": {**GOOD, "exp": NOW + 86_401},
    "expires before its issue": {**GOOD, "iat": NOW + 5, "exp": NOW + 4},
    "another role": {**GOOD, "role": "root"},
    "a list of roles": {**GOOD, "role": ["admin"]},
    "an empty subject": {**GOOD, "sub": ""},
    "a subject with a line": {**GOOD, "sub": "a\nb"},
    "a number as subject": {**GOOD, "sub": 7},
    "a long subject": {**GOOD, "sub": "a" * 101},
    "a path as jti": {**GOOD, "jti": "a/b"},
    "claims that are a list": [1],
    "claims that are a text": "x",
}


@pytest.mark.parametrize("name", CLAIMS)
def test_claims_that_arent_taken(name: str) -> None:
    with pytest.raises(TokenRefused):
        verify(forged(CLAIMS[name]), KEYS, TERMS, NOW)


@pytest.mark.parametrize("key", [b"", b"k1", KEY[:-1], KEYS["k2"], hashlib.sha256(KEY).digest()])
def test_other_keys_arent_taken(key: bytes) -> None:
    with pytest.raises(TokenRefused):
        verify(forged(key=key), KEYS, TERMS, NOW)


def test_a_token_that_was_changed_isnt_taken() -> None:
    head, body, signature = forged().split(".")
    stronger = b64(json.dumps({**GOOD, "role": "admin"}).encode())
    for token in (f"{head}.{stronger}.{signature}", f"{head}.{body}.", f"{head}.{body}", f"{head}.{body}.{signature}."):
        with pytest.raises(TokenRefused):
            verify(token, KEYS, TERMS, NOW)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "x" * 4097, forged({**GOOD, "x": "y" * 8192})])
def test_what_is_no_token_isnt_taken(token: str) -> None:
    with pytest.raises(TokenRefused):
        verify(token, KEYS, TERMS, NOW)


@given(st.text(max_size=200) | st.builds(lambda a, b, c: f"{a}.{b}.{c}", *[st.text("abcXYZ019_-", max_size=60)] * 3))
def test_nothing_else_comes_of_noise(token: str) -> None:
    with pytest.raises(TokenRefused):
        verify(token, KEYS, TERMS, NOW)


def test_roles_are_a_ladder() -> None:
    for has, role in enumerate(ROLES):
        assert [has_role(Principal("x", role, "j", 0), least) for least in ROLES] == [has >= at for at in range(4)]


def test_keys_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="`mubss token key` makes one"):
        Keys(tmp_path)
    make_key(tmp_path, "2026-01")
    first = Keys(tmp_path)
    old, _ = issue(first, TERMS, "clerk", VIEWER, 60, NOW)
    make_key(tmp_path, "2026-02")
    keys = Keys(tmp_path)
    assert keys.signing_id == "2026-02"
    new, principal = issue(keys, TERMS, "boss", ADMIN, 60, NOW)
    assert verify(new, keys.by_id, TERMS, NOW) == principal
    assert verify(old, keys.by_id, TERMS, NOW).subject == "clerk"
    with pytest.raises(InputError, match="expected one that there is no key of"):
        make_key(tmp_path, "2026-02")
    with pytest.raises(InputError, match="kid: "):
        make_key(tmp_path, "../x")


@pytest.mark.parametrize(
    ("content", "mode", "text"),
    [
        (b"", 0o600, "0 octets; expected 32"),
        (KEY[:31], 0o600, "31 octets; expected 32"),
        (b"a" * 40, 0o600, "made by chance"),
        (b"ab" * 3000, 0o600, "expected 32 to 4096"),
        (KEY, 0o640, "others may read it"),
        (KEY, 0o604, "others may read it"),
    ],
)
def test_files_that_are_no_keys(tmp_path: Path, content: bytes, mode: int, text: str) -> None:
    file = tmp_path / "k.key"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(ConfigError, match=text):
        Keys(tmp_path)


@pytest.mark.parametrize(
    ("subject", "role", "lasts_s", "text"),
    [
        ("", AGENT, 60, "subject: "),
        ("x", "root", 60, "role: 'root'"),
        ("x", AGENT, 0, "lasts: 0"),
        ("x", AGENT, 86_401, "lasts"),
    ],
)
def test_what_no_token_may_say(tmp_path: Path, subject: str, role: str, lasts_s: int, text: str) -> None:
    make_key(tmp_path, "k")
    with pytest.raises(InputError, match=text):
        issue(Keys(tmp_path), TERMS, subject, role, lasts_s, NOW)
