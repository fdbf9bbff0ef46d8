"""What a Credit-Control-Answer says, as values (RFC 8506 §3.2); `mubss.gy.codec` writes and reads it."""

from __future__ import annotations

from dataclasses import dataclass, field

from mubss.gy.avp import encode_avp
from mubss.gy.ccr import Money, Units

TERMINATE, REDIRECT, RESTRICT_ACCESS = 0, 1, 2
"""Final-Unit-Action (RFC 8506 §8.35)."""

REDIRECT_IPV4, REDIRECT_IPV6, REDIRECT_URL, REDIRECT_SIP_URI = 0, 1, 2, 3
"""Redirect-Address-Type (RFC 8506 §8.38)."""


@dataclass(frozen=True, slots=True)
class FinalUnit:
    """What the client does when the last grant is used up. Make each once: its bytes are made with it."""

    action: int = TERMINATE
    redirect_address: str | None = None
    """Needed by REDIRECT, refused otherwise."""
    redirect_address_type: int = REDIRECT_URL
    restriction_filter_rules: tuple[str, ...] = ()
    filter_ids: tuple[str, ...] = ()
    encoded: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.redirect_address is not None) != (self.action == REDIRECT):
            raise ValueError(f"redirect_address: for Final-Unit-Action 1 only, and needed there; it is {self.action}")
        parts: list[tuple[str, object]] = [("Final-Unit-Action", self.action)]
        parts += [("Restriction-Filter-Rule", rule) for rule in self.restriction_filter_rules]
        parts += [("Filter-Id", name) for name in self.filter_ids]
        if self.redirect_address is not None:
            address_type = ("Redirect-Address-Type", self.redirect_address_type)
            parts.append(("Redirect-Server", [address_type, ("Redirect-Server-Address", self.redirect_address)]))
        object.__setattr__(self, "encoded", encode_avp("Final-Unit-Indication", parts))


@dataclass(slots=True)
class MsccAnswer:
    """One Multiple-Services-Credit-Control of an answer. `granted` None sends none, empty Units an empty group."""

    rating_group: int | None = None
    service_identifiers: list[int] = field(default_factory=list)
    result_code: int | None = 2001
    granted: Units | None = None
    tariff_time_change_s: int | None = None
    """Unix seconds, inside Granted-Service-Unit."""
    validity_time_s: int | None = None
    final_unit: FinalUnit | None = None
    time_quota_threshold_s: int | None = None
    volume_quota_threshold_octets: int | None = None
    unit_quota_threshold: int | None = None
    quota_holding_time_s: int | None = None
    pool: tuple[int, int, int, int] | None = None
    """G-S-U-Pool-Identifier, CC-Unit-Type, Value-Digits and Exponent of what a unit is worth in it (RFC 8506 §8.30)."""


@dataclass(slots=True)
class CcaAnswer:
    """The answer to a CCR, without what is copied from the request."""

    result_code: int = 2001
    msccs: list[MsccAnswer] = field(default_factory=list)
    session_failover: int | None = None
    """CC-Session-Failover: 0 not supported, 1 supported."""
    granted: Units | None = None
    """Granted-Service-Unit of the command, for a client that asked there."""
    tariff_time_change_s: int | None = None
    cost_information: Money | None = None
    remaining_balance: Money | None = None
    """Remaining-Balance, with Low-Balance-Indication beside it (TS 32.299 §7.2.173, §7.2.90)."""
    low_balance: bool = False
    final_unit: FinalUnit | None = None
    check_balance_result: int | None = None
    """0 enough credit, 1 no credit."""
    failure_handling: int | None = None
    """Credit-Control-Failure-Handling: 0 terminate, 1 continue, 2 retry and terminate."""
    direct_debiting_failure_handling: int | None = None
    validity_time_s: int | None = None
    failed_avp: bytes = b""
    """The offending AVPs, whole and padded (`DiameterError.failed_avp`)."""
    error_message: str | None = None


@dataclass(slots=True)
class Cca:
    """A Credit-Control-Answer as a client reads it."""

    flags: int = 0x40
    hop_by_hop: int = 0
    end_to_end: int = 0
    session_id: str | None = None
    origin_host: str | None = None
    origin_realm: str | None = None
    auth_application_id: int | None = None
    cc_request_type: int | None = None
    cc_request_number: int | None = None
    origin_state_id: int | None = None
    answer: CcaAnswer = field(default_factory=CcaAnswer)

    @property
    def is_protocol_error(self) -> bool:
        """The E flag (RFC 6733 §7.2)."""
        return bool(self.flags & 0x20)
