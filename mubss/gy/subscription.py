"""Who a request is about: identities and numbers as clients write them, normalised. Pure."""

from __future__ import annotations

import re

from mubss.gy.ccr import Ccr

_TYPES = {"e164": 0, "imsi": 1, "sip": 2, "nai": 3, "private": 4}
_DIGITS = re.compile(r"[0-9]{5,15}")
_NAI_IMSI = re.compile(r"[0-9]?([0-9]{14,15})")  # TS 23.003 §19.3.2: a digit for the method before the IMSI
MAX_TEXT = 200


def identities(ccr: Ccr, order: tuple[str, ...], default: str) -> list[str]:
    """The identities a request names, the preferred type first; else its User-Name, else the default one.

    A Subscription-Id-Type that lies (a SIP URI under E164, an NAI under IMSI) is read by what it looks like.
    """
    found: dict[str, None] = {}
    for name in order:
        number = _TYPES[name]
        for subscription_type, data in ccr.subscription_ids:
            if subscription_type == number:
                for identity in _readings(data, number):
                    found[identity] = None
    if not found and ccr.user_name:
        for identity in _readings(ccr.user_name, -1):
            found[identity] = None
    if not found and default:
        found[default] = None
    return list(found)


def _readings(text: str, subscription_type: int) -> list[str]:
    text = text[:MAX_TEXT].strip()
    number = digits(text)
    if subscription_type == _TYPES["e164"]:
        return [f"e164:{number}"] if number else []
    if subscription_type == _TYPES["imsi"]:
        return [f"imsi:{number}"] if number else []
    if subscription_type == _TYPES["nai"]:
        match = _NAI_IMSI.fullmatch(text.partition("@")[0])
        return [f"imsi:{match[1]}"] if match else ([f"e164:{number}"] if number else [])
    return [f"e164:{number}", f"imsi:{number}"] if number else []


def digits(text: str) -> str:
    """The digits of '+49…', 'tel:+49…;ext=1', 'sip:+49…@realm;user=phone' or '49…'; "" if it holds no number."""
    for scheme in ("tel:", "sip:", "sips:"):
        if text[: len(scheme)].lower() == scheme:
            text = text[len(scheme) :]
            break
    text = text.partition("@")[0].partition(";")[0].removeprefix("+")
    return text if _DIGITS.fullmatch(text) else ""


def called_number(ccr: Ccr) -> str:
    """The other party's digits, for the destination: who is called, or the first who gets the message."""
    if ccr.called_party_address:
        return _dialled(ccr.called_party_address)
    if ccr.recipient_addresses:
        return _dialled(ccr.recipient_addresses[0])
    return ""


def _dialled(text: str) -> str:
    """Like `digits`, but a short code (112) is a number too."""
    found = digits(text[:MAX_TEXT])
    if found:
        return found
    short = text[:MAX_TEXT].partition(":")[2] or text[:MAX_TEXT]
    short = short.partition("@")[0].partition(";")[0]
    return short if short.isascii() and short.isdigit() and len(short) < 5 else ""
