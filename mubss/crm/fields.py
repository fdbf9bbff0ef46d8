"""Fields of requests: checked, and named where they can't be taken. Pages are told by tokens that only we read."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from mubss.core.errors import InputError
from mubss.core.wording import counted

MAX_PAGE, DEFAULT_PAGE = 500, 100
MAX_TOKEN_LETTERS = 200
_KEY = re.compile(r"[\x21-\x7e]{1,64}")
_SUBSCRIBER = re.compile(r"\+?[0-9]{1,15}|imsi:[0-9]{14,15}|id:[0-9a-z]{1,32}")


def subscriber(request: Any, name: str = "subscriber") -> str:
    """How a subscriber is named."""
    value = str(getattr(request, name))
    if not _SUBSCRIBER.fullmatch(value):
        raise InputError(f'{name}: {value[:40]!r}; expected an MSISDN, "imsi:…" or "id:…"')
    return value


def idempotency_key(request: Any) -> str:
    """What makes a write come once."""
    value = str(request.idempotency_key)
    if not _KEY.fullmatch(value):
        raise InputError(f"idempotency_key: {value[:70]!r}; expected 1 to 64 visible letters of ASCII")
    return value


def text(request: Any, name: str, most: int = 200, least: int = 0) -> str:
    """A short text of one line."""
    value = str(getattr(request, name))
    if not least <= len(value) <= most or not value.isprintable():
        raise InputError(
            f"{name}: {value[:40]!r}, {counted(len(value), 'letter')}; expected {least} to {most} printable ones"
        )
    return value


def page_size(request: Any) -> int:
    """How many are wanted; 0 is the default."""
    size = int(request.page_size)
    if not 0 <= size <= MAX_PAGE:
        raise InputError(f"page_size: {size}; expected 1 to {MAX_PAGE}, or 0 for {DEFAULT_PAGE}")
    return size or DEFAULT_PAGE


def page_after(request: Any) -> str:
    """What the page before ended with; "" for the first page."""
    token = str(request.page_token)
    if not token:
        return ""
    try:
        if len(token) > MAX_TOKEN_LETTERS:
            raise ValueError
        return urlsafe_b64decode(token.encode("ascii")).decode("ascii")
    except ValueError:
        raise InputError(f"page_token: {token[:40]!r}; expected the next_page_token of the page before") from None


def page_number(request: Any) -> int:
    """The same where pages are behind a number; 0 for the first page."""
    after = page_after(request)
    if after and not (after.isdigit() and len(after) < 15):
        raise InputError(
            f"page_token: {str(request.page_token)[:40]!r}; expected the next_page_token of the page before"
        )
    return int(after or 0)


def page_token(after: str) -> str:
    """The token of the page behind something."""
    return urlsafe_b64encode(after.encode()).decode()
