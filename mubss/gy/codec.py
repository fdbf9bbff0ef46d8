"""Credit control on the wire: the one module that server, credit layer and clients import for it.

server:  ccr = decode_ccr(frame)    encode_cca(ccr, CcaAnswer(…), identity)
client:  encode_ccr(Ccr(…))         cca = decode_cca(frame)
"""

from mubss.gy.avp import DiameterError, missing_avp
from mubss.gy.cca import Cca, CcaAnswer, FinalUnit, MsccAnswer
from mubss.gy.cca_decode import decode_cca
from mubss.gy.cca_encode import encode_cca
from mubss.gy.ccr import Ccr, Money, Mscc, Units, UsedUnits
from mubss.gy.ccr_decode import CcrError, decode_ccr
from mubss.gy.ccr_encode import encode_ccr
from mubss.gy.message import Identity

__all__ = [
    "Cca",
    "CcaAnswer",
    "Ccr",
    "CcrError",
    "DiameterError",
    "FinalUnit",
    "Identity",
    "Money",
    "Mscc",
    "MsccAnswer",
    "Units",
    "UsedUnits",
    "decode_cca",
    "decode_ccr",
    "encode_cca",
    "encode_ccr",
    "missing_avp",
    "require",
]


def require(ccr: Ccr, *names: str) -> None:
    """DIAMETER_MISSING_AVP (5005) for the first of these that the request lacks (RFC 6733 §7.1.5).

    Names are those of the dictionary: Session-Id, Origin-Host, CC-Request-Type, Service-Context-Id and so on.
    """
    for name in names:
        if not _is_there(getattr(ccr, _FIELDS[name])):
            raise DiameterError(5005, f"{name} is missing", missing_avp(name))


def _is_there(value: object) -> bool:
    return value is not None and value != "" and value != []


_FIELDS = {
    "Session-Id": "session_id",
    "Origin-Host": "origin_host",
    "Origin-Realm": "origin_realm",
    "Destination-Host": "destination_host",
    "Destination-Realm": "destination_realm",
    "Auth-Application-Id": "auth_application_id",
    "Service-Context-Id": "service_context_id",
    "CC-Request-Type": "cc_request_type",
    "CC-Request-Number": "cc_request_number",
    "Requested-Action": "requested_action",
    "Event-Timestamp": "event_timestamp_s",
    "Origin-State-Id": "origin_state_id",
    "Termination-Cause": "termination_cause",
    "User-Name": "user_name",
    "Subscription-Id": "subscription_ids",
    "Multiple-Services-Credit-Control": "msccs",
}
