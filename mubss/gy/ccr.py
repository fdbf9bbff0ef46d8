"""What a Credit-Control-Request says, as values (RFC 8506 §3.1, TS 32.299 §6.4.2).

Everything is an integer, text or bytes; None is "not sent". Octets, seconds and events are counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

INITIAL, UPDATE, TERMINATION, EVENT = 1, 2, 3, 4
"""CC-Request-Type (RFC 8506 §8.3)."""

DIRECT_DEBITING, REFUND_ACCOUNT, CHECK_BALANCE, PRICE_ENQUIRY = 0, 1, 2, 3
"""Requested-Action (RFC 8506 §8.41)."""

END_USER_E164, END_USER_IMSI, END_USER_SIP_URI, END_USER_NAI, END_USER_PRIVATE = 0, 1, 2, 3, 4
"""Subscription-Id-Type (RFC 8506 §8.47)."""

Money = tuple[int, int, int | None]
"""Value-Digits, Exponent (0 where it isn't sent), numeric ISO 4217 currency or None: (5, -2, 978) is 0.05 EUR."""


@dataclass(slots=True)
class Units:
    """A Requested-, Used- or Granted-Service-Unit. All None is an empty group, which isn't an absent one."""

    total_octets: int | None = None
    input_octets: int | None = None
    output_octets: int | None = None
    time_s: int | None = None
    service_specific_units: int | None = None
    money: Money | None = None

    @property
    def octets(self) -> int | None:
        """CC-Total-Octets if it is there, else input + output, never all three; None if there are no octets."""
        if self.total_octets is not None:
            return self.total_octets
        if self.input_octets is None and self.output_octets is None:
            return None
        return (self.input_octets or 0) + (self.output_octets or 0)


@dataclass(slots=True)
class UsedUnits(Units):
    """One Used-Service-Unit; `tariff_change_usage` is 0 before, 1 after, 2 indeterminate (RFC 8506 §8.27)."""

    tariff_change_usage: int | None = None
    reporting_reasons: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Mscc:
    """One Multiple-Services-Credit-Control of a request (RFC 8506 §8.16)."""

    rating_group: int | None = None
    service_identifiers: list[int] = field(default_factory=list)
    requested: Units | None = None
    used: list[UsedUnits] = field(default_factory=list)
    reporting_reasons: list[int] = field(default_factory=list)
    """Reporting-Reason of the MSCC itself; those of each Used-Service-Unit stand there."""
    tariff_change_usage: int | None = None
    pool_identifiers: list[int] = field(default_factory=list)
    """G-S-U-Pool-Identifier of each G-S-U-Pool-Reference."""


@dataclass(slots=True)
class Ccr:
    """A Credit-Control-Request. `flags` are the command's, 0x40 = proxiable, 0x10 = sent again (T)."""

    flags: int = 0xC0
    application_id: int = 4
    hop_by_hop: int = 0
    end_to_end: int = 0
    session_id: str | None = None
    session_id_avp: bytes = b""
    """The Session-Id AVP as it came, padded: what an answer begins with."""
    origin_host: str | None = None
    origin_realm: str | None = None
    destination_host: str | None = None
    destination_realm: str | None = None
    auth_application_id: int | None = None
    """Auth-Application-Id, else the one inside Vendor-Specific-Application-Id."""
    service_context_id: str | None = None
    cc_request_type: int | None = None
    cc_request_number: int | None = None
    cc_sub_session_id: int | None = None
    requested_action: int | None = None
    event_timestamp_s: int | None = None
    """Unix seconds."""
    origin_state_id: int | None = None
    termination_cause: int | None = None
    user_name: str | None = None
    multiple_services_indicator: int | None = None
    subscription_ids: list[tuple[int, str]] = field(default_factory=list)
    """(Subscription-Id-Type, -Data) of the command; those of Service-Information where it has none."""
    service_subscription_ids: list[tuple[int, str]] = field(default_factory=list)
    """Those inside Service-Information."""
    service_identifier: int | None = None
    rating_group: int | None = None
    """Of the command, where units stand beside no MSCC."""
    requested: Units | None = None
    used: list[UsedUnits] = field(default_factory=list)
    msccs: list[Mscc] = field(default_factory=list)
    user_equipment: tuple[int, bytes] | None = None
    """(User-Equipment-Info-Type, -Value)."""
    cc_correlation_id: bytes | None = None
    aoc_request_type: int | None = None
    proxy_infos: list[bytes] = field(default_factory=list)
    """Whole Proxy-Info AVPs, padded, as they came and in order."""
    route_records: list[bytes] = field(default_factory=list)
    """The same of Route-Record."""
    unknown_mandatory: list[bytes] = field(default_factory=list)
    """AVPs with the M flag that the dictionary lacks, whole and padded; at most 16 are kept."""
    called_party_address: str | None = None
    calling_party_address: str | None = None
    role_of_node: int | None = None
    """0 originating, 1 terminating (TS 32.299 §7.2.155)."""
    recipient_addresses: list[str] = field(default_factory=list)
    """Address-Data of the recipients of a short or multimedia message."""
    called_station_id: str | None = None
    """The access point name."""
    charging_id: int | None = None
    """3GPP-Charging-Id, the key between a data session and its CDRs."""
    sgsn_mcc_mnc: str | None = None
    rat_type: int | None = None
    location: bytes | None = None
    """3GPP-User-Location-Info, undecoded (TS 29.061 §16.4.7.2)."""
    charging_characteristics: str | None = None

    @property
    def proxiable(self) -> bool:
        return bool(self.flags & 0x40)

    @property
    def retransmitted(self) -> bool:
        """The T flag: this may have been sent before, over a link that was lost (RFC 6733 §3)."""
        return bool(self.flags & 0x10)
