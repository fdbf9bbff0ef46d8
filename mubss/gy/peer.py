"""One peer's connection as a state machine: bytes and time in, actions out (RFC 6733 §5.6, RFC 3539 §3.4). Pure.

The server's side only: peers connect to us. Its states are those of the responder:

    WAIT_CER ──CER──▶ WAIT_CLAIM ──admit──▶ OPEN ──DPR sent──▶ CLOSING ──DPA──▶ CLOSED
                                               └──DPR received, DPA sent──▶ CLOSED

A CCR of an open peer comes back as `Charge`; everything else is answered here.

Of RFC 3539 §3.4.1 the watchdog has OKAY and SUSPECT while the peer is open, INITIAL before that and DOWN after. REOPEN
is for who opens connections again: a peer that comes back exchanges capabilities on a new one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from mubss.gy.avp import DiameterError, encode_avp, raw_avp, split_avp
from mubss.gy.capabilities import (
    BASE,
    CREDIT_CONTROL,
    NO_INBAND_SECURITY,
    UNSUPPORTED_APPLICATION,
    check_base_application,
    check_names,
    no_common_ground,
)
from mubss.gy.certificate_names import covers, shown
from mubss.gy.codec import CcaAnswer, CcrError, decode_ccr, encode_cca
from mubss.gy.dictionary import FLAG_M, VENDOR_3GPP, value_name
from mubss.gy.grammar import check_request
from mubss.gy.message import (
    ERROR,
    FrameError,
    Header,
    Identity,
    Message,
    Part,
    decode_header,
    decode_message,
    encode_answer,
    encode_request,
    find_all,
)
from mubss.gy.peer_table import PeerTable
from mubss.gy.profile import Profile

ELECTION_LOST, INVALID_AVP_VALUE = 4003, 5004
CER, DWR, DPR, CCR, RAR, ASR = 257, 280, 282, 272, 258, 274
SUCCESS, UNSUPPORTED_COMMAND, INVALID_HEADER_BITS, UNKNOWN_PEER = 2001, 3001, 3008, 3010
REBOOTING, BUSY, DO_NOT_WANT_TO_TALK = 0, 1, 2  # Disconnect-Cause (RFC 6733 §5.4.3)


class State(Enum):
    """Where the connection stands."""

    WAIT_CER = "wait-cer"
    WAIT_CLAIM = "wait-claim"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Send(NamedTuple):
    """Write these bytes."""

    data: bytes


class Charge(NamedTuple):
    """A Credit-Control-Request to do."""

    frame: bytes


class Answered(NamedTuple):
    """The answer to an RAR or ASR of ours."""

    end_to_end: int
    result_code: int


class Claim(NamedTuple):
    """A capabilities exchange is well so far: may this Origin-Host have a connection here? Answer by `admit`."""

    origin_host: str
    origin_state_id: int


class Close(NamedTuple):
    """Write what is queued, then close; `reason` is for the log."""

    reason: str


Action = Send | Charge | Answered | Claim | Close


@dataclass(frozen=True, slots=True)
class Settings:
    """What all connections of a server share."""

    identity: Identity
    product_name: str = "mubss"
    vendor_id: int = 0
    firmware_revision: int = 1
    watchdog_s: int = 30
    cer_timeout_s: int = 10
    peers: PeerTable = field(default_factory=lambda: PeerTable((), "loopback", Profile()))


class Peer:
    """The state of one connection. Times are seconds of a clock that never goes back."""

    def __init__(self, settings: Settings, local_address: str, remote_address: str, now_s: int, jitter_s: int) -> None:
        self._settings = settings
        self._local_address = local_address
        self._remote_address = remote_address
        self.state = State.WAIT_CER
        self.origin_host = ""
        self.origin_realm = ""
        self.origin_state_id = 0  # the highest that it told; 0: none
        self._is_strict = False
        self.certificate_names: tuple[str, ...] | None = None  # of one that showed a certificate
        self._cer: Message | None = None
        self._hop_by_hop = 0
        self._set_watchdog(now_s, jitter_s)
        self._asked: set[int] = set()  # Hop-by-Hop Identifiers of our DWRs without answer: one at least is "pending"
        self._suspect = False

    @property
    def is_open(self) -> bool:
        """Requests may be charged. A connection that is closing still takes what comes before the DPA."""
        return self.state in (State.OPEN, State.CLOSING)

    @property
    def is_suspect(self) -> bool:
        """Its watchdog waits for longer than it should (RFC 3539 §3.4.1)."""
        return self._suspect

    # ── what comes in ──────────────────────────────────────────────────────────────────────────────

    def receive(self, frame: bytes, now_s: int) -> list[Action]:
        """One whole message."""
        header = decode_header(frame)
        self.heard(now_s)
        try:
            if self.state is State.WAIT_CER:
                return self._first_message(frame, header)
            if self.state is State.WAIT_CLAIM:
                return [self._close("a message before the answer to its CER")]
            if not header.is_request:
                return self._answer_received(frame, header)
            return self._request(frame, header)
        except DiameterError as error:
            if not header.is_request:
                return []
            answer = Send(self._error(header, error, frame))
            if self.state is State.WAIT_CER:
                return [answer, self._close(f"a CER that can't be taken: {error}")]
            return [answer]

    def heard(self, now_s: int) -> None:
        """Something came: the watchdog begins anew, and a suspect is one no longer (RFC 3539 §3.4.1)."""
        self._timer_from_s = now_s
        self._suspect = False

    def broken(self, error: FrameError) -> list[Action]:
        """The stream can't be cut into messages any more: answer what can be answered, then close.

        A stranger's first bytes get an answer if they look like a CER.
        """
        actions: list[Action] = []
        first_is_cer = self.state is State.WAIT_CER and error.header.command_code == CER
        if error.header.is_request and (self.is_open or first_is_cer):
            actions.append(Send(self._error(error.header, error)))
        return [*actions, self._close(str(error))]

    def admit(self, admitted: bool) -> list[Action]:
        """The answer to a Claim: capabilities, or ELECTION_LOST where another connection of this peer lives."""
        if self.state is not State.WAIT_CLAIM or self._cer is None:
            return []
        cer, self._cer = self._cer, None
        if not admitted:
            text = "this Origin-Host has a connection already"
            return [Send(self._cea(cer, ELECTION_LOST, text)), self._close(text)]
        self.state = State.OPEN
        return [Send(self._cea(cer, SUCCESS))]

    # ── time and our own wishes ────────────────────────────────────────────────────────────────────

    def _set_watchdog(self, now_s: int, jitter_s: int) -> None:
        self._tw_s = max(6, self._settings.watchdog_s + jitter_s)  # RFC 3539 §3.4.1: never below 6
        self._timer_from_s = now_s

    def tick(self, now_s: int, jitter_s: int = 0) -> list[Action]:
        """The watchdog: after Tw of silence a DWR, after another a suspect, after a third the end.

        `jitter_s`, -2 to 2, is for the next Tw if this one ran out.
        """
        silence_s = now_s - self._timer_from_s
        if self.state is State.WAIT_CER and silence_s >= self._settings.cer_timeout_s:
            return [self._close(f"no CER within {self._settings.cer_timeout_s} s")]
        if not self.is_open or silence_s < self._tw_s:
            return []
        self._set_watchdog(now_s, jitter_s)
        if not self._asked:
            return [self._watchdog_request()]
        if not self._suspect:
            self._suspect = True
            return []
        return [self._close(f"the watchdog had no answer for 2 × {self._settings.watchdog_s} s")]

    def probe(self, now_s: int) -> list[Action]:
        """Asks at once whether the peer lives: somebody else says it is this Origin-Host."""
        if not self.is_open:
            return []
        self._timer_from_s = now_s
        return [self._watchdog_request()]

    def _watchdog_request(self) -> Send:
        dwr = self._base_request("DWR")
        self._asked.add(self._hop_by_hop)
        return Send(dwr)

    def request(self, name: str, avps: list[Part], end_to_end: int, *, repeated: bool) -> bytes:
        """A request of ours within credit control (RAR, ASR); `repeated` sets the T flag."""
        self._hop_by_hop = (self._hop_by_hop + 1) & 0xFFFFFFFF
        return encode_request(
            name, self._hop_by_hop, end_to_end, avps, application_id=CREDIT_CONTROL, retransmitted=repeated
        )

    def disconnect(self, cause: int = REBOOTING) -> list[Action]:
        """Says goodbye; the peer's DPA closes."""
        if self.state is not State.OPEN:
            return [self._close("shutting down")]
        self.state = State.CLOSING
        return [Send(self._base_request("DPR", [("Disconnect-Cause", cause)]))]

    # ── the base protocol ──────────────────────────────────────────────────────────────────────────

    def _first_message(self, frame: bytes, header: Header) -> list[Action]:
        if header.command_code != CER or not header.is_request:
            return [self._close(f"command {header.command_code} before a CER")]
        check_base_application(header)
        cer = decode_message(frame)
        check_names(cer)
        host, realm = cer.find("Origin-Host"), cer.find("Origin-Realm")
        if host.lower() == self._settings.identity.host.lower():
            return self._refuse(cer, UNKNOWN_PEER, f"{host} is this server's own name, expected the peer's")
        if not self._settings.peers.admits(host, realm, self._remote_address):
            return self._refuse(cer, UNKNOWN_PEER, f"peer {host} at {self._remote_address} isn't known here")
        if self.certificate_names is not None and not covers(self.certificate_names, host):
            text = f"peer {host} at {self._remote_address}: its certificate names {shown(self.certificate_names)}"
            return self._refuse(cer, UNKNOWN_PEER, text)
        self._is_strict = self._settings.peers.profile(host, realm).strict
        if self._is_strict:
            check_request(frame)
        if refusal := no_common_ground(cer):
            return self._refuse(cer, *refusal)
        self.state, self.origin_host, self.origin_realm, self._cer = State.WAIT_CLAIM, host, realm, cer
        self.origin_state_id = cer.find("Origin-State-Id") or 0
        return [Claim(host.lower(), self.origin_state_id)]

    def _request(self, frame: bytes, header: Header) -> list[Action]:
        if header.command_code == CCR:
            if header.application_id == CREDIT_CONTROL:
                return [Charge(frame)]
            return [Send(self._wrong_application(frame, header))]
        if header.flags & ERROR:
            raise DiameterError(INVALID_HEADER_BITS, f"command flags {header.flags:#04x}: E in a request")
        if header.command_code in (CER, DWR, DPR):
            check_base_application(header)
            if self._is_strict:
                check_request(frame)
            return self._base_request_received(decode_message(frame))
        if header.application_id not in (BASE, CREDIT_CONTROL):
            text = f"application {header.application_id}; expected {CREDIT_CONTROL}, credit control"
            raise DiameterError(UNSUPPORTED_APPLICATION, text)
        raise DiameterError(UNSUPPORTED_COMMAND, f"command {header.command_code} isn't served here")

    def _base_request_received(self, message: Message) -> list[Action]:
        if message.header.command_code == CER:
            return self._another_cer(message)
        answer = Send(message.answer(SUCCESS, self._settings.identity))
        if message.header.command_code == DWR:
            self.origin_state_id = max(self.origin_state_id, message.find("Origin-State-Id") or 0)
            return [answer]
        cause = message.find("Disconnect-Cause")
        name = "" if cause is None else f", {value_name('Disconnect-Cause', cause) or cause}"
        return [answer, self._close(f"the peer said goodbye (DPR{name})")]

    def _another_cer(self, cer: Message) -> list[Action]:
        """Capabilities again on an open connection, which keeps its name (RFC 6733 §5.6: R-Open, R-Rcv-CER)."""
        check_names(cer)
        host = cer.find("Origin-Host")
        if host.lower() != self.origin_host.lower():
            text = f"Origin-Host {host}; this connection is {self.origin_host}'s"
            raise DiameterError(INVALID_AVP_VALUE, text, encode_avp("Origin-Host", host))
        if refusal := no_common_ground(cer):
            return self._refuse(cer, *refusal)
        return [Send(self._cea(cer, SUCCESS))]

    def _answer_received(self, frame: bytes, header: Header) -> list[Action]:
        """Answers that nobody waits for, by their Hop-by-Hop Identifier, are dropped (RFC 6733 §6.2.1).

        Those to RAR and ASR go by their End-to-End Identifier: who asked may be another connection of the peer's.
        """
        if header.command_code in (RAR, ASR):
            result_code = _result_code(decode_message(frame))
            return [] if result_code is None else [Answered(header.end_to_end, result_code)]
        if header.command_code == DWR and header.hop_by_hop in self._asked:
            self._asked.clear()
        elif header.command_code == DPR and self.state is State.CLOSING:  # whatever its ids: it goes
            return [self._close("goodbye (DPA)")]
        return []

    def _refuse(self, cer: Message, result_code: int, reason: str) -> list[Action]:
        return [Send(self._cea(cer, result_code, reason)), self._close(reason)]

    def _close(self, reason: str) -> Close:
        self.state = State.CLOSED
        return Close(reason)

    def _cea(self, cer: Message, result_code: int, error_message: str | None = None) -> bytes:
        return cer.answer(result_code, self._settings.identity, self._capabilities(), error_message=error_message)

    def _capabilities(self) -> list[Part]:
        """What a CEA says beside who speaks, one that refuses, too (RFC 6733 §5.3.2)."""
        settings = self._settings
        application: Part = ("Auth-Application-Id", CREDIT_CONTROL)
        vendor_specific = [("Vendor-Id", VENDOR_3GPP), ("Auth-Application-Id", CREDIT_CONTROL)]
        return [
            ("Host-IP-Address", self._local_address),
            ("Vendor-Id", settings.vendor_id),
            ("Product-Name", settings.product_name),
            ("Supported-Vendor-Id", VENDOR_3GPP),
            application,
            ("Inband-Security-Id", NO_INBAND_SECURITY),
            ("Vendor-Specific-Application-Id", vendor_specific),
            ("Firmware-Revision", settings.firmware_revision),
        ]

    def _base_request(self, name: str, avps: list[Part] | None = None) -> bytes:
        self._hop_by_hop = (self._hop_by_hop + 1) & 0xFFFFFFFF
        identity = self._settings.identity
        state = [identity.encoded_state] if name == "DWR" else []
        return encode_request(name, self._hop_by_hop, self._hop_by_hop, [identity.encoded, *(avps or []), *state])

    def _wrong_application(self, frame: bytes, header: Header) -> bytes:
        """The answer to a CCR of an application that isn't credit control: a whole CCA, or its client drops it."""
        try:
            ccr = decode_ccr(frame)
        except CcrError as error:
            ccr = error.ccr
        text = f"application {header.application_id}; expected {CREDIT_CONTROL}, credit control"
        return encode_cca(ccr, CcaAnswer(UNSUPPORTED_APPLICATION, error_message=text), self._settings.identity)

    def _error(self, header: Header, error: DiameterError, frame: bytes = b"") -> bytes:
        """An answer that says what is wrong with a request of which perhaps only the header can be read."""
        session_id_avp, proxy_infos = _repeated(frame)
        return encode_answer(
            header,
            error.result_code,
            self._settings.identity,
            self._capabilities() if header.command_code == CER else (),
            session_id_avp=session_id_avp,
            proxy_infos=proxy_infos,
            failed_avp=error.failed_avp,
            error_message=error.text,
        )


def _result_code(answer: Message) -> int | None:
    """Result-Code, or Experimental-Result-Code where that stands in its place (RFC 6733 §7.6)."""
    result_code: int | None = answer.find("Result-Code")
    if result_code is None and (experimental := answer.find("Experimental-Result")) is not None:
        result_code = next(iter(find_all(experimental, "Experimental-Result-Code")), None)
    return result_code


def _repeated(frame: bytes) -> tuple[bytes, list[bytes]]:
    """Session-Id and Proxy-Infos of a request, which its answer repeats (RFC 6733 §6.2), as far as it can be read."""
    session_id_avp, proxy_infos, pos = b"", list[bytes](), 20
    while pos < len(frame):
        try:
            code, vendor_id, _, begin, stop = split_avp(frame, pos, len(frame))
        except DiameterError:
            break
        avp, pos = frame[pos : stop + 3 & -4], stop + 3 & -4
        if code == 263 and not vendor_id and not session_id_avp:
            session_id_avp = raw_avp(263, FLAG_M, frame[begin:stop])
        elif code == 284 and not vendor_id:
            proxy_infos.append(avp)
    return session_id_avp, proxy_infos
