"""Writes the .hex files beside this one, from facts read off each client's source code.

Run once, and again when a fact is mended:  python -m tests.vectors.generate
The files are what the tests read; a diff of them shows what a change to the encoder does to the wire.
"""

from __future__ import annotations

from typing import Any

from mubss.gy.avp import encode_avp, split_avp
from mubss.gy.dictionary import BY_CODE
from mubss.gy.message import PROXIABLE, REQUEST, encode_message
from tests.vectors.load import FOLDER

NOW_S = 1_767_225_600  # 2026-01-01T00:00:00Z
V, M = 0x80, 0x40

INITIAL, UPDATE, TERMINATE, EVENT = 1, 2, 3, 4

DATA, VOICE, SMS = "32251@3gpp.org", "32260@3gpp.org", "32274@3gpp.org"


def avp(name: str, value: Any, flags: int | None = None) -> bytes:
    return encode_avp(name, value, flags=flags)


def subscription(kind: int, data: str) -> bytes:
    return avp("Subscription-Id", [("Subscription-Id-Type", kind), ("Subscription-Id-Data", data)])


def hex_lines(frame: bytes) -> list[str]:
    """A message in hex, a line or more for each AVP of the command with its name above."""
    lines, pos = ["# header", frame[:20].hex()], 20
    while pos < len(frame):
        code, vendor_id, _, _, stop = split_avp(frame, pos, len(frame))
        definition = BY_CODE.get((vendor_id, code))
        end = stop + 3 & -4
        lines.append(f"# {definition.name if definition else f'AVP {code} of vendor {vendor_id}'}")
        lines += [frame[at : min(at + 40, end)].hex() for at in range(pos, end, 40)]
        pos = end
    return lines


def write(client: str, name: str, what: str, parts: list[Any], *, command: int = 272, application: int = 4) -> None:
    """One request."""
    number = sum(client.encode()) + len(what)  # any number does, the same at each run
    flags = REQUEST | (PROXIABLE if command == 272 else 0)
    frame = encode_message(command, flags, application, 0x10000 + number, 0x5A000000 + number, parts)
    lines = [f"# {client}: {what}", *hex_lines(frame)]
    (FOLDER / client).mkdir(exist_ok=True)
    (FOLDER / client / f"{name}.hex").write_text("\n".join(lines) + "\n", encoding="utf-8")


def cer(client: str, applications: list[Any], host: str, realm: str) -> None:
    parts = [
        ("Origin-Host", host),
        ("Origin-Realm", realm),
        ("Host-IP-Address", "127.0.0.1"),
        ("Vendor-Id", 10415),
        ("Product-Name", client),
        *applications,
    ]
    write(client, "cer", "Capabilities-Exchange-Request", parts, command=257, application=0)


VSAI = ("Vendor-Specific-Application-Id", [("Vendor-Id", 10415), ("Auth-Application-Id", 4)])
TAI_AND_ECGI = bytes.fromhex("8299f907000199f90700000101")


def open5gs_request(kind: int, number: int, mscc: list[Any]) -> list[Any]:
    """What all its CCRs share: the AVPs in the order of the source."""
    realm = "localdomain"
    packet_data: list[Any] = [("3GPP-Charging-Id", 41)]
    if kind == INITIAL:
        packet_data.append(("3GPP-PDP-Type", 0))
    packet_data += [
        ("PDP-Address", "10.45.0.2"),
        ("SGSN-Address", "127.0.0.3"),
        ("GGSN-Address", "127.0.0.4"),
        ("Called-Station-Id", "internet"),
        ("3GPP-Selection-Mode", "0"),
        ("3GPP-Charging-Characteristics", "0000"),
        ("3GPP-SGSN-MCC-MNC", "99970"),
        ("3GPP-NSAPI", b"\5"),
        ("3GPP-MS-TimeZone", b"\x40\0"),
        ("3GPP-User-Location-Info", TAI_AND_ECGI),
        ("3GPP-RAT-Type", b"\6"),
        (
            "User-Equipment-Info",
            [("User-Equipment-Info-Type", 0), ("User-Equipment-Info-Value", b"4370816125816151")],
        ),
    ]
    packet_data = [part if part[0][:4] != "3GPP" else avp(*part, flags=V | M) for part in packet_data]
    return [
        ("Session-Id", f"smf.{realm};1767225600;1;app_gy"),
        ("Origin-Host", f"smf.{realm}"),
        ("Origin-Realm", realm),
        ("Destination-Realm", realm),
        ("Auth-Application-Id", 4),
        ("Service-Context-Id", DATA),
        ("CC-Request-Type", kind),
        ("CC-Request-Number", number),
        *([("Destination-Host", "ocs.mubss.example")] if kind != INITIAL else []),
        ("Event-Timestamp", NOW_S + 60 * number),
        subscription(1, "999700000000001"),
        subscription(0, "999700000001"),
        *([("Termination-Cause", 1)] if kind == TERMINATE else []),
        ("Requested-Action", 0),
        ("AoC-Request-Type", 0),
        *([("Multiple-Services-Indicator", 0)] if kind == INITIAL else []),
        ("Multiple-Services-Credit-Control", mscc),
        ("Service-Information", [("PS-Information", packet_data)]),
    ]


def open5gs() -> None:
    """src/smf/gy-path.c: one MSCC without Rating-Group, usage as a delta, Requested-Action in every request."""
    cer(
        "open5gs",
        [("Auth-Application-Id", 4)],
        "smf.localdomain",
        "localdomain",
    )

    asked = ("Requested-Service-Unit", [("CC-Total-Octets", 1_000_000)])
    arp = [("Priority-Level", 8), ("Pre-emption-Capability", 1), ("Pre-emption-Vulnerability", 1)]
    qos = [
        ("QoS-Class-Identifier", 9),
        ("Allocation-Retention-Priority", arp),
        ("APN-Aggregate-Max-Bitrate-UL", 1_000_000_000),
        ("APN-Aggregate-Max-Bitrate-DL", 1_000_000_000),
    ]

    def used(reason: int, time_s: int, octets_in: int, octets_out: int) -> list[Any]:
        counts = [("CC-Time", time_s), ("CC-Input-Octets", octets_in), ("CC-Output-Octets", octets_out)]
        return [("Reporting-Reason", reason), *counts]

    write("open5gs", "ccr_i", "CCR Initial", open5gs_request(INITIAL, 0, [asked, ("QoS-Information", qos)]))
    full = [asked, ("Used-Service-Unit", used(3, 60, 300_000, 700_123)), ("QoS-Information", qos)]
    write("open5gs", "ccr_u", "CCR Update, quota exhausted", open5gs_request(UPDATE, 1, full))
    expired = [asked, ("Used-Service-Unit", used(4, 60, 5, 7)), ("Reporting-Reason", 4), ("QoS-Information", qos)]
    write("open5gs", "ccr_u_validity", "CCR Update, Validity-Time ran out", open5gs_request(UPDATE, 2, expired))
    last = [("Used-Service-Unit", used(2, 30, 1_000, 2_000)), ("Reporting-Reason", 2), ("QoS-Information", qos)]
    write("open5gs", "ccr_t", "CCR Termination", open5gs_request(TERMINATE, 3, last))


def magma() -> None:
    """feg gy_client.go: total, input and output octets together, V without M in 874."""
    cer("magma", [("Auth-Application-Id", 4), VSAI], "feg.magma.example", "magma.example")

    def request(kind: int, number: int, msccs: list[list[Any]]) -> list[Any]:
        packet_data = [
            avp("3GPP-Charging-Id", 7, V),
            avp("Called-Station-Id", "magma.ipv4", M),
            avp("3GPP-RAT-Type", b"\6", V),
            avp("3GPP-User-Location-Info", TAI_AND_ECGI, V),
            avp("PDP-Address", "192.168.128.12", V),
        ]
        equipment = [avp("User-Equipment-Info-Type", 0, 0), avp("User-Equipment-Info-Value", b"4370816125816151", 0)]
        return [
            ("Session-Id", "feg.magma.example;IMSI999700000000001-91"),
            ("Event-Timestamp", NOW_S),
            ("Auth-Application-Id", 4),
            ("CC-Request-Type", kind),
            ("Service-Context-Id", DATA),
            ("CC-Request-Number", number),
            subscription(0, "999700000001"),
            subscription(1, "999700000000001"),
            avp("User-Equipment-Info", equipment, 0),
            ("Service-Information", [("PS-Information", packet_data)]),
            ("Multiple-Services-Indicator", 1),
            *(("Multiple-Services-Credit-Control", mscc) for mscc in msccs),
            ("Origin-Host", "feg.magma.example"),
            ("Origin-Realm", "magma.example"),
        ]

    def octets(total: int, octets_in: int, octets_out: int) -> list[Any]:
        return [("CC-Input-Octets", octets_in), ("CC-Output-Octets", octets_out), ("CC-Total-Octets", total)]

    def mscc(rating_group: int, asked: list[Any] | None, used: list[Any]) -> list[Any]:
        return [
            ("Rating-Group", rating_group),
            *([] if asked is None else [("Requested-Service-Unit", asked)]),
            ("Service-Identifier", rating_group + 100),
            *used,
        ]

    def usage(total: int, octets_in: int, octets_out: int, reason: int) -> list[Any]:
        return [("Used-Service-Unit", [*octets(total, octets_in, octets_out), ("Reporting-Reason", reason)])]

    asked = octets(2_000_000, 1_000_000, 1_000_000)
    first = request(INITIAL, 1, [mscc(1, asked, []), mscc(2, [], [])])
    write("magma", "ccr_i", "CCR Initial, two rating groups, one asks with an empty group", first)
    both = [mscc(1, asked, usage(1_500_000, 500_000, 1_000_000, 3)), mscc(2, [], usage(10, 4, 6, 0))]
    write("magma", "ccr_u", "CCR Update, total and its parts are sent together", request(UPDATE, 2, both))
    write("magma", "ccr_t", "CCR Termination", request(TERMINATE, 3, [mscc(1, None, usage(1_234, 234, 1_000, 2))]))


def kamailio() -> None:
    """src/modules/ims_charging: 263, 264 and 296 without M, 264 and 296 twice, accounting AVPs, 260 and no 258."""
    cer("kamailio", [VSAI], "scscf.ims.example", "ims.example")

    def request(kind: int, number: int, subscriber: bytes, mscc: list[Any]) -> list[Any]:
        ims = [
            ("Event-Type", [("SIP-Method", "INVITE")]),
            ("Role-Of-Node", 0),
            ("Node-Functionality", 0),
            ("User-Session-Id", "b0bd9e4fa4a94aef@192.0.2.7"),
            ("Calling-Party-Address", "tel:+999700000001"),
            ("Called-Party-Address", "sip:+491711234567@ims.example;user=phone"),
            ("Time-Stamps", [("SIP-Request-Timestamp", NOW_S)]),
            ("Inter-Operator-Identifier", [("Originating-IOI", "ims.example")]),
            ("IMS-Charging-Identifier", "0a4ba9f2b0bd9e4f"),
        ]
        return [
            avp("Session-Id", "scscf.ims.example;1767225600;17", 0),
            avp("Origin-Host", "scscf.ims.example", 0),
            avp("Origin-Realm", "ims.example", 0),
            ("Origin-Host", "scscf.ims.example"),
            ("Origin-Realm", "ims.example"),
            ("Destination-Realm", "ims.example"),
            ("Accounting-Record-Type", {INITIAL: 2, UPDATE: 3, TERMINATE: 4}[kind]),
            ("Accounting-Record-Number", number),
            ("User-Name", "999700000000001@ims.example"),
            ("Service-Context-Id", "ext.01.001.8.32260@3gpp.org"),
            ("Service-Information", [subscriber, ("IMS-Information", ims)]),
            VSAI,
            ("CC-Request-Type", kind),
            ("CC-Request-Number", number),
            *([("Termination-Cause", 1)] if kind == TERMINATE else []),
            subscriber,
            ("Multiple-Services-Indicator", 1),
            ("Multiple-Services-Credit-Control", mscc),
        ]

    def mscc(asked_s: int | None, used_s: int | None) -> list[Any]:
        return [
            *([] if asked_s is None else [("Requested-Service-Unit", [("CC-Time", asked_s)])]),
            ("Service-Identifier", 1_000),
            ("Rating-Group", 100),
            *([] if used_s is None else [("Used-Service-Unit", [("CC-Time", used_s)])]),
        ]

    sip, tel = subscription(2, "sip:999700000001@ims.example"), subscription(0, "+999700000001")
    write("kamailio", "ccr_i", "CCR Initial, the caller as a SIP URI", request(INITIAL, 0, sip, mscc(30, None)))
    write(
        "kamailio", "ccr_i_tel", "CCR Initial, the caller as E.164 with its +", request(INITIAL, 0, tel, mscc(30, None))
    )
    write("kamailio", "ccr_u", "CCR Update", request(UPDATE, 1, sip, mscc(30, 30)))
    write("kamailio", "ccr_t", "CCR Termination", request(TERMINATE, 2, sip, mscc(None, 12)))


def ergw() -> None:
    """ergw_aaa_gy (Erlang PGW): Service-Context-Id with a release in front, an empty Requested-Service-Unit."""
    cer("ergw", [("Auth-Application-Id", 4)], "pgw.ergw.example", "ergw.example")

    def request(kind: int, number: int, mscc: list[Any]) -> list[Any]:
        packet_data = [("3GPP-Charging-Id", 4_242), ("Called-Station-Id", "internet"), ("3GPP-RAT-Type", b"\6")]
        return [
            ("Session-Id", "pgw.ergw.example;4242;1"),
            ("Origin-Host", "pgw.ergw.example"),
            ("Origin-Realm", "ergw.example"),
            ("Destination-Realm", "mubss.example"),
            ("Auth-Application-Id", 4),
            ("Service-Context-Id", "14.32251@3gpp.org"),
            ("CC-Request-Type", kind),
            ("CC-Request-Number", number),
            ("Event-Timestamp", NOW_S),
            subscription(1, "999700000000001"),
            subscription(0, "999700000001"),
            *([("Termination-Cause", 1)] if kind == TERMINATE else []),
            ("Multiple-Services-Indicator", 1),
            ("Multiple-Services-Credit-Control", mscc),
            ("Service-Information", [("PS-Information", packet_data)]),
        ]

    group, asked = ("Rating-Group", 3_000), ("Requested-Service-Unit", [])
    counts = [("CC-Time", 60), ("CC-Total-Octets", 1_100), ("CC-Input-Octets", 100), ("CC-Output-Octets", 1_000)]
    used = ("Used-Service-Unit", [("Reporting-Reason", 4), *counts])
    write("ergw", "ccr_i", "CCR Initial", request(INITIAL, 0, [group, asked]))
    write("ergw", "ccr_u", "CCR Update", request(UPDATE, 1, [group, asked, used]))
    write("ergw", "ccr_t", "CCR Termination", request(TERMINATE, 2, [group, used]))


def siphon() -> None:
    """Siphon (IMS): units beside no MSCC unless there is a Rating-Group or Service-Identifier."""
    cer("siphon", [VSAI], "siphon.example", "example")

    def request(kind: int, number: int, units: list[Any]) -> list[Any]:
        ims = [
            ("Role-Of-Node", 0),
            ("Calling-Party-Address", "tel:+999700000001"),
            ("Called-Party-Address", "tel:+4930123456"),
        ]
        return [
            ("Session-Id", "siphon.example;1;1"),
            ("Origin-Host", "siphon.example"),
            ("Origin-Realm", "example"),
            ("Destination-Realm", "mubss.example"),
            ("Auth-Application-Id", 4),
            ("Service-Context-Id", VOICE),
            ("CC-Request-Type", kind),
            ("CC-Request-Number", number),
            ("Event-Timestamp", NOW_S),
            subscription(0, "999700000001"),
            *([("Termination-Cause", 1)] if kind == TERMINATE else []),
            *units,
            ("Service-Information", [("IMS-Information", ims)]),
        ]

    asked, used = ("Requested-Service-Unit", [("CC-Time", 60)]), ("Used-Service-Unit", [("CC-Time", 42)])
    mscc = ("Multiple-Services-Credit-Control", [asked, ("Rating-Group", 1)])
    write("siphon", "ccr_i", "CCR Initial, units of the command", request(INITIAL, 0, [asked]))
    write("siphon", "ccr_u", "CCR Update, units of the command", request(UPDATE, 1, [asked, used]))
    write("siphon", "ccr_t", "CCR Termination, units of the command", request(TERMINATE, 2, [used]))
    write("siphon", "ccr_i_mscc", "CCR Initial with a rating group", request(INITIAL, 0, [mscc]))


def smsc() -> None:
    """An SMSC gateway: one Event per message, addresses of the E.164 family inside SMS-Information."""
    cer("smsc", [("Auth-Application-Id", 4)], "smsc.example", "example")
    recipient = [("Recipient-Address", [("Address-Type", 1), ("Address-Data", "491711234567")])]
    sms = [
        ("Originator-SCCP-Address", "999700000001"),
        ("SMSC-Address", "999700009999"),
        ("SM-Message-Type", 0),
        ("SMS-Node", 3),
        ("Recipient-Info", recipient),
    ]
    units = [("Requested-Service-Unit", [("CC-Service-Specific-Units", 1)]), ("Service-Identifier", 1)]
    parts = [
        ("Session-Id", "smsc.example;1767225600;9"),
        ("Origin-Host", "smsc.example"),
        ("Origin-Realm", "example"),
        ("Destination-Realm", "mubss.example"),
        ("Auth-Application-Id", 4),
        ("Service-Context-Id", SMS),
        ("CC-Request-Type", EVENT),
        ("CC-Request-Number", 0),
        ("Event-Timestamp", NOW_S),
        subscription(0, "999700000001"),
        ("Requested-Action", 0),
        ("Multiple-Services-Credit-Control", units),
        ("Service-Information", [("SMS-Information", sms)]),
    ]
    write("smsc", "ccr_e", "CCR Event, one short message", parts)


def python_diameter_sms() -> None:
    """The SMS example of python-diameter: an Event whose CC-Request-Number is 1."""
    recipient = [("Recipient-Address", [("Address-Type", 1), ("Address-Data", "41780000001")])]
    units = [("Requested-Service-Unit", [("CC-Service-Specific-Units", 1)]), ("Service-Identifier", 1)]
    parts = [
        ("Session-Id", "dra1.python-diameter.org;2;2"),
        ("Origin-Host", "dra1.python-diameter.org"),
        ("Origin-Realm", "python-diameter.org"),
        ("Destination-Realm", "mubss.example"),
        ("Auth-Application-Id", 4),
        ("Service-Context-Id", SMS),
        ("CC-Request-Type", EVENT),
        ("CC-Request-Number", 1),
        ("User-Name", "diameter"),
        ("Event-Timestamp", NOW_S),
        subscription(0, "999700000001"),
        ("Requested-Action", 0),
        ("Multiple-Services-Credit-Control", units),
        ("Service-Information", [("SMS-Information", [("Data-Coding-Scheme", 8), ("Recipient-Info", recipient)])]),
    ]
    write("python-diameter-sms", "ccr_e", "CCR Event numbered 1", parts)


def seagull() -> None:
    """Seagull's ro scenarios: a CER with 260 only, a CCR-I with neither subscriber nor MSCC."""
    cer("seagull", [VSAI], "seagull.example", "example")

    def request(kind: int, number: int, units: list[Any]) -> list[Any]:
        return [
            ("Session-Id", ".;1096298391;1"),
            ("Origin-Host", "seagull.example"),
            ("Origin-Realm", "example"),
            ("Destination-Realm", "mubss.example"),
            ("Auth-Application-Id", 4),
            ("Service-Context-Id", VOICE),
            ("CC-Request-Type", kind),
            ("CC-Request-Number", number),
            *units,
        ]

    used = ("Used-Service-Unit", [("CC-Time", 10)])
    write("seagull", "ccr_i", "CCR Initial with nothing but itself", request(INITIAL, 0, []))
    write("seagull", "ccr_u", "CCR Update", request(UPDATE, 1, [used, ("Requested-Service-Unit", [("CC-Time", 10)])]))
    write("seagull", "ccr_t", "CCR Termination", request(TERMINATE, 2, [("Termination-Cause", 1), used]))


def xk6() -> None:
    """xk6-diameter: Origin-Host and -Realm before Session-Id, flags 0 everywhere, no 258 and no 461, numbered 1000."""
    parts = [
        ("Origin-Host", "origin.host"),
        ("Origin-Realm", "origin.realm"),
        ("Session-Id", "1;xk6"),
        ("Destination-Realm", "dest.realm"),
        ("CC-Request-Type", INITIAL),
        ("CC-Request-Number", 1_000),
    ]
    inner = [avp("Subscription-Id-Type", 0, 0), avp("Subscription-Id-Data", "999700000001", 0)]
    asked = avp("Requested-Service-Unit", [avp("CC-Time", 1_000, 0)], 0)
    rest = [
        avp("Subscription-Id", inner, 0),
        avp("Multiple-Services-Credit-Control", [avp("Rating-Group", 1, 0), asked], 0),
    ]
    write("xk6", "ccr_i", "CCR Initial", [*(avp(*part, 0) for part in parts), *rest])


def cisco_pgw() -> None:
    """A Cisco-style PGW: Rating-Group and Service-Identifier, octets and time in Used-Service-Units of their own."""
    cer("cisco-pgw", [("Auth-Application-Id", 4)], "pgw.cisco.example", "cisco.example")

    def request(kind: int, number: int, msccs: list[list[Any]]) -> list[Any]:
        return [
            ("Session-Id", "0001-diamproxy.pgw.cisco.example;1;5"),
            ("Origin-Host", "0001-diamproxy.pgw.cisco.example"),
            ("Origin-Realm", "cisco.example"),
            ("Destination-Realm", "mubss.example"),
            ("Auth-Application-Id", 4),
            ("Service-Context-Id", DATA),
            ("CC-Request-Type", kind),
            ("CC-Request-Number", number),
            ("Destination-Host", "ocs.mubss.example"),
            ("Origin-State-Id", 1_767_225_000),
            ("Event-Timestamp", NOW_S),
            subscription(0, "999700000001"),
            subscription(1, "999700000000001"),
            *([("Termination-Cause", 1)] if kind == TERMINATE else []),
            ("Multiple-Services-Indicator", 1),
            *(("Multiple-Services-Credit-Control", mscc) for mscc in msccs),
            (
                "Service-Information",
                [("PS-Information", [("3GPP-Charging-Id", 0xDEADBEEF), ("Called-Station-Id", "web")])],
            ),
        ]

    def used(tariff_change: int | None, units: list[Any]) -> tuple[str, Any]:
        change = [] if tariff_change is None else [("Tariff-Change-Usage", tariff_change)]
        return ("Used-Service-Unit", [*change, *units, ("Reporting-Reason", 0)])

    names = [("Service-Identifier", 7), ("Rating-Group", 10)]
    octets = [("CC-Total-Octets", 900), ("CC-Input-Octets", 400), ("CC-Output-Octets", 500)]
    several = [
        used(None, [("CC-Time", 33)]),
        used(0, octets),
        used(1, [("CC-Total-Octets", 100), ("CC-Input-Octets", 50), ("CC-Output-Octets", 50)]),
    ]
    write("cisco-pgw", "ccr_i", "CCR Initial", request(INITIAL, 0, [[("Requested-Service-Unit", []), *names]]))
    update = [[("Requested-Service-Unit", []), *several, *names, ("Reporting-Reason", 0)]]
    write("cisco-pgw", "ccr_u", "CCR Update over a tariff change, three Used-Service-Units", request(UPDATE, 1, update))
    write("cisco-pgw", "ccr_t", "CCR Termination", request(TERMINATE, 2, [[used(None, octets), *names]]))


def main() -> None:
    for client in (open5gs, magma, kamailio, ergw, siphon, smsc, python_diameter_sms, seagull, xk6, cisco_pgw):
        client()


if __name__ == "__main__":
    main()
