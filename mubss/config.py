"""The configuration: every option there is, and `load`, which reads a file and the environment over the defaults.

conf/mubss.toml shows all of this at its defaults; `mubss config defaults` prints it, and a test holds the two together.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from mubss.config_archive import RetentionOptions
from mubss.config_billfmt import BillfmtOptions
from mubss.config_billing import BillingOptions
from mubss.config_cdr import CdrOptions
from mubss.config_checks import is_host, is_url, is_web_url, is_zone
from mubss.config_crm import CrmOptions
from mubss.config_doctor import DoctorOptions
from mubss.config_gy import PROFILES, GyOptions, peer_faults
from mubss.config_licence import LicenceOptions
from mubss.config_notifications import NotificationOptions
from mubss.config_outage import OutageOptions
from mubss.config_stats import StatsOptions
from mubss.config_vouchers import VoucherOptions
from mubss.core.errors import ConfigError
from mubss.options import Reader, find_lines, option, render, suggestion

FILE_NAME = "mubss.toml"
LOGS = "var/log"  # below data_dir; where conf/supervisord.conf has the group log
MAX_FILE_OCTETS = 1_048_576
LEAST_MYSQL_WAIT_MS = 1000  # for a connection and for answers: MySQL itself counts lock waits in seconds
_HEAD = """\
# The configuration of mubss: every option at its default, made by `mubss config defaults`.
# `--config FILE` names a file; without it that is mubss.toml in the folder that MUBSS_GENERAL__DATA_DIR names, or in
# the current one where that isn't set, if there is one.
# MUBSS_<SECTION>__<KEY> in the environment overrides an option (lists: items with commas between).
# `mubss config show` prints what is in force and where each value came from.

"""


@dataclass(frozen=True, slots=True)
class GeneralOptions:
    """What every process needs."""

    data_dir: str = option(
        ".", "Folder that relative paths (the store, licences, invoices) are under; the current one by default."
    )
    timezone: str = option(
        "UTC", "The operator's time zone: tariff bands, months and bill periods follow it.", check=is_zone
    )
    log_level: str = option("info", "Least level that is logged.", choices=("debug", "info", "warning", "error"))
    log_format: str = option(
        "text", "Log lines for people (text) or for a log collector, one JSON object a line.", choices=("text", "json")
    )
    mask_msisdn: bool = option(
        True, "Logs show only the last 3 digits of an MSISDN or IMSI, and of addresses of mail no name."
    )


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """The document store that all processes share."""

    url: str = option(
        "sqlite:///var/mubss.db",
        "sqlite:///relative/to/data_dir.db or sqlite:////absolute/path.db: the embedded store. "
        "mysqlx://user:password@host:33060/schema or mysqlx://user:password@[host1,host2,host3]/schema: MySQL, "
        "see docs/MYSQL.md.",
        check=is_url,
    )
    busy_timeout_ms: int = option(
        5000,
        "How long the store is waited for: SQLite for another process's write, MySQL for a connection or an answer.",
        low=1,
        high=600_000,
        unit="milliseconds",
    )


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
class RefdataOptions:
    """Tariffs and what belongs to them: `mubss ref`."""

    keep_versions: int = option(
        50,
        "Versions before the one in force that can be listed, compared and put again.",
        low=0,
        high=10_000,
        unit="versions",
    )


@dataclass(frozen=True, slots=True)
class MetricsOptions:
    """Each program over HTTP: /metrics for Prometheus, /healthz and /readyz for supervisors; docs/OBSERVING.md."""

    enabled: bool = option(False, "Serve them.")
    host: str = option("127.0.0.1", "Address to listen on.", check=is_host)
    gy_port: int = option(9464, "TCP port of mubss-gy, for all its workers; 0: none.", low=0, high=65_535)
    cdr_port: int = option(9465, "TCP port of mubss-cdr; 0: none.", low=0, high=65_535)
    billing_port: int = option(
        9466,
        "TCP port of mubss-billing; 0: none. That of a second cycle's needs another: MUBSS_METRICS__BILLING_PORT.",
        low=0,
        high=65_535,
    )
    billfmt_port: int = option(9467, "TCP port of mubss-billfmt; 0: none.", low=0, high=65_535)
    crm_port: int = option(9468, "TCP port of mubss-crm; 0: none.", low=0, high=65_535)
    stats_port: int = option(9469, "TCP port of mubss-stats; 0: none.", low=0, high=65_535)
    look_seconds: int = option(
        30,
        "Least time between two counts of what waits in the store; what they cost makes it longer.",
        low=1,
        high=3600,
        unit="seconds",
    )

    def port_of(self, program: str) -> tuple[str, int]:
        """The option of a program's port ("mubss-gy"), and what it is; 0 where it has none."""
        name = f"{program.removeprefix('mubss-')}_port"
        return f"metrics.{name}", int(getattr(self, name, 0))


@dataclass(frozen=True, slots=True)
class TracingOptions:
    """Traces for OpenTelemetry, of Gy requests, RPCs and bill jobs; needs `pip install mubss[otel]`."""

    url: str = option(
        "",
        "Who takes them, by OTLP over HTTP: http://127.0.0.1:4318/v1/traces; none by default.",
        check=is_web_url,
    )
    per_mille: int = option(
        1000, "How many of a thousand are traced; what a traced caller asks always is.", low=1, high=1000
    )


@dataclass(frozen=True, slots=True)
class Config:
    """All that is configured; `sources` says where each value came from: "default", "file:line" or a variable."""

    general: GeneralOptions = GeneralOptions()
    store: StoreOptions = StoreOptions()
    gy: GyOptions = field(default_factory=GyOptions)
    charging: ChargingOptions = ChargingOptions()
    outage: OutageOptions = field(default_factory=OutageOptions)
    refdata: RefdataOptions = RefdataOptions()
    cdr: CdrOptions = field(default_factory=CdrOptions)
    billing: BillingOptions = field(default_factory=BillingOptions)
    billfmt: BillfmtOptions = field(default_factory=BillfmtOptions)
    crm: CrmOptions = field(default_factory=CrmOptions)
    vouchers: VoucherOptions = field(default_factory=VoucherOptions)
    notifications: NotificationOptions = field(default_factory=NotificationOptions)
    stats: StatsOptions = field(default_factory=StatsOptions)
    metrics: MetricsOptions = MetricsOptions()
    license: LicenceOptions = field(default_factory=LicenceOptions)
    doctor: DoctorOptions = field(default_factory=DoctorOptions)
    retention: RetentionOptions = field(default_factory=RetentionOptions)
    tracing: TracingOptions = TracingOptions()
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
    "outage": OutageOptions,
    "refdata": RefdataOptions,
    "cdr": CdrOptions,
    "billing": BillingOptions,
    "billfmt": BillfmtOptions,
    "crm": CrmOptions,
    "vouchers": VoucherOptions,
    "notifications": NotificationOptions,
    "stats": StatsOptions,
    "metrics": MetricsOptions,
    "license": LicenceOptions,
    "doctor": DoctorOptions,
    "retention": RetentionOptions,
    "tracing": TracingOptions,
}


def load(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in force: defaults, then the file, then the environment.

    Without `path` it is mubss.toml in the folder of MUBSS_GENERAL__DATA_DIR, or the current one, if there is one.
    ConfigError lists every fault, one a line.
    """
    file = file_of(path, environ)
    text = _read(file) if path is not None or file.is_file() else ""
    reader = Reader(_parse(text, file), environ, str(file), find_lines(text))
    sections = reader.read(SECTIONS)
    if not reader.faults:
        reader.faults += peer_faults(sections["gy"], file)
    if reader.faults:
        raise ConfigError("\n".join(reader.faults))
    return Config(**sections, sources=reader.sources)


def file_of(path: str | Path | None, environ: Mapping[str, str] = os.environ) -> Path:
    """The file that `load` reads, if it is there."""
    return Path(path) if path is not None else Path(environ.get("MUBSS_GENERAL__DATA_DIR", "."), FILE_NAME)


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
