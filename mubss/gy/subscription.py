"""Who a request is about: identities and numbers as clients write them, normalised. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from mubss.gy.ccr import Ccr

_TYPES = {"e164": 0, "imsi": 1, "sip": 2, "nai": 3, "private": 4}
EVERY_TYPE = tuple(_TYPES)
_PLAIN = {0: "e164:", 1: "imsi:"}
_DIGITS = re.compile(r"[0-9]{5,15}")
_SHORT_CODE = re.compile(r"[0-9]{1,4}")
_NAI_IMSI = re.compile(r"[0-9]?([0-9]{15})|([0-9]{14})")  # TS 23.003 §19.3.2: a digit for the method, the IMSI
_SEPARATORS = re.compile(r"[-.() ]")  # RFC 3966 §5.1.1: for the eye only
MAX_TEXT = 200


def identities(ccr: Ccr, order: tuple[str, ...], default: str) -> list[str]:
    """The identities a request names, the preferred type first; else its User-Name, else the default one.

    A Subscription-Id-Type that lies (a SIP URI under E164, an NAI under IMSI) is read by what it looks like.
    """
    ranks = _ranks(order)
    named = ccr.subscription_ids
    if len(named) > 1:
        named = sorted(named, key=lambda pair: ranks.get(pair[0], 0))
    found: list[str] = []
    for subscription_type, data in named:
        if subscription_type not in ranks:
            continue
        found += [identity for identity in _readings(data, subscription_type) if identity not in found]
    if not found and ccr.user_name:
        found = _readings(ccr.user_name, -1)
    return found or ([default] if default else [])


@lru_cache(maxsize=64)
def _ranks(order: tuple[str, ...]) -> dict[int, int]:
    return {_TYPES[name]: rank for rank, name in enumerate(order)}


def _readings(text: str, subscription_type: int) -> list[str]:
    if subscription_type in _PLAIN and 5 <= len(text) <= 15 and text.isascii() and text.isdigit():
        return [_PLAIN[subscription_type] + text]  # nearly always
    text = text[:MAX_TEXT].strip()
    if subscription_type == _TYPES["e164"]:
        number = digits(text)
        return [f"e164:{number}"] if number else []
    imsi = _imsi(text)
    if subscription_type == _TYPES["imsi"]:
        return [f"imsi:{imsi}"] if imsi else []
    number = digits(text)
    if subscription_type == _TYPES["nai"] and imsi:
        return [f"imsi:{imsi}"]
    found = [f"e164:{number}"] if number else []
    if subscription_type != _TYPES["nai"] and (imsi or number):
        found.append(f"imsi:{imsi or number}")
    return found


def _imsi(text: str) -> str:
    """The IMSI that '001010123456789', '0001010123456789@nai.epc…' or 'sip:001010123456789@ims…' names, or ""."""
    match = _NAI_IMSI.fullmatch(_user(text))
    return (match[1] or match[2]) if match else ""


def _user(text: str) -> str:
    """What stands between the scheme, if there is one, and the host or parameters."""
    for scheme in ("tel:", "sip:", "sips:"):
        if text[: len(scheme)].lower() == scheme:
            text = text[len(scheme) :]
            break
    return text.partition("@")[0].partition(";")[0]


def digits(text: str) -> str:
    """The digits of '+49…', 'tel:+49-…;ext=1', 'sip:+49…@realm;user=phone' or '49…'; "" if it holds no number."""
    user = _user(text)
    if user.startswith("+") or text[:4].lower() == "tel:":
        user = _SEPARATORS.sub("", user).removeprefix("+")
    return user if _DIGITS.fullmatch(user) else ""


def called_number(ccr: Ccr) -> str:
    """The other party's digits, for the destination: who is called, or the first who gets the message."""
    if ccr.called_party_address:
        return _dialled(ccr.called_party_address)
    if ccr.recipient_addresses:
        return _dialled(ccr.recipient_addresses[0])
    return ""


def _dialled(text: str) -> str:
    """Like `digits`, but a short code (112) is a number too."""
    text = text[:MAX_TEXT]
    short = _user(text)
    return digits(text) or (short if _SHORT_CODE.fullmatch(short) else "")
