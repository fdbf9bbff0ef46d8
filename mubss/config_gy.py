"""The options of mubss-gy: its peers, their profiles, and all else of the section [gy]."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mubss.config_checks import (
    are_hosts,
    is_context,
    is_context_or_none,
    is_identity,
    is_network,
    is_pattern,
    is_subscriber,
)
from mubss.options import option, required, suggestion, tables

PROFILES = (  # that come with mubss: gy/profile.py, which a higher layer can't be asked for
    "generic",
    "strict",
    "open5gs",
    "magma",
    "kamailio",
    "ergw",
    "siphon",
    "seagull",
    "xk6",
    "cisco-pgw",
    "smsc",
)
SUBSCRIPTION_TYPES = ("e164", "imsi", "sip", "nai", "private")


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """DIAMETER peers that are known by name."""

    origin_host: str = required("The peers' Origin-Host; * stands for any letters.", check=is_pattern)
    realm: str = option("", "Their Origin-Realm, * as above; empty: any.", check=lambda text: text and is_pattern(text))
    addresses: tuple[str, ...] = option(
        (), "Addresses and networks they may connect from; none: any.", check=is_network
    )
    profile: str = option("", "How they are spoken to: one of gy.profiles or built in; empty: as gy.profile.")


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """A peer profile: what differs from the one that it begins as; what is empty or -1 is as it is there."""

    name: str = required("A built-in profile to change, or a new name.")
    base: str = option("generic", "The profile that a new one begins as.")
    strict: str = option("", "Hold the peer to the letter of the RFCs.", choices=("", "yes", "no"))
    subscription_id_order: tuple[str, ...] = option((), "As gy.subscription_id_order.", choices=SUBSCRIPTION_TYPES)
    default_service_context: str = option("", "As gy.default_service_context.", check=is_context_or_none)
    default_subscriber: str = option("", "Whom a CCR that names nobody is charged to.", check=is_subscriber)
    default_rating_group: int = option(
        -1, "Rating-Group of units that have none, and no Service-Identifier.", low=-1, high=4_294_967_295
    )
    unknown_sessions: str = option(
        "",
        "What a CCR-U or CCR-T of a session never seen reports: kept in suspense with 5002, or charged with 2001.",
        choices=("", "suspense", "charge"),
    )
    reboot_ends_sessions: str = option(
        "",
        "Whether a higher Origin-State-Id ends the sessions from before; no: for a client that counts it up at will.",
        choices=("", "yes", "no"),
    )
    deadline_ms: int = option(0, "As gy.deadline_ms; 0: as it is there.", low=0, high=60_000, unit="milliseconds")
    out_of_credit: str = option("", "As gy.out_of_credit.", choices=("", "mscc", "command"))
    threshold_percent: int = option(
        -1, "Quota thresholds where the tariff has none, of each grant; 0: none.", low=-1, high=99, unit="percent"
    )
    holding_time_seconds: int = option(
        -1, "Quota-Holding-Time where the tariff has none; 0: none.", low=-1, high=604_800, unit="seconds"
    )
    tariff_time_change: str = option(
        "",
        "Whether the peer knows Tariff-Time-Change; if not, its quota ends where the tariff changes.",
        choices=("", "yes", "no"),
    )
    credit_pools: str = option("", "Whether it knows G-S-U-Pool-Reference.", choices=("", "yes", "no"))
    balance_information: str = option(
        "",
        "Cost-Information, Remaining-Balance, Low-Balance-Indication: asked is by AoC-Request-Type.",
        choices=("", "asked", "always", "never"),
    )
    session_failover: str = option(
        "", "CC-Session-Failover of the first answer.", choices=("", "supported", "not-supported", "not-sent")
    )
    failure_handling: str = option(
        "",
        "Credit-Control-Failure-Handling of the first answer.",
        choices=("", "terminate", "continue", "retry-and-terminate", "not-sent"),
    )


@dataclass(frozen=True, slots=True)
class GyOptions:
    """The DIAMETER Gy server, mubss-gy."""

    host: str = option(
        "127.0.0.1",
        "Addresses to listen on, commas between. The default takes peers of this machine alone; 0.0.0.0 takes any that "
        "has IPv4, :: any at all (list them below).",
        check=are_hosts,
    )
    port: int = option(3868, "TCP port to listen on; 0 lets the system choose one.", low=0, high=65_535)
    sctp: bool = option(False, "Listen for SCTP as well, on the same port number; the kernel must have it.")
    tls_port: int = option(
        0, "TCP port for TLS from the first octet on, 5658 by RFC 6733; 0: none.", low=0, high=65_535
    )
    tls_certificate: str = option("", "The server's certificate, a PEM file, with those between it and the authority.")
    tls_key: str = option("", "Its key, a PEM file without a pass phrase; empty: in gy.tls_certificate.")
    tls_client_ca: str = option("", "The authorities that sign peers' certificates, a PEM file.")
    tls_client_certificates: str = option(
        "required",
        "Whether peers on gy.tls_port must show a certificate; one that is shown must name the peer's Origin-Host.",
        choices=("required", "optional", "none"),
    )
    workers: int = option(1, "Processes that serve peers.", low=1, high=64)
    origin_host: str = option("ocs.mubss.example", "This server's Origin-Host.", check=is_identity)
    origin_realm: str = option("mubss.example", "This server's Origin-Realm.", check=is_identity)
    served_hosts: tuple[str, ...] = option(
        (),
        "Other servers of the same store, by Origin-Host; * stands for any letters. Requests for them are done here; "
        "for hosts that are neither these nor this one they get 3002.",
        check=is_pattern,
    )
    served_realms: tuple[str, ...] = option(
        (),
        "Realms besides gy.origin_realm whose requests are done here; * stands for any letters. A peer's own realm "
        "is tolerated, too; others get 3003.",
        check=is_pattern,
    )
    product_name: str = option("mubss", "Product-Name in the capabilities exchange.")
    vendor_id: int = option(0, "Vendor-Id in the capabilities exchange.", low=0, high=4_294_967_295)
    accept_unknown_peers: str = option(
        "loopback",
        "Peers that are not listed under [[gy.peers]]: let in never, from this machine alone, or always; else 3010.",
        choices=("never", "loopback", "always"),
    )
    max_peers: int = option(1024, "Connections at a time, over all workers.", low=1, high=100_000)
    cer_timeout_seconds: int = option(
        10, "A connection that sends no CER within this time is closed.", low=1, high=300, unit="seconds"
    )
    watchdog_seconds: int = option(
        30, "Silence after which a DWR is sent: Tw of RFC 3539.", low=6, high=3600, unit="seconds"
    )
    deadline_ms: int = option(
        3000, "A CCR is answered within this time or not at all.", low=50, high=60_000, unit="milliseconds"
    )
    outbox_seconds: int = option(
        1,
        "How often to look for sessions whose clients must be told of a change (RAR, ASR); `mubss` on the same machine "
        "says so at once.",
        low=1,
        high=3600,
        unit="seconds",
    )
    drain_seconds: int = option(
        10, "At SIGTERM: time for answers under way, and for peers to take the DPR.", low=0, high=300, unit="seconds"
    )
    max_message_octets: int = option(
        65_536, "A longer message closes its peer's connection.", low=1024, high=16_777_215, unit="octets"
    )
    max_pending_requests: int = option(
        8192,
        "CCRs of one worker under way: past it new sessions and events get 3004, past half as many more updates, too; "
        "terminations never. At four times as many no more is read for a while.",
        low=1,
        high=1_000_000,
        unit="requests",
    )
    max_pending_per_peer: int = option(
        4096,
        "The same for the CCRs of one peer, so that none keeps the others from being served.",
        low=1,
        high=1_000_000,
        unit="requests",
    )
    send_buffer_octets: int = option(
        16_777_216,
        "Answers that may wait for a peer that doesn't read; past it the peer's connection is closed. With 6 MB of "
        "requests and answers under way we stop to read from it, so more waits for who is slow only if this is less.",
        low=65_536,
        high=1_073_741_824,
        unit="octets",
    )
    capture_file: str = option(
        "",
        "A pcap file, for wireshark, that gets every message of every peer; empty: none. It is begun anew at each "
        "start; of several workers each has its own, with -PID before the suffix.",
    )
    capture_megabytes: int = option(
        1000, "Where such a file ends, whatever comes then.", low=1, high=1_000_000, unit="megabytes"
    )
    subscription_id_order: tuple[str, ...] = option(
        ("e164", "imsi", "sip", "nai", "private"),
        "Which Subscription-Id of a CCR names the subscriber: the first of these types that it has.",
        choices=SUBSCRIPTION_TYPES,
    )
    default_service_context: str = option(
        "32251@3gpp.org", "Service-Context-Id of a CCR that has none.", check=is_context
    )
    out_of_credit: str = option(
        "mscc",
        "Where 4012 stands when the credit is used up: in the MSCC, with 2001 at command level, or at command level.",
        choices=("mscc", "command"),
    )
    profile: str = option(
        "generic",
        "How peers are spoken to that have no profile of their own. Built in: " + ", ".join(PROFILES) + ".",
    )
    peers: tuple[PeerOptions, ...] = tables(
        PeerOptions, "Peers that are known by name, one table each; the first that fits counts."
    )
    profiles: tuple[ProfileOptions, ...] = tables(
        ProfileOptions, "Peer profiles that change what is built in, or stand beside it."
    )

    @property
    def hosts(self) -> tuple[str, ...]:
        """`host` as the addresses and names that it lists."""
        return tuple(part.strip() for part in self.host.split(","))


def peer_faults(gy: GyOptions, file: Path) -> Iterator[str]:
    """What is wrong between peers and profiles."""
    names = [(peer.origin_host.lower(), peer.realm.lower()) for peer in gy.peers]
    for host, realm in sorted({name for name in names if names.count(name) > 1}):
        named = f"origin_host {host!r}" + (f" with realm {realm!r}" if realm else "")
        yield f"gy.peers: {named} stands twice ({file}); expected each peer once"
    known = list(PROFILES)
    for number, profile in enumerate(gy.profiles):
        if profile.base not in known:
            yield f"gy.profiles[{number}].base = {profile.base!r} ({file}): {suggestion(profile.base, known)}"
        if profile.name in known[len(PROFILES) :]:
            yield f"gy.profiles: name {profile.name!r} stands twice ({file}); expected each profile once"
        known.append(profile.name)
    wanted = [
        ("gy.profile", gy.profile),
        *((f"gy.peers[{at}].profile", peer.profile) for at, peer in enumerate(gy.peers)),
    ]
    for place, name in wanted:
        if name and name not in known:
            yield f"{place} = {name!r} ({file}): no such profile; {suggestion(name, known)}"
