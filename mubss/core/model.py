"""The shapes the domain is made of: documents as typed dicts, commands and outcomes as small classes.

Documents are plain dicts (they come from JSON and go back to it); the ledger never changes one in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple, NotRequired, TypedDict

from mubss.core.allowance import Bucket
from mubss.core.cdr import ChargeCdrs, Verdict
from mubss.core.corrections import Rerate
from mubss.core.issuing import CreditBill, DunBill, IssueBill, PayBill, SetDiscounts, SettleBills, VoidBill
from mubss.core.notice_kinds import Notice, NoticeRules
from mubss.core.tariff import Tables

ACTIVE, SUSPENDED, BARRED, TERMINATED = "active", "suspended", "barred", "terminated"
STATES = (ACTIVE, SUSPENDED, BARRED, TERMINATED)
PREPAID, POSTPAID = "prepaid", "postpaid"
OPEN, CHARGED, ALREADY, DISCARDED = "open", "charged", "already", "discarded"  # of an entry in suspense
SUSPENSE_STATES = (OPEN, CHARGED, ALREADY, DISCARDED)
MAIN_BUCKET = "main"
TOP_UPS = ("topup", "voucher")  # kinds of movements that a subscriber pays for


class RequestType(IntEnum):
    """CC-Request-Type (RFC 8506 §8.3)."""

    INITIAL = 1
    UPDATE = 2
    TERMINATION = 3
    EVENT = 4


class Action(IntEnum):
    """Requested-Action (RFC 8506 §8.41)."""

    DIRECT_DEBITING = 0
    REFUND_ACCOUNT = 1
    CHECK_BALANCE = 2
    PRICE_ENQUIRY = 3


class Result(IntEnum):
    """The Result-Codes that charging itself decides (RFC 6733 §7.1, RFC 8506 §9)."""

    SUCCESS = 2001
    TOO_BUSY = 3004
    END_USER_SERVICE_DENIED = 4010
    CREDIT_LIMIT_REACHED = 4012
    UNKNOWN_SESSION_ID = 5002
    INVALID_AVP_VALUE = 5004
    RESOURCES_EXCEEDED = 5006
    UNABLE_TO_COMPLY = 5012
    USER_UNKNOWN = 5030
    RATING_FAILED = 5031


class UsagePart(TypedDict):
    """What a session used of a service since its last usage record."""

    since_s: int
    units: int
    free_units: int
    charge_micros: int
    bundle_units: NotRequired[int]
    paid_units: NotRequired[int]  # that were counted for steps of the month
    at_s: NotRequired[int]  # when the first of its units were used (or reported, if no seconds), where not since_s


class Meter(TypedDict):
    """One service within one session.

    `rates` are its charged units as [rate key, units], in order of first use: a list, since MySQL's JSON sorts
    the keys of an object, and the first rate sets the setup fee and the minimum.
    """

    rates: list[list[Any]]
    charged_micros: int
    cursor_s: int  # seconds services: where the next second of usage falls
    zone: str
    part: UsagePart


class Grant(TypedDict):
    """Units granted and not reported yet; `free_units` of them are promised from those that cost nothing."""

    key: str  # of the request it answers
    service: str
    units: int
    free_units: int
    rate: str
    change_s: NotRequired[int]  # Tariff-Time-Change that was sent with it


class Session(TypedDict):
    """An open credit-control session, inside its account."""

    id: str
    peer: str  # Origin-Host of its last request
    opened_s: int
    expires_s: int
    reserved_micros: int
    seen: list[list[int]]  # requests taken, as closed ranges of their keys (history.py)
    outcomes: list[list[Any]]  # the last ones, for replays
    services: dict[str, Meter]
    grants: list[Grant]  # in the order they were made
    facts: NotRequired[dict[str, Any]]
    via: NotRequired[str]  # Origin-Host of the connection it came by, where that is another's: an agent's
    state_id: NotRequired[int]  # Origin-State-Id of its client when it was last heard of, if that tells one
    realm: NotRequired[str]  # Origin-Realm of its last request, where that isn't the connection's
    member: NotRequired[str]  # whose it is, where several subscribers share the account (members.py)


class Billing(TypedDict):
    """What an account's last bill settled."""

    bill: str  # its id
    period: str  # "2026-11"
    due: int  # after it, in minor units
    sequence: int  # of the last posting that is in it
    usage: list[list[int]]  # sequences of all usage that is on a bill, as closed ranges
    payments: NotRequired[int]  # the last posting when it was issued: payments up to it are on a bill
    days: NotRequired[list[list[int]]]  # ordinals of dates whose monthly fee is settled, as closed ranges
    advance: NotRequired[dict[str, Any]]  # what was charged in advance, for a period whose days aren't settled yet
    activated: NotRequired[bool]  # the activation fee, if there is one, was charged
    open: NotRequired[int]  # of all its bills, what is neither paid nor credited, in minor units
    credit: NotRequired[int]  # what was paid and is on no bill, in minor units; below 0 where a payment went back
    looked: NotRequired[int]  # of the last posting that was looked at for such payments


class Account(TypedDict):
    """Everything that prices a request. available = balance + credit limit − reserved."""

    _id: str
    version: int
    type: str
    state: str
    plan: str  # next_plan.plan_at says which is in force
    currency: str
    identities: list[str]
    balance_micros: int
    credit_limit_micros: int
    reserved_micros: int
    sequence: int  # of its last posting
    usage_sequence: int  # of its last usage record
    billing: NotRequired[Billing]  # what its bills have settled so far
    discounts: NotRequired[list[str]]  # codes of those that its bills have, beside the plan's
    next_plan: NotRequired[str]  # that takes the place of `plan`
    next_plan_from_s: NotRequired[int]  # its first second
    history: NotRequired[list[list[Any]]]  # [since when, plan, state], where either changed
    counters: dict[str, dict[str, int]]  # month → service → free units used
    sessions: dict[str, Session]  # by hash of the Session-Id
    since_s: NotRequired[int]  # when it was opened
    paid: NotRequired[dict[str, dict[str, int]]]  # month → service → units not free, where prices depend on them
    buckets: NotRequired[list[Bucket]]  # of bundles, in the order they are drawn from
    renews_s: NotRequired[int]  # when the first of those is over that renew
    members: NotRequired[dict[str, str]]  # identity → subscriber, where several share the account
    member_states: NotRequired[dict[str, str]]  # subscriber → state, of those that aren't active though the account is
    drawn: NotRequired[dict[str, dict[str, int]]]  # month → subscriber/service → units of the shared ones
    told: NotRequired[dict[str, int]]  # subscriber → when it was last told that it was refused (notices.py)


def state_of(account: Account, member: str) -> str:
    """The state that a subscriber's requests are judged by: the account's, or where that is active its own."""
    state = account["state"]
    return account["member_states"].get(member, state) if state == ACTIVE and "member_states" in account else state


class SessionRecord(TypedDict):
    """What `gy_sessions` keeps of a session: the way to its account, and its last outcomes once it ended."""

    _id: str
    account: str
    open: bool
    due_s: int  # open: when to look whether it was abandoned; ended: when to forget it
    services: NotRequired[list[str]]  # that it charged: their CDRs are matched with it
    seen: list[list[int]]
    outcomes: list[list[Any]]


class UnitAnswer(NamedTuple):
    """The answer to one MSCC, or to the units at command level."""

    command_level: bool
    rating_group: int | None
    service_identifiers: list[int]
    result: int
    unit: str = ""  # of the service, or "money" (micros); "" where it is unknown
    granted_units: int | None = None
    validity_s: int | None = None
    final: str = ""  # tariff.Final.key: these are the last units the balance covers
    threshold_units: int | None = None  # left of the grant when the client asks again; None: the profile decides
    holding_time_s: int | None = None  # the same for Quota-Holding-Time
    change_s: int | None = None  # Tariff-Time-Change, UTC seconds
    pool: list[int] | None = None  # G-S-U-Pool-Identifier, then Value-Digits and Exponent of a unit's worth in it

    @staticmethod
    def to(request: UnitRequest, unit: str, result: int, granted_units: int | None = None) -> UnitAnswer:
        """An answer that echoes what tells its request apart."""
        return UnitAnswer(
            request.command_level,
            request.rating_group,
            request.service_identifiers,
            result,
            unit,
            granted_units,
        )


class Outcome(NamedTuple):
    """What came of a request: all that its answer is made of, so a repeat gets the same answer."""

    key: int  # of the request: CreditControl.key
    end_to_end: int
    result: int
    answers: list[UnitAnswer]
    cost_micros: int | None = None
    currency: str = ""
    check_balance: int | None = None  # Check-Balance-Result: 0 enough, 1 not
    balance_micros: int | None = None  # available after the request, for a client that wants to know
    low_balance: bool = False

    def to_list(self) -> list[Any]:
        """The stored form: plain JSON, without what stands at its default at the end.

        Results are bare integers: an enum's member takes longer to serialise.
        """
        answers = [_trimmed([*answer[:3], int(answer.result), *answer[4:]]) for answer in self.answers]
        return _trimmed([self.key, self.end_to_end, int(self.result), answers, *self[4:]])

    @staticmethod
    def from_list(stored: list[Any]) -> Outcome:
        """From the stored form."""
        key, end_to_end, result, answers, *rest = stored
        return Outcome(key, end_to_end, result, [UnitAnswer(*answer) for answer in answers], *rest)


def _trimmed(values: list[Any]) -> list[Any]:
    while values[-1] is None or values[-1] is False or values[-1] == "":
        values.pop()
    return values


class Told(NamedTuple):
    """What the client of a request has heard already, while the store was away (outage.py)."""

    outcome: Outcome
    at_ms: int  # UTC milliseconds: when
    record: str  # `_id` of what is kept of it in `outage_records`


@dataclass(slots=True)
class UnitRequest:
    """One MSCC, or the units at command level. Units are the service's own (octets, seconds, events)."""

    key: str  # tells the MSCCs of a session apart
    service: str | None  # None: no rule maps it to a service
    rating_group: int | None = None
    service_identifiers: list[int] = field(default_factory=list)
    command_level: bool = False
    wants_grant: bool = True
    requested_units: int | None = None
    used_units: int | None = None
    foreign_units: tuple[str, int] | None = None  # all that it reports is in another unit than the service's: which
    before_units: int = 0  # of them, used before the tariff changed (Tariff-Change-Usage)
    money_micros: int | None = None  # CC-Money of an event, in the account's currency
    currency: int | None = None  # Currency-Code of that money


@dataclass(slots=True)
class CreditControl:
    """A credit-control request, free of its wire form."""

    type: RequestType
    session_id: str
    session_hash: str
    number: int
    identities: list[str]  # "e164:…", "imsi:…", the preferred one first
    tables: Tables  # one version from the request's start to its end
    requests: list[UnitRequest] = field(default_factory=list)
    end_to_end: int = 0
    retransmitted: bool = False
    peer: str = ""
    called: str = ""  # E.164 digits of the other party
    network: str = ""  # MCC and MNC of the network that serves the subscriber
    knows_tariff_change: bool = True  # else quota ends where the tariff changes
    knows_pools: bool = False
    tells_balance: bool = False  # the answer says what the session has cost and what is left
    opens_unknown: bool = False  # an update or termination of a session never seen is its first request
    action: int = Action.DIRECT_DEBITING
    facts: dict[str, Any] = field(default_factory=dict)  # kept on the usage record
    via: str = ""  # Origin-Host of the connection, where the request is of a client behind it
    realm: str = ""  # Origin-Realm of such a client
    state_id: int = 0  # Origin-State-Id of the client; 0: it tells none
    may_begin: bool = True  # else what is open goes on and ends, and nothing new begins
    told: Told | None = None  # it was answered while the store was away, and is done for the ledger alone

    @property
    def key(self) -> int:
        """What tells the requests of a session apart: the type, then the 32 bits of the number."""
        return self.type << 32 | self.number


@dataclass(slots=True)
class Movement:
    """Money that is neither usage nor a reservation: top-up, adjustment, payment, opening balance."""

    kind: str
    amount_micros: int
    reference: str = ""


@dataclass(slots=True)
class SetState:
    """A subscriber's life. Open sessions stay until their client ends them, so that what they used is charged."""

    state: str
    reason: str = ""
    member: str = ""  # of that subscriber alone; "": of the account


@dataclass(slots=True)
class AddMember:
    """One more subscriber for an account, who shares its balance, free units and bundles with the others."""

    member: str
    identities: Sequence[str]


@dataclass(slots=True)
class ForgetPerson:
    """A terminated subscriber's numbers leave its account; money, counters and history stay."""

    member: str  # the subscriber's id
    identities: Sequence[str]


@dataclass(slots=True)
class ChangeIdentities:
    """Other identities of one subscriber of an account, each in the place of one of the same kind; "" is none.

    `member` is the subscriber's id. Open sessions go on.
    """

    member: str
    changes: Sequence[tuple[str, str]]  # from, to


@dataclass(slots=True)
class EndSession:
    """Ends an open session without its client: supervision time ran out, its peer rebooted, or an operator says so."""

    session_hash: str
    only_if_expired: bool = True
    before_state_id: int = 0  # only if its client's Origin-State-Id is lower than that, and known


@dataclass(slots=True)
class SetPlan:
    """Another price plan, of the account's type and currency. Open sessions go on, at the new prices from now on."""

    plan: str


@dataclass(slots=True)
class SetNextPlan:
    """Another price plan from the next bill period on, in the place of one that waits; "" calls off what waits."""

    plan: str
    closing_day: int | None = None  # of the account's bill cycle; None: without one its periods are months


@dataclass(slots=True)
class BuyBundle:
    """A bundle of units, paid from the balance; or with a voucher, and then once: it doesn't renew by itself."""

    bundle: str
    reference: str = ""
    with_voucher: bool = False


@dataclass(slots=True)
class StopBundle:
    """A bundle that renews isn't bought again; what is left of it stays until its end."""

    bundle: str
    reference: str = ""


@dataclass(slots=True)
class Tell:
    """An operator's wish: that the client of an open session is asked to report (RAR) or to end it (ASR)."""

    session_hash: str
    kind: str  # outbox.REAUTH or ABORT
    rating_group: int | None = None  # of a RAR: None is the whole session


@dataclass(slots=True)
class ChargeSuspense:
    """Charges reports of one session that lie in suspense (suspense.py), in the order given.

    `entries` are their documents as they were read, with the service to charge; `beside` are the others that wait of
    the same requests.
    """

    session_hash: str
    entries: list[dict[str, Any]]
    beside: list[dict[str, Any]] = field(default_factory=list)


Command = (
    CreditControl
    | Movement
    | SetState
    | AddMember
    | ChangeIdentities
    | ForgetPerson
    | SetPlan
    | SetNextPlan
    | BuyBundle
    | StopBundle
    | EndSession
    | Tell
    | ChargeSuspense
    | ChargeCdrs
    | Rerate
    | IssueBill
    | SetDiscounts
    | VoidBill
    | PayBill
    | SettleBills
    | CreditBill
    | DunBill
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator's configuration says about the ledger."""

    outcome_history: int = 6
    supervision_s: int = 7200  # the least; twice the Validity-Time where that is more
    replay_s: int = 86_400  # how long an ended session's outcomes stay
    refund_limit_micros: int = 100_000_000  # the most that one REFUND_ACCOUNT gives back
    match_s: int = 0  # how long it is known after a session's end that Gy charged it, for CDRs; 0: not at all
    notices: NoticeRules | None = None  # what subscribers are told; None: nothing


@dataclass(slots=True)
class Applied:
    """What one command does to one account: documents to write, and the outcome to answer with."""

    account: Account | None  # as it is now; None: not changed
    outcome: Outcome | None = None
    postings: list[dict[str, Any]] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)
    suspense: list[dict[str, Any]] = field(default_factory=list)
    records: list[SessionRecord] = field(default_factory=list)  # sessions opened or ended
    outbox: Sequence[dict[str, Any]] = ()  # what clients must be told
    settled: dict[str, dict[str, Any]] = field(default_factory=dict)  # fields of guarded documents, by `_id`
    verdicts: Sequence[Verdict] = ()  # on CDRs, in their order
    noted: Sequence[tuple[str, dict[str, Any], bool]] = ()  # of CDRs: collection, document, whether it must be new
    notices: Sequence[Notice] = ()  # what subscribers must be told


@dataclass(slots=True)
class Beside:
    """What stands beside an account of the CDRs to be charged to it; documents by their `_id`."""

    records: dict[str, dict[str, Any]] = field(default_factory=dict)  # those taken before
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    sessions: Mapping[str, SessionRecord] = field(default_factory=dict)  # that Gy has charged, also by charging_link
