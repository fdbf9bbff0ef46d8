"""Notifications on their way: taken by a lease, said in the subscriber's language, handed to every sink.

A process takes some that are due by moving their time on, and works on them outside any transaction. So when it dies
they are due again: each sink gets a message at least once, always under the same id, and another process never works on
it meanwhile. A sink that took it isn't asked again because another one didn't.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mubss.config_notifications import NotificationOptions
from mubss.core.errors import ConfigError, InputError, LedgerError
from mubss.core.notice_kinds import BILL_READY, EXPIRY_SOON, OPERATOR, TEST
from mubss.core.notice_texts import text_kind, words_of
from mubss.core.settling import VOID
from mubss.core.tariff import Tables
from mubss.core.wording import counted
from mubss.services.lifecycle import find_subscriber
from mubss.services.notice_sinks import Message, NotTaken, Sink, Undeliverable
from mubss.services.notice_texts import Texts
from mubss.storage import bills, subscribers
from mubss.storage import notifications as storage
from mubss.storage.database import Doc, Store
from mubss.storage.notifications import ACKNOWLEDGED, DEAD, DROPPED, NEW, SENT

log = logging.getLogger(__name__)

PAGE = 50
DAY_S = 86_400
_MAX_DOUBLINGS = 40
_MAX_WHY_LETTERS = 300
_ID = re.compile(r"[0-9a-f]{32}")
_MONEY = 10**6


class Dropped(Exception):
    """There is nothing to tell any more, and why."""


class Delivered(NamedTuple):
    """What became of those that were due."""

    sent: int = 0
    waiting: int = 0  # for another try
    dead: int = 0
    dropped: int = 0

    def plus(self, other: Delivered) -> Delivered:
        """Both together."""
        return Delivered(*(one + more for one, more in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True)
class Post:
    """What delivery works with."""

    store: Store
    tables: Callable[[], Tables]
    texts: Texts
    sinks: Sequence[Sink]
    options: NotificationOptions
    clock_s: Callable[[], int]


def deliver(post: Post, is_stopping: Callable[[], bool] = lambda: False) -> Delivered:
    """Delivers what is due, until nothing is; StoreError ends it, and what was taken becomes due again."""
    total = Delivered()
    while not is_stopping():
        taken = take(post.store, post.clock_s(), post.options.lease_seconds)
        if not taken:
            break
        lease_s = taken[0]["due_s"]
        for doc in taken:
            if is_stopping() or post.clock_s() >= lease_s:
                storage.change(post.store, [doc["_id"]], lambda stored, doc=doc: _given_back(stored, doc))  # type: ignore[misc]
                continue
            total = total.plus(_deliver_one(post, doc))
    return total


def take(store: Store, now_s: int, lease_s: int) -> list[Doc]:
    """Takes some that are due, for so long: nobody else's until then, whatever becomes of this process."""

    def decide(doc: Doc) -> Doc:
        if doc["state"] != NEW or doc["due_s"] > now_s:
            return doc  # another process came first
        return {**doc, "version": doc["version"] + 1, "tries": doc["tries"] + 1, "due_s": now_s + lease_s}

    ids = storage.due(store, now_s, PAGE)
    return storage.change(store, ids, decide) if ids else []


def _given_back(stored: Doc, taken: Doc) -> Doc:
    """One that wasn't tried after all is due at once, and its try doesn't count."""
    if stored["version"] != taken["version"]:
        return stored
    return {**stored, "version": stored["version"] + 1, "tries": stored["tries"] - 1, "due_s": stored["made_s"]}


def _deliver_one(post: Post, doc: Doc) -> Delivered:
    done: list[str] = list(doc.get("done", ()))
    why, hopeless = "", False
    try:
        message = message_of(post, doc)
        for sink in post.sinks:
            if sink.name not in done:
                try:
                    sink.send(message, post.clock_s())
                    done.append(sink.name)
                except (NotTaken, Undeliverable) as error:
                    why, hopeless = str(error), hopeless or isinstance(error, Undeliverable)
    except Dropped as reason:
        return _settle(post, doc, done, DROPPED, str(reason))
    except (
        ConfigError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        OSError,
    ) as fault:  # what it says can't be said
        why, hopeless = f"its text can't be made: {type(fault).__name__}: {fault}", True
        log.error("notification %s: %s", doc["_id"], why)
    if not why:
        return _settle(post, doc, done, SENT, "")
    if hopeless or doc["tries"] >= post.options.tries:
        log.warning(
            "notification %s, %s, is dead after %s: %s",
            doc["_id"],
            doc["kind"],
            counted(doc["tries"], "try", "tries"),
            why,
        )
        return _settle(post, doc, done, DEAD, why)
    return _settle(post, doc, done, NEW, why)


def _settle(post: Post, doc: Doc, done: list[str], state: str, why: str) -> Delivered:
    """Writes down what came of a try, unless its lease ran out and another process has taken it since."""
    now_s = post.clock_s()
    due_s = now_s + backoff_s(post.options, doc["tries"]) if state == NEW else now_s

    def decide(stored: Doc) -> Doc:
        if stored["version"] != doc["version"]:
            return stored
        after = {**stored, "version": stored["version"] + 1, "state": state, "due_s": due_s, "done": done}
        after.pop("why", None)
        return {**after, "why": why[:_MAX_WHY_LETTERS]} if why else after

    storage.change(post.store, [doc["_id"]], decide)
    return Delivered(state == SENT, state == NEW, state == DEAD, state == DROPPED)


def backoff_s(options: NotificationOptions, tries: int) -> int:
    """How long the next try waits after so many: twice as long each time, up to a limit."""
    return min(options.retry_limit_seconds, options.retry_seconds << min(max(tries, 1) - 1, _MAX_DOUBLINGS))


def message_of(post: Post, doc: Doc) -> Message:
    """A notification in its subscriber's language; Dropped where there is nothing to tell any more."""
    if doc["subscriber"] == OPERATOR:
        person: Doc | None = {"msisdn": "", "email": post.options.operator_to}
    else:
        person = subscribers.get(post.store, doc["subscriber"])
    if person is None:
        raise Dropped("there is no such subscriber any more")
    values: dict[str, Any] = dict(doc["values"])
    if doc["kind"] == BILL_READY:
        values |= _of_bill(post.store, str(values["bill"]))
    if doc["kind"] == EXPIRY_SOON:
        values |= _of_bucket(post.store, person, str(values["bucket"]), post.clock_s())
    words = {**words_of(values, post.tables()), "msisdn": str(person["msisdn"])}
    kind = text_kind(doc["kind"], values)
    language, text = post.texts.find(kind, str(person.get("language") or doc["language"]))
    subject, body = text.filled(words)
    return Message(
        doc["_id"],
        doc["kind"],
        doc["subscriber"],
        str(person["msisdn"]),
        str(person.get("email") or ""),
        language,
        subject,
        body,
        values,
        doc["made_s"],
    )


def _of_bill(store: Store, bill_id: str) -> dict[str, Any]:
    bill = bills.get_many(store, [bill_id]).get(bill_id)
    if bill is None or bill["state"] == VOID:
        raise Dropped("there is no such bill, or it was taken back")
    due_micros = bill["due"] * _MONEY // 10 ** bill["decimals"]
    known = {name: bill[name] for name in ("number", "due_day", "period", "currency")}
    return {**known, "due_micros": due_micros}


def _of_bucket(store: Store, person: Doc, bucket_id: str, now_s: int) -> dict[str, Any]:
    """What is left of a bundle that was bought long ago."""
    account = subscribers.get_account(store, person["account"])
    bucket = next((one for one in (account or {}).get("buckets", ()) if one["id"] == bucket_id), None)
    if bucket is None or bucket["left"] <= 0:
        raise Dropped("nothing is left of the bundle")
    if bucket.get("renews"):
        raise Dropped("the bundle renews")
    if bucket["until_s"] <= now_s:
        raise Dropped("the bundle is over")
    return {"left_units": bucket["left"], "until_s": bucket["until_s"]}


def retry(store: Store, ids: Sequence[str], now_s: int) -> list[Doc]:
    """Dead ones are due again, with all their tries; InputError names the first that isn't there or isn't dead."""
    return _change_dead(
        store, ids, lambda doc: {**doc, "version": doc["version"] + 1, "state": NEW, "tries": 0, "due_s": now_s}
    )


def acknowledge(store: Store, ids: Sequence[str], now_s: int) -> list[Doc]:
    """Dead ones are no concern any more."""
    return _change_dead(
        store, ids, lambda doc: {**doc, "version": doc["version"] + 1, "state": ACKNOWLEDGED, "due_s": now_s}
    )


def _change_dead(store: Store, ids: Sequence[str], after: Callable[[Doc], Doc]) -> list[Doc]:
    wanted = list(dict.fromkeys(ids))

    def decide(doc: Doc) -> Doc:
        if doc["state"] != DEAD:
            raise LedgerError(f"id: {doc['_id']} is {doc['state']}; expected a dead one")
        return after(doc)

    there = storage.existing(store, [one for one in wanted if _ID.fullmatch(one)])
    for one in wanted:
        if one not in there:
            raise InputError(
                f"id: {one[:40]!r}; expected that of a notification; `mubss notifications dead` shows them"
            )
    return storage.change(store, wanted, decide)


def send_test(post: Post, identity: str, before: Callable[[Doc], None] = lambda person: None) -> list[tuple[str, str]]:
    """Sends a test message to a subscriber by each sink, at once; sink and what went wrong, "" if nothing.

    `before` is told whom it goes to, once there is a message and before any sink has it.
    """
    person = find_subscriber(post.store, identity)
    now_s = post.clock_s()
    doc = storage.make(TEST, person["_id"], "", f"test {now_s}", {}, now_s)
    message = message_of(post, doc)
    before(person)
    found = []
    for sink in post.sinks:
        try:
            sink.send(message, now_s)
            found.append((sink.name, ""))
        except (NotTaken, Undeliverable) as error:
            found.append((sink.name, str(error)))
    return found


def forget_old(store: Store, options: NotificationOptions, now_s: int) -> None:
    """Removes those that were settled long ago; dead ones stay until somebody looks at them."""
    for state in (SENT, DROPPED, ACKNOWLEDGED):
        while storage.forget(store, state, now_s - options.keep_days * DAY_S, PAGE) == PAGE:
            pass
