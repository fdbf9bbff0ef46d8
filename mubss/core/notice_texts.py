"""The texts of notifications: what may stand in them, and how they are filled. Pure.

A text has fields like {balance}, and nothing else that means anything: no expressions, no attributes. What is put in is
never read as a text again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from mubss.core.money import format_amount
from mubss.core.notice_kinds import (
    BILL_READY,
    BUNDLE_USED,
    DUNNING,
    EXPIRY_SOON,
    KINDS,
    LICENCE,
    LOW_BALANCE,
    SESSION_REFUSED,
    SUSPENDED,
    TEST,
    TOP_UP,
)
from mubss.core.tariff import Tables, Unit

BUNDLE_USED_UP = "bundle_used_up"  # the text for a bundle of which nothing is left
MAX_SUBJECT_LETTERS, MAX_TEXT_LETTERS = 200, 2000
_FIELD = re.compile(r"\{([a-z_]+)\}")
_BRACE = re.compile(r"[{}]")
_BUNDLE = ("bundle", "units", "left", "until")
_BILL = ("number", "due", "due_day", "period")
_DUNNING = ("number", "open", "due_day", "days", "step", "fee")

# Kind of text → what may stand in it, besides {msisdn}.
FIELDS: dict[str, tuple[str, ...]] = {
    LOW_BALANCE: ("balance",),
    TOP_UP: ("amount", "balance"),
    BUNDLE_USED: (*_BUNDLE, "percent"),
    BUNDLE_USED_UP: (*_BUNDLE, "percent"),
    EXPIRY_SOON: _BUNDLE,
    BILL_READY: _BILL,
    **dict.fromkeys(DUNNING, _DUNNING),
    SUSPENDED: (),
    SESSION_REFUSED: ("balance",),
    LICENCE: ("serial", "state", "days", "end"),
    TEST: (),
}
assert set(KINDS) <= FIELDS.keys()


class Text(NamedTuple):
    """What a message says, with fields to fill."""

    subject: str
    text: str

    def filled(self, words: Mapping[str, str]) -> Text:
        """With words in place of the fields; KeyError names one that there is no word for."""
        return Text(*(_FIELD.sub(lambda field: words[field[1]], one) for one in self))


def faults_of(kind: str, entry: Any) -> Iterator[str]:
    """What is wrong with a table of a file of texts, each naming the key and what was expected."""
    if kind not in FIELDS:
        yield f"[{kind[:40]}]: no such kind; expected one of {', '.join(FIELDS)}"
        return
    if not isinstance(entry, dict) or entry.keys() != {"subject", "text"}:
        yield f"[{kind}]: expected subject and text, and nothing else"
        return
    for name, limit in (("subject", MAX_SUBJECT_LETTERS), ("text", MAX_TEXT_LETTERS)):
        value = entry[name]
        if not isinstance(value, str) or not 0 < len(value) <= limit or not value.replace("\n", "").isprintable():
            yield f"[{kind}] {name}: expected up to {limit} printable letters"
            continue
        if name == "subject" and "\n" in value:
            yield f"[{kind}] subject: expected one line"
        known = ("msisdn", *FIELDS[kind])
        for field in _FIELD.findall(value):
            if field not in known:
                yield f"[{kind}] {name}: {{{field}}}; expected one of {', '.join(f'{{{one}}}' for one in known)}"
        if _BRACE.search(_FIELD.sub("", value)):
            yield f"[{kind}] {name}: a brace that is no field's; expected fields like {{msisdn}} alone"


def text_kind(kind: str, values: Mapping[str, Any]) -> str:
    """Which text a notification has: a bundle that is used up has one of its own."""
    return BUNDLE_USED_UP if kind == BUNDLE_USED and values.get("percent") == 100 else kind


def words_of(values: Mapping[str, Any], tables: Tables) -> dict[str, str]:
    """What a notification's values are in words: money in its currency, units by their service, times by the operator.

    The unit at the end of a name goes: `balance_micros` is {balance}.
    """
    code = str(values.get("currency", ""))
    currency = tables.currencies.get(code)
    service = tables.services.get(str(values.get("service", "")))
    unit = service.unit if service is not None else Unit.EVENTS
    found: dict[str, str] = {}
    for name, value in values.items():
        if name.endswith("_micros"):
            amount = format_amount(value, currency.decimals if currency is not None else 2)
            found[name.removesuffix("_micros")] = f"{amount} {code}".rstrip()
        elif name == "open":  # of a bill, in minor units
            found[name] = f"{format_amount(value * 10**6 // 10 ** values['decimals'], values['decimals'])} {code}"
        elif name.endswith("_s"):
            at = datetime.fromtimestamp(value, tables.calendar.zone)
            found[name.removesuffix("_s")] = at.strftime("%Y-%m-%d %H:%M")
        elif name == "units" or name.endswith("_units"):
            found[name.removesuffix("_units")] = units_text(value, unit)
        else:
            found[name] = str(value)
    return found


def units_text(units: int, unit: Unit) -> str:
    """Units as people say them: `1.2 GB`, `90 s`, `5 min`; never more than there are."""
    if unit is Unit.OCTETS:
        for size, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
            if units >= size:
                tenths = units * 10 // size
                return f"{tenths // 10}.{tenths % 10} {name}" if tenths % 10 else f"{tenths // 10} {name}"
        return f"{units} B"
    if unit is Unit.SECONDS:
        return f"{units // 60} min" if units >= 60 and units % 60 == 0 else f"{units} s"
    return str(units)
