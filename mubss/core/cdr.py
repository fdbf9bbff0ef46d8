"""Call detail records: what one says, its numbers normalised, and which can be taken. Pure.

Fields are those of `Record` in proto/cdr.proto, which tells their units and sources.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple, NoReturn

from mubss.core.errors import InputError
from mubss.core.tariff import Unit
from mubss.core.wording import counted

TYPES = ("VOICE", "SMS", "MMS", "DATA", "OTHER")
EARLIEST_S = 946_684_800  # 2000-01-01
DAY_S = 86_400
MAX_DURATION_S = 31 * DAY_S
MAX_UNITS = 1 << 50
MAX_PARTIALS = 10_000
MAX_OFFSET_MINUTES = 840
QUARTER_MINUTES = 15
LEAST_MSISDN_DIGITS, MOST_DIGITS = 5, 15
MAX_LETTERS = {"record_id": 64, "cell": 64, "call_id": 128, "session_id": 1024}
MAX_PLAIN_ID = 19  # letters of a record_id that stands in its document's `_id`, which has 32
SHOWN_LETTERS = 40  # of a value, in the text of a fault

_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,23}")
_SCHEME = re.compile(r"(?:tel|sips?):", re.IGNORECASE)
_SEPARATORS = re.compile(r"[-.() ]")  # RFC 3966 §5.1.1: for the eye only
_DIGIT = re.compile(r"\d")
_LETTER = re.compile(r"[^\W\d_]")

BAD_NUMBER, BAD_TIME, BAD_UNITS, BAD_FIELD = "bad-number", "bad-time", "bad-units", "bad-field"
NO_SUBSCRIBER_NAMED = "no-subscriber-named"
REASONS = (BAD_NUMBER, BAD_TIME, BAD_UNITS, BAD_FIELD, NO_SUBSCRIBER_NAMED)
UNKNOWN_SUBSCRIBER, NO_PRICE = "unknown-subscriber", "no-price"  # of records that are right in themselves
FAULT = "fault"  # charging failed for a fault of the program
SUSPENSE_REASONS = (*REASONS, UNKNOWN_SUBSCRIBER, NO_PRICE, FAULT)

CHARGED = "charged"
MATCHED = "matched"  # with a Gy session that has charged it
ONLINE = "online"  # usage of a prepaid account, which Gy charges
SUSPENDED, DISCARDED = "suspended", "discarded"
RECORDS, CALLS = "cdr_records", "cdr_calls"  # collections: records taken, meters of calls in parts


class CdrFault(InputError):
    """A record that can't be rated as it is; `reason` is one of REASONS. Its text holds no number of a subscriber."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Cdr(NamedTuple):
    """One record; numbers are digits alone, those of E.164 without a +."""

    record_id: str
    type: str  # one of TYPES
    service: str  # code in the tariff
    served_msisdn: str  # who pays; "" where only the IMSI says
    calling: str
    called: str
    imsi: str
    imei: str
    cell: str
    start_s: int  # UTC
    utc_offset_minutes: int
    duration_s: int
    octets_up: int
    octets_down: int
    events: int  # as given: 0 counts as 1
    charging_id: int  # 0: none
    session_id: str
    network: str  # MCC and MNC
    call_id: str
    partial_sequence: int  # 0: the whole
    is_last_partial: bool

    @property
    def identities(self) -> list[str]:
        """Whom it names, the first one first: "e164:…" of its MSISDN, and "imsi:…"."""
        msisdn = [f"e164:{self.served_msisdn}"] if self.served_msisdn else []
        return [*msisdn, f"imsi:{self.imsi}"] if self.imsi else msisdn

    def units(self, unit: Unit) -> int:
        """What a service that is counted in `unit` has of this record: octets of both directions, seconds, events."""
        if unit == Unit.OCTETS:
            return self.octets_up + self.octets_down
        return self.duration_s if unit == Unit.SECONDS else self.events or 1


def checked(cdr: Cdr, now_s: int) -> Cdr:
    """The record with its numbers normalised; CdrFault says what can't be taken. `now_s` is UTC seconds.

    Numbers come as any network element writes them: `+49…`, `tel:+49-…`, `sip:+49…@realm`. Without a `served_msisdn`
    whoever called pays.
    """
    _check_texts(cdr)
    _check_time(cdr, now_s)
    _check_units(cdr, now_s)
    calling, called = cdr.calling and _number("calling", cdr.calling), cdr.called and _number("called", cdr.called)
    served = cdr.served_msisdn
    if served:
        served = _number("served_msisdn", served, LEAST_MSISDN_DIGITS)
    elif len(calling) >= LEAST_MSISDN_DIGITS:
        served = calling
    elif not cdr.imsi:
        text = "served_msisdn, imsi: missing, and calling is no MSISDN; expected one that names who pays"
        raise CdrFault(NO_SUBSCRIBER_NAMED, text)
    if (served, calling, called) == (cdr.served_msisdn, cdr.calling, cdr.called):
        return cdr
    return cdr._replace(served_msisdn=served, calling=calling, called=called)


class CdrItem(NamedTuple):
    """A record to be charged. `key` is its identity in `cdr_records`, `call` that of its call in `cdr_calls`."""

    key: str
    cdr: Cdr
    call: str = ""  # "" for a record that is the whole
    offset: int = 0  # where it stands in its file: what tells it from another one of that id in there


class Verdict(NamedTuple):
    """What became of a record; `reason` and `text` say why it can't be charged.

    `before` is set where it had been taken before; `file` and `offset` then say what it came with.
    """

    state: str  # CHARGED, MATCHED, ONLINE, SUSPENDED, DISCARDED
    reason: str = ""
    text: str = ""
    before: bool = False
    file: str = ""
    offset: int = 0


@dataclass(slots=True)
class ChargeCdrs:
    """Charges records of one subscriber, in their order (cdr_charging.py); what can't be charged is told, not kept."""

    file: str  # id of the document of their file
    items: list[CdrItem]
    charges_prepaid: bool = False  # else usage of prepaid accounts is what Gy has charged
    reprocesses: bool = False  # they are in suspense


def record_key(source: str, record_id: str) -> str:
    """The identity of a record, as the `_id` of its document; ids that count up lie together, unless they are long."""
    if len(record_id) <= MAX_PLAIN_ID and record_id.isascii():
        return f"{_hashed(source, size=6)}.{record_id}"
    return _hashed(source, record_id)


def call_key(source: str, cdr: Cdr, payer: str) -> str:
    """What the partial records of a call, charged to one payer, have in common; "" for a record that is the whole."""
    return _hashed(source, cdr.call_id, payer, cdr.service) if cdr.partial_sequence and cdr.call_id else ""


def _hashed(*parts: str, size: int = 16) -> str:
    return blake2b("\0".join(parts).encode(), digest_size=size).hexdigest()


def _check_texts(cdr: Cdr) -> None:
    if not cdr.record_id:
        raise CdrFault(BAD_FIELD, "record_id: missing; expected 1 to 64 printable ASCII letters")
    if not cdr.record_id.isascii():
        _refuse("record_id", cdr.record_id, "printable ASCII letters")
    if cdr.type not in TYPES:
        raise CdrFault(BAD_FIELD, f"type: {cdr.type[:SHOWN_LETTERS]!r}; expected one of {', '.join(TYPES)}")
    if not _SERVICE.fullmatch(cdr.service):
        _refuse("service", cdr.service, "the code of a service, up to 24 of A-Z a-z 0-9 _ - (OTHER needs one)")
    for name, text in (
        ("record_id", cdr.record_id),
        ("cell", cdr.cell),
        ("call_id", cdr.call_id),
        ("session_id", cdr.session_id),
    ):
        if text and not (len(text) <= MAX_LETTERS[name] and text.isprintable()):
            _refuse(name, text, f"up to {MAX_LETTERS[name]} printable letters")
    if cdr.imsi and not _are_digits(cdr.imsi, LEAST_MSISDN_DIGITS, MOST_DIGITS):
        _refuse("imsi", cdr.imsi, "5 to 15 digits", BAD_NUMBER)
    if cdr.imei and not _are_digits(cdr.imei, 14, 16):
        _refuse("imei", cdr.imei, "14 to 16 digits")
    if cdr.network and not _are_digits(cdr.network, 5, 6):
        _refuse("network", cdr.network, "an MCC and MNC, 5 or 6 digits")


def _check_time(cdr: Cdr, now_s: int) -> None:
    if not EARLIEST_S <= cdr.start_s <= now_s + DAY_S:
        text = f"start_s: {cdr.start_s}; expected from {EARLIEST_S} (the year 2000) to {now_s + DAY_S} (now and a day)"
        raise CdrFault(BAD_TIME, text)
    if not -MAX_OFFSET_MINUTES <= cdr.utc_offset_minutes <= MAX_OFFSET_MINUTES or (
        cdr.utc_offset_minutes % QUARTER_MINUTES
    ):
        text = f"utc_offset_minutes: {cdr.utc_offset_minutes}; expected quarters of an hour, -840 to 840"
        raise CdrFault(BAD_TIME, text)
    if cdr.partial_sequence > MAX_PARTIALS:
        raise CdrFault(BAD_FIELD, f"partial_sequence: {cdr.partial_sequence}; expected 0 to {MAX_PARTIALS}")


def _check_units(cdr: Cdr, now_s: int) -> None:
    if not 0 <= cdr.duration_s <= MAX_DURATION_S:
        text = f"duration_s: {cdr.duration_s}; expected 0 to {MAX_DURATION_S} seconds (31 days)"
        raise CdrFault(BAD_UNITS, text)
    if cdr.start_s + cdr.duration_s > now_s + 2 * DAY_S:
        text = (
            f"duration_s: {cdr.duration_s}, from {cdr.start_s} on; expected an end by {now_s + 2 * DAY_S} (in two days)"
        )
        raise CdrFault(BAD_TIME, text)
    up, down, events = cdr.octets_up, cdr.octets_down, cdr.events
    if up < 0 or down < 0 or events < 0 or up + down > MAX_UNITS or events > MAX_UNITS:
        expected = f"expected 0 to {MAX_UNITS} each, and octets of both directions"
        raise CdrFault(BAD_UNITS, f"octets_up, octets_down, events: {up}, {down}, {events}; {expected}")


def _are_digits(text: str, least: int, most: int) -> bool:
    return least <= len(text) <= most and text.isascii() and text.isdigit()


def _number(field: str, text: str, least: int = 1) -> str:
    """The digits of a number as it is written; CdrFault where it holds none."""
    if _are_digits(text, least, MOST_DIGITS):
        return text  # nearly always
    user = _SCHEME.sub("", text[:200], count=1) if _SCHEME.match(text) else text[:200]
    user = _SEPARATORS.sub("", user.partition("@")[0].partition(";")[0]).removeprefix("+")
    if not _are_digits(user, least, MOST_DIGITS):
        _refuse(field, text, f"{least} to {MOST_DIGITS} digits of E.164, with or without a +", BAD_NUMBER)
    return user


def _refuse(field: str, text: str, expected: str, reason: str = BAD_FIELD) -> NoReturn:
    raise CdrFault(reason, f"{field}: {_shape(text)}; expected {expected}")


def _shape(text: str) -> str:
    """What a text looks like, not what it says: `'+99-99x'` in place of a number, for logs."""
    shown = _LETTER.sub("x", _DIGIT.sub("9", text[:SHOWN_LETTERS]))
    return f"{shown!r}, {counted(len(text), 'letter')}" if len(text) > SHOWN_LETTERS else repr(shown)
