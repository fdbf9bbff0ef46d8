"""Writes what must come back to each client's requests: <client>/<profile>/<name>.hex, from facts of its source code.

    python -m tests.vectors.answers

Each is written out AVP by AVP, in the order of RFC 8506 §3.2, under `generic` and under the client's own profile. By
the demo's tariff a grant is valid for 3600 s, and where a client leaves it to the server 10,000,000 octets.
Origin-State-Id, which is another with each start of the server, is 0 here.
"""

from __future__ import annotations

from typing import Any

from mubss.gy.message import Message, decode_message, encode_message
from tests.vectors.generate import VSAI, hex_lines
from tests.vectors.load import FOLDER, load

OCS: list[Any] = [("Origin-Host", "ocs.mubss.example"), ("Origin-Realm", "mubss.example")]
STATE = ("Origin-State-Id", 0)
VALID = ("Validity-Time", 3_600)
OWN = {"python-diameter-sms": "smsc"}
"""The profile of each client's own, where its name is another."""


def octets(total: int) -> Any:
    return ("Granted-Service-Unit", [("CC-Total-Octets", total)])


def seconds(time_s: int) -> Any:
    return ("Granted-Service-Unit", [("CC-Time", time_s)])


def mscc(*names: Any, granted: Any = None, advice: Any = ()) -> Any:
    """An MSCC that says 2001; TS 32.299's advice stands behind what RFC 8506 has."""
    grant, valid = ([granted], [VALID]) if granted else ([], [])
    return ("Multiple-Services-Credit-Control", [*grant, *names, *valid, ("Result-Code", 2001), *advice])


def write(client: str, profile: str, name: str, answer: bytes) -> None:
    (FOLDER / client / profile).mkdir(exist_ok=True)
    lines = [f"# {client}'s {name} is answered so under the profile {profile}", *hex_lines(answer)]
    (FOLDER / client / profile / f"{name}.hex").write_text("\n".join(lines) + "\n", encoding="utf-8")


def answer_to(request: Message, parts: list[Any]) -> bytes:
    """Of the same command, application and identifiers, with the P flag as it came."""
    header = request.header
    flags = header.flags & 0x40
    return encode_message(
        header.command_code, flags, header.application_id, header.hop_by_hop, header.end_to_end, parts
    )


def cea(client: str, profile: str) -> None:
    """RFC 6733 §5.3.2: credit control with and without 3GPP's Vendor-Id."""
    parts = [
        ("Result-Code", 2001),
        *OCS,
        ("Host-IP-Address", "127.0.0.1"),
        ("Vendor-Id", 0),
        ("Product-Name", "mubss"),
        ("Supported-Vendor-Id", 10_415),
        ("Auth-Application-Id", 4),
        ("Inband-Security-Id", 0),
        VSAI,
        ("Firmware-Revision", 1),
        STATE,
    ]
    write(client, profile, "cer", answer_to(decode_message(load(client, "cer")), parts))


def cca(
    client: str,
    profile: str,
    name: str,
    *units: Any,
    result: int = 2001,
    said: Any = (),
) -> None:
    """Session-Id, Result-Code, who answers, and which request it was; then units. A first answer says what to do
    without us: go on with another server of the same store, and after that end."""
    request = decode_message(load(client, name))
    kind = request.find("CC-Request-Type")
    failover, handling = [], []
    if kind == 1 and result == 2001:
        failover, handling = [("CC-Session-Failover", 1)], [("Credit-Control-Failure-Handling", 2)]
    parts = [
        ("Session-Id", request.find("Session-Id")),
        ("Result-Code", result),
        *OCS,
        ("Auth-Application-Id", 4),
        ("CC-Request-Type", kind),
        ("CC-Request-Number", request.find("CC-Request-Number")),
        *failover,
        STATE,
        *units,
        *handling,
        *said,
    ]
    write(client, profile, name, answer_to(request, parts))


def open5gs(profile: str) -> None:
    """Session-Id first, 421 of the grant, 448, and 869 below the grant; an MSCC without names as it came."""
    advice = [("Volume-Quota-Threshold", 200_000)] if profile == "open5gs" else []
    more = mscc(granted=octets(1_000_000), advice=advice)
    for name, unit in (("ccr_i", more), ("ccr_u", more), ("ccr_u_validity", more), ("ccr_t", mscc())):
        cca("open5gs", profile, name, unit)


def magma(profile: str) -> None:
    """An MSCC for each rating group; an empty request leaves the quota to the server."""
    first, second = (
        [("Service-Identifier", 101), ("Rating-Group", 1)],
        [("Service-Identifier", 102), ("Rating-Group", 2)],
    )
    more = [mscc(*first, granted=octets(2_000_000)), mscc(*second, granted=octets(10_000_000))]
    cca("magma", profile, "ccr_i", *more)
    cca("magma", profile, "ccr_u", *more)
    cca("magma", profile, "ccr_t", mscc(*first))


def kamailio(profile: str) -> None:
    """CC-Time above 0, and 868 to ask again before its end."""
    names = [("Service-Identifier", 1_000), ("Rating-Group", 100)]
    advice = [("Time-Quota-Threshold", 3)] if profile == "kamailio" else []
    for name in ("ccr_i", "ccr_i_tel", "ccr_u"):
        cca("kamailio", profile, name, mscc(*names, granted=seconds(30), advice=advice))
    cca("kamailio", profile, "ccr_t", mscc(*names))


def ergw(profile: str) -> None:
    """Exactly one 432 in every MSCC."""
    for name in ("ccr_i", "ccr_u"):
        cca("ergw", profile, name, mscc(("Rating-Group", 3_000), granted=octets(10_000_000)))
    cca("ergw", profile, "ccr_t", mscc(("Rating-Group", 3_000)))


def siphon(profile: str) -> None:
    """Units of the command are granted there, within Validity-Time."""
    cca("siphon", profile, "ccr_i", seconds(60), said=[VALID])
    cca("siphon", profile, "ccr_u", seconds(60), said=[VALID])
    cca("siphon", profile, "ccr_t")
    cca("siphon", profile, "ccr_i_mscc", mscc(("Rating-Group", 1), granted=seconds(60)))


def message(client: str, profile: str) -> None:
    """One short message, debited at once: what is granted is used, and has no time to be valid."""
    granted = ("Granted-Service-Unit", [("CC-Service-Specific-Units", 1)])
    unit = ("Multiple-Services-Credit-Control", [granted, ("Service-Identifier", 1), ("Result-Code", 2001)])
    cca(client, profile, "ccr_e", unit)


def seagull(profile: str) -> None:
    """Names no subscriber: unknown, but for a profile that says who it is."""
    if profile == "generic":
        for name in ("ccr_i", "ccr_u", "ccr_t"):
            cca("seagull", profile, name, result=5030)
        return
    cca("seagull", profile, "ccr_i")
    cca("seagull", profile, "ccr_u", seconds(10), said=[VALID])
    cca("seagull", profile, "ccr_t")


def xk6(profile: str) -> None:
    """Its AVPs without any flag, its Session-Id third: the answer's stand as they must."""
    cca("xk6", profile, "ccr_i", mscc(("Rating-Group", 1), granted=octets(10_000_000)))


def cisco_pgw(profile: str) -> None:
    """869 below the grant, and 871."""
    names = [("Service-Identifier", 7), ("Rating-Group", 10)]
    advice = []
    if profile == "cisco-pgw":
        advice = [("Volume-Quota-Threshold", 2_000_000), ("Quota-Holding-Time", 600)]
    for name in ("ccr_i", "ccr_u"):
        cca("cisco-pgw", profile, name, mscc(*names, granted=octets(10_000_000), advice=advice))
    cca("cisco-pgw", profile, "ccr_t", mscc(*names))


SESSIONS = {
    "open5gs": open5gs,
    "magma": magma,
    "kamailio": kamailio,
    "ergw": ergw,
    "siphon": siphon,
    "smsc": lambda profile: message("smsc", profile),
    "python-diameter-sms": lambda profile: message("python-diameter-sms", profile),
    "seagull": seagull,
    "xk6": xk6,
    "cisco-pgw": cisco_pgw,
}


def main() -> None:
    for client, session in SESSIONS.items():
        for profile in ("generic", OWN.get(client, client)):
            session(profile)
            if (FOLDER / client / "cer.hex").exists():
                cea(client, profile)


if __name__ == "__main__":
    main()
