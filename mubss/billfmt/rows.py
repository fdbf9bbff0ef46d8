"""The rows of a bill's history: itemised usage, or each movement of a balance, as texts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

from mubss.billfmt.locales import Language
from mubss.billfmt.texts import Texts, filled
from mubss.core.money import Rounding, divide

Doc = Mapping[str, Any]
FINER = 2  # more decimals than the currency has, where single amounts need them


class Entry(NamedTuple):
    """One record of usage."""

    day: str
    time: str
    party: str  # the number called, or the access point
    who: str  # of several subscribers of an account
    quantity: str
    free: str
    amount: str
    note: str


class Group(NamedTuple):
    """All of one service."""

    name: str
    title: str
    unit: str  # "octets", "seconds", "events"
    records: int
    entries: list[Entry]
    has_free: bool
    has_party: bool
    has_who: bool


class Move(NamedTuple):
    """One movement of a balance."""

    day: str
    time: str
    what: str
    amount: str
    balance: str
    is_credit: bool


class History(NamedTuple):
    """What is listed of all there is."""

    groups: list[Group]
    moves: list[Move]
    shown: int
    all: int


class Writer(NamedTuple):
    """How rows are written."""

    language: Language
    texts: Texts
    zone: tzinfo
    currency: str
    decimals: int
    limit: int
    facts: Doc

    def service(self, code: str) -> tuple[str, str]:
        """A service's name and unit."""
        name, unit = self.facts["services"].get(code, (code, ""))
        return name, unit

    def places(self, amounts: Iterable[int]) -> int:
        """The decimals that single amounts are shown with: the currency's, where that is enough."""
        scale = 10 ** (6 - self.decimals)
        return self.decimals if all(one % scale == 0 for one in amounts) else min(6, self.decimals + FINER)

    def micros(self, value: int, places: int) -> str:
        """An amount in micros."""
        return self.language.money(divide(value, 10 ** (6 - places), Rounding.HALF_UP), self.currency, places)


def itemised(writer: Writer, records: Sequence[Doc], order: Sequence[str]) -> History:
    """Usage by service, each in order of time; of more than the limit the first ones."""
    by_service: dict[str, list[Doc]] = {code: [] for code in order}
    for one in records:
        by_service.setdefault(one["service"], []).append(one)
    places = writer.places(one["charge_micros"] for one in records)
    left, groups = writer.limit, []
    for code, found in by_service.items():
        if not found:
            continue
        found.sort(key=lambda one: (one["from_s"], one["sequence"]))
        name, unit = writer.service(code)
        entries = [_entry(writer, one, unit, places) for one in found[:left]]
        left -= len(entries)
        count = writer.language.number(len(found))
        title = filled(writer.texts["calls_of"], name=name, count=count)
        flags = (any(entry[at] for entry in entries) for at in (5, 2, 3))
        groups.append(Group(name, title, unit, len(found), entries, *flags))
    return History([one for one in groups if one.entries], [], writer.limit - left, len(records))


def _entry(writer: Writer, one: Doc, unit: str, places: int) -> Entry:
    language = writer.language
    day, time = language.at(one["from_s"], writer.zone)
    free = one["free_units"] + one.get("bundle_units", 0)
    return Entry(
        day,
        time,
        party_of(one),
        writer.facts.get("members", {}).get(one.get("member", ""), ""),
        language.units(one["units"], unit),
        language.units(free, unit) if free else "",
        writer.micros(one["charge_micros"], places),
        writer.texts["corrected"] if "corrects" in one else "",
    )


def party_of(one: Doc) -> str:
    """Whom usage was with: "+49170…" for numbers in international form, short ones as they were dialled."""
    called = str(one.get("called") or "")
    if called:
        return f"+{called}" if called.isdigit() and len(called) > 7 else called
    return str(one.get("apn") or "")


def movements(writer: Writer, postings: Sequence[Doc]) -> History:
    """Each movement of the balance, in order; of more than the limit the last ones."""
    moved = [one for one in postings if one["amount_micros"]]
    places = writer.places(value for one in moved for value in (one["amount_micros"], one["balance_micros"]))
    shown = moved[max(0, len(moved) - writer.limit) :]
    return History([], [_move(writer, one, places) for one in shown], len(shown), len(moved))


def _move(writer: Writer, one: Doc, places: int) -> Move:
    day, time = writer.language.at(one["at_ms"] // 1000, writer.zone)
    amount = writer.micros(one["amount_micros"], places)
    balance = writer.micros(one["balance_micros"], places)
    return Move(day, time, _cause(writer, one), amount, balance, one["amount_micros"] > 0)


def _cause(writer: Writer, one: Doc) -> str:
    cause = one["cause"]
    kind, reference = cause["kind"], str(cause.get("reference") or "")
    if one.get("service"):
        name = writer.service(one["service"])[0]
    elif cause.get("bundle"):
        name = writer.facts["bundles"].get(cause["bundle"], cause["bundle"])
    else:
        name = ""
    pattern = writer.texts["causes"].get(kind)
    said = filled(pattern, name=name) if pattern is not None else f"{kind} {name}".strip()
    return f"{said} · {reference}" if reference else said
