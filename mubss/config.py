"""The configuration: every option there is, and `load`, which reads a file and the environment over the defaults.

conf/mubss.toml shows all of this at its defaults; `mubss config defaults` prints it, and a test holds the two together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

from mubss.core.errors import ConfigError
from mubss.options import Reader, find_lines, option, render, required, suggestion, tables

FILE_NAME = "mubss.toml"
MAX_FILE_OCTETS = 1_048_576
LEAST_MYSQL_WAIT_MS = 1000  # for a connection and for answers: MySQL itself counts lock waits in seconds
_HOST_NAME = re.compile(r"(?=.{1,255}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*")
_HOST_PATTERN = re.compile(r"[A-Za-z0-9_.*-]{1,255}")
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
_HEAD = """\
# The configuration of mubss: every option at its default, made by `mubss config defaults`.
# `--config FILE` names a file; without it mubss.toml in the data folder is read, if there is one.
# MUBSS_<SECTION>__<KEY> in the environment overrides an option (lists: items with commas between).
# `mubss config show` prints what is in force and where each value came from.

"""


def _is_host(text: str) -> str:
    return "" if _is_address(text) == "" or _HOST_NAME.fullmatch(text) else "an IP address or a host name"


def _are_hosts(text: str) -> str:
    return next((wrong for part in text.split(",") if (wrong := _is_host(part.strip()))), "")


def _is_address(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        return "an IP address"
    return ""


def _is_network(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return 'an IP address or a network like "192.0.2.0/24"'
    return ""


def _is_pattern(text: str) -> str:
    return "" if _HOST_PATTERN.fullmatch(text) else 'a DiameterIdentity, or a pattern of one like "*.epc.example"'


def _is_subscriber(text: str) -> str:
    return "" if re.fullmatch(r"(e164:[0-9]{5,15}|imsi:[0-9]{14,15})?", text) else 'one like "e164:49170123456"'


def _is_identity(text: str) -> str:
    return "" if _HOST_NAME.fullmatch(text) else "a DiameterIdentity: a full host name in ASCII"


def _is_context(text: str) -> str:
    return "" if text.isascii() and text else 'a Service-Context-Id like "32251@3gpp.org"'


def _is_context_or_none(text: str) -> str:
    return _is_context(text) if text else ""


def _is_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return 'an IANA time zone like "Europe/Berlin"'
    return ""


def _is_url(text: str) -> str:
    if re.fullmatch(r"(sqlite|mysqlx)://.+", text):
        return ""
    return "a URL like sqlite:///var/mubss.db or mysqlx://user:password@host:33060/mubss"


@dataclass(frozen=True, slots=True)
class GeneralOptions:
    """What every process needs."""

    data_dir: str = option(
        ".", "Folder that relative paths (the store, licences, invoices) are under; the current one by default."
    )
    timezone: str = option(
        "UTC", "The operator's time zone: tariff bands, months and bill periods follow it.", check=_is_zone
    )
    log_level: str = option("info", "Least level that is logged.", choices=("debug", "info", "warning", "error"))
    log_format: str = option(
        "text", "Log lines for people (text) or for a log collector, one JSON object a line.", choices=("text", "json")
    )
    mask_msisdn: bool = option(True, "Logs show only the last 3 digits of an MSISDN or IMSI.")


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The document store that all processes share."""

    url: str = option(
        "sqlite:///var/mubss.db",
        "sqlite:///relative/to/data_dir.db or sqlite:////absolute/path.db: the embedded store. "
        "mysqlx://user:password@host:33060/schema or mysqlx://user:password@[host1,host2,host3]/schema: MySQL, "
        "see docs/MYSQL.md.",
        check=_is_url,
    )
    busy_timeout_ms: int = option(
        5000,
        "How long the store is waited for: SQLite for another process's write, MySQL for a connection or an answer.",
        low=1,
        high=600_000,
        unit="milliseconds",
    )


SUBSCRIPTION_TYPES = ("e164", "imsi", "sip", "nai", "private")


@dataclass(frozen=True, slots=True)
class PeerOptions:
    """DIAMETER peers that are known by name."""

    origin_host: str = required("The peers' Origin-Host; * stands for any letters.", check=_is_pattern)
    realm: str = option(
        "", "Their Origin-Realm, * as above; empty: any.", check=lambda text: text and _is_pattern(text)
    )
    addresses: tuple[str, ...] = option(
        (), "Addresses and networks they may connect from; none: any.", check=_is_network
    )
    profile: str = option("", "How they are spoken to: one of gy.profiles or built in; empty: as gy.profile.")


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """A peer profile: what differs from the one that it begins as; what is empty or -1 is as it is there."""

    name: str = required("A built-in profile to change, or a new name.")
    base: str = option("generic", "The profile that a new one begins as.")
    strict: str = option("", "Hold the peer to the letter of the RFCs.", choices=("", "yes", "no"))
    subscription_id_order: tuple[str, ...] = option((), "As gy.subscription_id_order.", choices=SUBSCRIPTION_TYPES)
    default_service_context: str = option("", "As gy.default_service_context.", check=_is_context_or_none)
    default_subscriber: str = option("", "Whom a CCR that names nobody is charged to.", check=_is_subscriber)
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
        check=_are_hosts,
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
    origin_host: str = option("ocs.mubss.example", "This server's Origin-Host.", check=_is_identity)
    origin_realm: str = option("mubss.example", "This server's Origin-Realm.", check=_is_identity)
    served_hosts: tuple[str, ...] = option(
        (),
        "Other servers of the same store, by Origin-Host; * stands for any letters. Requests for them are done here; "
        "for hosts that are neither these nor this one they get 3002.",
        check=_is_pattern,
    )
    served_realms: tuple[str, ...] = option(
        (),
        "Realms besides gy.origin_realm whose requests are done here; * stands for any letters. A peer's own realm "
        "is tolerated, too; others get 3003.",
        check=_is_pattern,
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
        4_194_304,
        "Answers that may wait for a peer that doesn't read; past it the peer's connection is closed.",
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
        "32251@3gpp.org", "Service-Context-Id of a CCR that has none.", check=_is_context
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


@dataclass(frozen=True, slots=True)
class ChargingOptions:
    """The charging engine."""

    lanes: int = option(
        0, "Lanes that do batches side by side; 0: one on the embedded store, up to six on MySQL.", low=0, high=64
    )
    batch_limit: int = option(256, "Commands in one transaction.", low=1, high=4096, unit="commands")
    queue_limit: int = option(
        20_000, "Commands waiting in a process; past it they are refused.", low=1, high=1_000_000, unit="commands"
    )
    outcome_history: int = option(
        8, "Answers kept in a session for requests that come again.", low=1, high=64, unit="answers"
    )
    refund_limit_micros: int = option(
        100_000_000,
        "The most that one CCR with REFUND_ACCOUNT gives back; more is refused with 5012.",
        low=0,
        high=1_000_000_000_000,
        unit="millionths of the currency",
    )
    session_supervision_seconds: int = option(
        7200,
        "Least time without a request after which a session's reservation is released.",
        low=60,
        high=604_800,
        unit="seconds",
    )
    sweep_seconds: int = option(30, "How often such sessions are looked for.", low=1, high=3600, unit="seconds")
    refdata_poll_seconds: int = option(
        2, "How often a new version of the reference data is looked for.", low=1, high=60, unit="seconds"
    )


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """Counters for Prometheus, over HTTP at /metrics."""

    enabled: bool = option(False, "Serve them.")
    host: str = option("127.0.0.1", "Address to listen on.", check=_is_host)
    port: int = option(
        9464, "TCP port of the first worker, each further one takes the next; 0: any free.", low=0, high=65_000
    )


@dataclass(frozen=True, slots=True)
class Config:
    """All that is configured; `sources` says where each value came from: "default", "file:line" or a variable."""

    general: GeneralOptions = GeneralOptions()
    store: StoreOptions = StoreOptions()
    gy: GyOptions = GyOptions()
    charging: ChargingOptions = ChargingOptions()
    metrics: MetricsOptions = MetricsOptions()
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def resolve(self, path: str | Path) -> Path:
        """`path` as an absolute one, under the data folder if it is relative."""
        return (Path(self.general.data_dir) / path).absolute()

    @property
    def store_url(self) -> str:
        """`store.url` as `open_database` takes it: an absolute path, and the busy timeout unless the URL names one."""
        if self.store.url.startswith("mysqlx:"):
            return self._mysqlx_url()
        scheme, _, rest = self.store.url.partition(":///")
        if scheme != "sqlite":
            return self.store.url
        path, _, query = rest.partition("?")
        if path and "busy_timeout_ms=" not in query:
            query = "&".join(filter(None, [query, f"busy_timeout_ms={self.store.busy_timeout_ms}"]))
        whole = quote(str(self.resolve(unquote(path)))) if path else ""
        return f"sqlite:///{whole}?{query}"

    def _mysqlx_url(self) -> str:
        before, _, query = self.store.url.partition("?")
        named = {part.partition("=")[0] for part in query.split("&")}
        waits = [name for name in ("connect-timeout", "answer-timeout") if name not in named]
        wait_ms = max(self.store.busy_timeout_ms, LEAST_MYSQL_WAIT_MS)
        parts = [query, *(f"{name}={wait_ms}" for name in waits)]
        return f"{before}?{'&'.join(filter(None, parts))}"


SECTIONS: dict[str, type] = {
    "general": GeneralOptions,
    "store": StoreOptions,
    "gy": GyOptions,
    "charging": ChargingOptions,
    "metrics": MetricsOptions,
}


def load(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in force: defaults, then the file, then the environment.

    Without `path` it is mubss.toml in the data folder, if there is one. ConfigError lists every fault, one a line.
    """
    file = Path(path) if path is not None else Path(environ.get("MUBSS_GENERAL__DATA_DIR", "."), FILE_NAME)
    text = _read(file) if path is not None or file.is_file() else ""
    reader = Reader(_parse(text, file), environ, str(file), find_lines(text))
    sections = reader.read(SECTIONS)
    if not reader.faults:
        reader.faults += _peer_faults(sections["gy"], file)
    if reader.faults:
        raise ConfigError("\n".join(reader.faults))
    return Config(**sections, sources=reader.sources)


def _peer_faults(gy: GyOptions, file: Path) -> Iterator[str]:
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


def with_profile(config: Config, profile: str) -> Config:
    """The same with another `gy.profile`; ConfigError where there is none of that name."""
    known = [*PROFILES, *(one.name for one in config.gy.profiles)]
    if profile not in known:
        raise ConfigError(f"gy.profile: {profile[:40]!r}; no such profile; {suggestion(profile, known)}")
    return replace(config, gy=replace(config.gy, profile=profile))


def defaults_text() -> str:
    """conf/mubss.toml: every option at its default, with its comment, unit and what it takes."""
    return _HEAD + render(SECTIONS)


def data_path(name: str) -> Path:
    """A folder or file that comes with the program ("conf/refdata"), in a checkout and in an installed wheel alike."""
    package = Path(__file__).parent
    installed = package / "_data" / name
    found = installed if installed.exists() else package.parent / name
    if not found.exists():
        raise ConfigError(f"{name}: not in this installation; expected it at {installed}")
    return found


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            octets = stream.read(MAX_FILE_OCTETS + 1)
        if len(octets) > MAX_FILE_OCTETS:
            raise ConfigError(f"{file}: expected a file of up to {MAX_FILE_OCTETS} octets")
        return octets.decode()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: expected UTF-8, octet {error.start} is none") from None


def _parse(text: str, file: Path) -> dict[str, Any]:
    if not text:
        return {}
    import tomlkit  # 23 ms: a process without a file never loads it
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(text).unwrap()
    except TOMLKitError as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None
