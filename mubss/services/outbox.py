"""The outbox at work: entries are taken for the connections of one process, and closed by what the clients answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

from mubss.core import outbox
from mubss.core.model import Account
from mubss.storage import outbox as storage
from mubss.storage.database import Doc, Store

PAGE = 200
MAX_HOSTS = 100  # of one query
ANSWER_MS = 5_000  # how long the first try waits for its answer; the second 15 s, the third 45 s
KEPT_S = 86_400


def take(store: Store, hosts: Sequence[str], now_ms: int, new_end_to_end: Callable[[], int]) -> list[tuple[Doc, bool]]:
    """Takes up to PAGE due entries for these hosts: those to be sent now, each with whether it is a repeat.

    They are another's no more until their answer is overdue, whatever becomes of this process.
    """
    ids = [entry["_id"] for entry in storage.due(store, hosts[:MAX_HOSTS], now_ms, PAGE)]
    if not ids:
        return []
    taken: dict[str, tuple[Doc, bool]] = {}

    def decide(entry: Doc, account: Doc | None) -> Doc:
        taken.pop(entry["_id"], None)  # the transaction is tried again
        if entry.get("due_ms", now_ms + 1) > now_ms:
            return entry  # another process came first
        end_to_end = new_end_to_end()
        after, sends = outbox.take(entry, cast("Account | None", account), now_ms, ANSWER_MS, end_to_end)
        if sends:
            taken[entry["_id"]] = after, outbox.is_repeat(after, end_to_end)
        return after

    storage.change(store, ids, decide)
    return list(taken.values())


def close(store: Store, answers: Mapping[str, tuple[int, int]]) -> None:
    """Writes down what clients answered: entry → End-to-End Identifier and Result-Code."""
    storage.change(store, list(answers), lambda entry, _: outbox.answered(entry, *answers[entry["_id"]]))


def forget_old(store: Store, now_s: int) -> None:
    """Removes entries of more than a day ago."""
    while storage.forget(store, now_s - KEPT_S, PAGE) == PAGE:
        pass
