"""Tokens at the door of the management interface: JWTs, whole ones and ones signed with the right key."""

from __future__ import annotations

import base64
import hmac
import json
from hashlib import sha256

from mubss.core.roles import ROLES
from mubss.services.tokens import Terms, TokenRefused, verify

NOW_S = 1_800_000_000
KEYS = {"k1": b"0123456789abcdef0123456789abcdef"}
TERMS = Terms("mubss", "mubss-crm")
WHOLE, SIGNED = 0, 1  # a token as it comes; header and claims with "." between, which get the right signature
CLAIMS = {
    "iss": "mubss",
    "aud": "mubss-crm",
    "sub": "clerk",
    "role": "agent",
    "iat": NOW_S,
    "exp": NOW_S + 99,
    "jti": "a1",
}


def _part(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _signed(header: bytes, claims: bytes) -> bytes:
    text = _part(header) + b"." + _part(claims)
    return text + b"." + _part(hmac.new(KEYS["k1"], text, sha256).digest())


def seeds() -> dict[str, bytes]:
    """What the first octet says; then that."""
    header, claims = json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k1"}).encode(), json.dumps(CLAIMS).encode()
    other = json.dumps({**CLAIMS, "aud": ["mubss-crm"], "nbf": NOW_S}).encode()
    return {
        "whole": bytes([WHOLE]) + _signed(header, claims),
        "none": bytes([WHOLE]) + _part(b'{"alg":"none","kid":"k1"}') + b"." + _part(claims) + b".",
        "other": bytes([WHOLE]) + _part(b'{"alg":"RS256","kid":"k1"}') + b"." + _part(claims) + b".eA",
        "jwe": bytes([WHOLE]) + b"a.b.c.d.e",
        "signed": bytes([SIGNED]) + header + b"\n" + claims,
        "list": bytes([SIGNED]) + header + b"\n" + other,
        "crit": bytes([SIGNED]) + b'{"alg":"HS256","kid":"k1","crit":["b64"],"b64":false}\n' + claims,
        "deep": bytes([WHOLE]) + _part(b"[" * 2900) + b".e30.e30",
        "digits": bytes([SIGNED]) + header + b'\n{"iat":' + b"9" * 2000 + b"}",
        "no-object": bytes([SIGNED]) + b"[1]\n[2]",
    }


def one_input(data: bytes) -> None:
    """TokenRefused, or somebody whose claims are as we want them; without the key nobody."""
    kind, rest = (data[0] % 2, data[1:]) if data else (WHOLE, b"")
    if kind == SIGNED:
        header, _, claims = rest.partition(b"\n")
        token = _signed(header, claims).decode()
    else:
        token = rest.decode("latin-1")
    try:
        who = verify(token, KEYS, TERMS, NOW_S)
    except TokenRefused as refused:
        assert len(str(refused)) < 300
        return
    assert who.role in ROLES and 0 < len(who.subject) <= 100 and who.expires_s > NOW_S - TERMS.leeway_s
    assert kind == SIGNED or token == seeds()["whole"][1:].decode(), "a token that nobody signed"
