"""What a journal keeps of a request: the command as it came, what its client was told, at which risk. Pure."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC
from typing import Any, NamedTuple

import msgpack

from mubss.core.calendar import OperatorCalendar
from mubss.core.model import CreditControl, Outcome, RequestType, Told, UnitRequest
from mubss.core.tariff import Tables

VERSION = 1
_COMMAND = [one.name for one in fields(CreditControl) if one.name not in ("tables", "told", "requests", "type")]
_REQUEST = [one.name for one in fields(UnitRequest)]
_NO_TABLES = Tables(0, OperatorCalendar(UTC), {}, {})  # a journal has none: `again` gives those in force


class Entry(NamedTuple):
    """One request that was answered while the store was away."""

    at_ms: int  # UTC milliseconds: when
    account: str  # its id, as it was known then
    currency: str
    risk_micros: int  # of the account, after it: what of it is in the journal and may be more than it has
    granted_micros: int  # by how much the request changed that
    outcome: Outcome
    command: CreditControl  # with tables of no content


def encode(entry: Entry) -> bytes:
    """As the journal has it."""
    command = entry.command
    return bytes(
        msgpack.packb(
            {
                "version": VERSION,
                "at_ms": entry.at_ms,
                "account": entry.account,
                "currency": entry.currency,
                "risk": entry.risk_micros,
                "granted": entry.granted_micros,
                "outcome": entry.outcome.to_list(),
                "type": int(command.type),
                "command": {name: getattr(command, name) for name in _COMMAND},
                "requests": [{name: getattr(one, name) for name in _REQUEST} for one in command.requests],
            }
        )
    )


def decode(payload: bytes) -> Entry:
    """Back from it; ValueError where it is of no version that is known."""
    try:
        found: dict[str, Any] = msgpack.unpackb(payload)
        version = found["version"]
    except (KeyError, TypeError, ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"a journal's record: {error!r}; expected a request that was answered") from error
    if version != VERSION:
        raise ValueError(f"a journal's record: version {version!r}; expected {VERSION}")
    try:
        requests = [_request(one) for one in found["requests"]]
        command = CreditControl(
            type=RequestType(found["type"]), tables=_NO_TABLES, requests=requests, **found["command"]
        )
        return Entry(
            found["at_ms"],
            found["account"],
            found["currency"],
            found["risk"],
            found["granted"],
            Outcome.from_list(found["outcome"]),
            command,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a journal's record: {error!r}; expected a request as version {VERSION} has it") from error


def _request(stored: dict[str, Any]) -> UnitRequest:
    foreign = stored["foreign_units"]
    return UnitRequest(**{**stored, "foreign_units": tuple(foreign) if foreign else None})


def again(entry: Entry, tables: Tables, record: str) -> CreditControl:
    """The command to be done for the ledger."""
    command = entry.command
    command.tables, command.told = tables, Told(entry.outcome, entry.at_ms, record)
    return command
