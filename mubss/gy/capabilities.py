"""What a CER offers: who speaks, and whether there is common ground (RFC 6733 §5.3). Pure."""

from __future__ import annotations

from mubss.gy.avp import DiameterError, encode_avp, missing_avp
from mubss.gy.message import Header, Message
from mubss.gy.peer_table import MAX_NAME_LETTERS

CREDIT_CONTROL, RELAY, BASE = 4, 0xFFFFFFFF, 0
UNSUPPORTED_APPLICATION = 3007
INVALID_AVP_VALUE, MISSING_AVP = 5004, 5005
NO_COMMON_APPLICATION, NO_COMMON_SECURITY = 5010, 5017
NO_INBAND_SECURITY = 0


def check_base_application(header: Header) -> None:
    """CER, DWR and DPR are of no application but the base protocol (RFC 6733 §2.4)."""
    if header.application_id != BASE:
        text = f"command {header.command_code} of application {header.application_id}; expected {BASE}"
        raise DiameterError(UNSUPPORTED_APPLICATION, text)


def check_names(cer: Message) -> None:
    """DiameterError 5005 or 5004 where a CER doesn't say, in few letters, who sends it."""
    for name in ("Origin-Host", "Origin-Realm"):
        value = cer.find(name)
        if not value:
            raise DiameterError(MISSING_AVP, f"{name} is missing", missing_avp(name))
        if len(value) > MAX_NAME_LETTERS:
            text = f"{name}: {len(value)} letters; expected up to {MAX_NAME_LETTERS}"
            raise DiameterError(INVALID_AVP_VALUE, text, encode_avp(name, value))


def no_common_ground(cer: Message) -> tuple[int, str] | None:
    """Why a CER can't be agreed to, as Result-Code and reason."""
    host = cer.find("Origin-Host")
    if not _common_application(cer):
        return NO_COMMON_APPLICATION, f"peer {host} offers no credit control (application 4)"
    security = cer.find_all("Inband-Security-Id")
    if security and NO_INBAND_SECURITY not in security:
        return NO_COMMON_SECURITY, f"peer {host} wants inband security {security}"
    return None


def _common_application(cer: Message) -> bool:
    """Credit control or relay, plain or vendor-specific (3GPP Gy is advertised either way)."""
    offered = set(cer.find_all("Auth-Application-Id"))
    for group in cer.find_all("Vendor-Specific-Application-Id"):
        offered.update(node.value for node in group if node.name == "Auth-Application-Id")
    return bool(offered & {CREDIT_CONTROL, RELAY})
