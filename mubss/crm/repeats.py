"""Writes that change what they are refused for, as a bill's state: two of one call at once are told the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import Message

from mubss.core.errors import InputError
from mubss.crm.once import Once

M = TypeVar("M", bound=Message)


def once_or_as_told(once: Once[M], work: Callable[[], M]) -> M:
    """Does a write once. What is refused because the same call came first meanwhile is answered as that was."""
    try:
        return once.do(work)
    except InputError as error:
        refusal = error

    def refuse() -> M:
        raise refusal

    return once.do(refuse)
