"""Requests as a Gy client makes them, out of the options of `mubss ccr`."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mubss.core.errors import InputError
from mubss.core.wording import counted
from mubss.gy.ccr import END_USER_E164, END_USER_IMSI, EVENT, INITIAL, TERMINATION, Ccr, Mscc, Units, UsedUnits

OCTETS, SECONDS, EVENTS = "octets", "seconds", "events"
_MOST = {OCTETS: 2**64 - 1, SECONDS: 2**32 - 1, EVENTS: 2**64 - 1}  # CC-Time is an Unsigned32 (RFC 8506 §8.21)
RETRANSMITTED = 0x10
ORIGINATING = 0  # Role-Of-Node (TS 32.299 §7.2.155)
LOGOUT = 1  # Termination-Cause DIAMETER_LOGOUT (RFC 6733 §8.15)

# Service → its Service-Context-Id (TS 32.251, 32.260, 32.270, 32.274) and what it is counted in.
SERVICES = {
    "data": ("32251@3gpp.org", OCTETS),
    "voice": ("32260@3gpp.org", SECONDS),
    "sms": ("32274@3gpp.org", EVENTS),
    "mms": ("32270@3gpp.org", EVENTS),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom and what the requests are about, the same for a whole session."""

    session_id: str
    context: str
    unit: str
    destination_realm: str
    destination_host: str | None = None
    msisdn: str | None = None
    imsi: str | None = None
    rating_group: int | None = None
    service_identifier: int | None = None
    called: str | None = None
    apn: str | None = None
    command_level: bool = False

    def __post_init__(self) -> None:
        if self.called is not None and self.unit == OCTETS:
            raise InputError(f"called: {self.called[:40]!r}; expected for services counted in seconds or events only")


def check_units(name: str, unit: str, number: int | None) -> None:
    """InputError where so many units don't go into the AVP for them."""
    if number is not None and number > _MOST[unit]:
        text = str(number)
        shown = text if len(text) <= 40 else f"{text[:40]}… ({counted(len(text), 'digit')})"
        raise InputError(f"{name}: {shown}; expected 0 to {_MOST[unit]} {unit}")


def units_of(unit: str, number: int) -> Units:
    """So many units, in the AVP that a client counts them in."""
    if unit == OCTETS:
        return Units(total_octets=number)
    return Units(time_s=number) if unit == SECONDS else Units(service_specific_units=number)


def build(
    subject: Subject,
    request_type: int,
    number: int,
    *,
    asks: bool = True,
    requested: int | None = None,
    used: tuple[int, ...] = (),
    action: int | None = None,
    retransmitted: bool = False,
) -> Ccr:
    """One request. `asks` sends Requested-Service-Unit: of `requested` units, or empty (the server decides)."""
    ccr = Ccr(
        session_id=subject.session_id,
        destination_realm=subject.destination_realm,
        destination_host=subject.destination_host,
        auth_application_id=4,
        service_context_id=subject.context,
        cc_request_type=request_type,
        cc_request_number=number,
        requested_action=action,
        event_timestamp_s=int(time.time()),
    )
    if retransmitted:
        ccr.flags |= RETRANSMITTED
    if request_type == TERMINATION:
        ccr.termination_cause = LOGOUT
    if subject.msisdn is not None:
        ccr.subscription_ids.append((END_USER_E164, subject.msisdn))
    if subject.imsi is not None:
        ccr.subscription_ids.append((END_USER_IMSI, subject.imsi))
    _add_units(ccr, subject, asks, requested, used)
    _add_service(ccr, subject)
    return ccr


def _add_units(ccr: Ccr, subject: Subject, asks: bool, requested: int | None, used: tuple[int, ...]) -> None:
    wanted = None
    if asks:
        wanted = Units() if requested is None else units_of(subject.unit, requested)
    reports = [_report(subject.unit, number) for number in used]
    identifiers = [] if subject.service_identifier is None else [subject.service_identifier]
    if subject.command_level:
        ccr.requested, ccr.used = wanted, reports
        ccr.rating_group, ccr.service_identifier = subject.rating_group, subject.service_identifier
    elif wanted is not None or reports:
        if ccr.cc_request_type in (INITIAL, EVENT):
            ccr.multiple_services_indicator = 1
        ccr.msccs.append(Mscc(subject.rating_group, identifiers, wanted, reports))


def _report(unit: str, number: int) -> UsedUnits:
    units = units_of(unit, number)
    return UsedUnits(units.total_octets, None, None, units.time_s, units.service_specific_units)


def _add_service(ccr: Ccr, subject: Subject) -> None:
    """Service-Information: whom it goes to, and through which access point."""
    ccr.called_station_id = subject.apn
    if subject.called is None:
        return
    if subject.unit == SECONDS:
        ccr.role_of_node = ORIGINATING
        ccr.called_party_address = f"tel:+{subject.called}" if subject.called.isdecimal() else subject.called
    else:
        ccr.recipient_addresses = [subject.called]
