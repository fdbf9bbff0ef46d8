"""What this system counts, for Prometheus.

Counting is plain integer work in the process: no lock (some of it runs in native threads under gevent, where a
lock would be a green one) and no prometheus_client (76 ms to import): services/exposition.py knows that one. A count
is lost only when two threads meet on one metric at once, which a monitoring figure can bear.

A process shows what is its program's: `mubss_gy_…` is mubss-gy's alone, `mubss_batch_…` that of all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

Labels = tuple[str, ...]
Snapshot = dict[str, dict[str, Any]]  # name → {"values": [[labels, value], …]}, as msgpack and JSON take it

SUM, MOST, LEAST = "sum", "most", "least"


class Metric:
    """One name, with a value for each tuple of label values."""

    kind = ""

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self.name = name
        self.text = text
        self.labels = labels
        self.values: dict[Labels, Any] = {} if labels else {(): self._none()}
        METRICS.append(self)

    def _none(self) -> Any:
        return 0

    def merge(self, one: Any, other: Any) -> Any:
        """What two processes have, together."""
        return one + other

    def plain(self) -> list[list[Any]]:
        """[labels, value] for each value, to be sent to another process."""
        return [[list(labels), value] for labels, value in list(self.values.items())]


class Counter(Metric):
    """A count that only grows."""

    kind = "counter"

    def inc(self, *labels: str, by: int = 1) -> None:
        """Adds to the count of these label values, given in the order of the metric's labels."""
        self.values[labels] = self.values.get(labels, 0) + by

    @property
    def total(self) -> int:
        """Over all labels."""
        return int(sum(list(self.values.values())))


class Gauge(Metric):
    """A value that goes up and down; `merged` says what the processes of a program have together."""

    kind = "gauge"

    def __init__(self, name: str, text: str, *labels: str, merged: str = SUM) -> None:
        super().__init__(name, text, *labels)
        self.measure: Callable[[], dict[Labels, Any]] | None = None  # what is asked for the values when they are read
        self.merged = merged
        if merged != SUM:
            self.values = {}  # a 0 that nobody measured would count as the least

    def set(self, value: float, *labels: str) -> None:
        """Replaces the value."""
        self.values[labels] = value

    def set_all(self, values: dict[Labels, int]) -> None:
        """Replaces all values; what isn't among them is gone."""
        self.values = values

    def plain(self) -> list[list[Any]]:
        if self.measure is not None:
            self.values = self.measure()
        return super().plain()

    def merge(self, one: Any, other: Any) -> Any:
        if self.merged == SUM:
            return one + other
        return max(one, other) if self.merged == MOST else min(one, other)


class Histogram(Metric):
    """How often observed values fell at or below each bound, with their sum: a value is [sum, counts …]."""

    kind = "histogram"

    def __init__(self, name: str, text: str, bounds: tuple[float, ...], *labels: str) -> None:
        self.bounds = bounds
        super().__init__(name, text, *labels)
        self._plain: list[Any] | None = None if labels else self.values[()]

    def _none(self) -> list[Any]:
        return [0.0] + [0] * (len(self.bounds) + 1)

    def observe(self, value: float, *labels: str) -> None:
        """Takes one observation."""
        found = self._plain or self.values.get(labels)
        if found is None:
            found = self.values[labels] = self._none()
        found[bisect_left(self.bounds, value) + 1] += 1
        found[0] += value

    def merge(self, one: Any, other: Any) -> Any:
        return [a + b for a, b in zip(one, other, strict=True)]

    def plain(self) -> list[list[Any]]:
        return [[list(labels), list(value)] for labels, value in list(self.values.items())]


def peer_label(host: str) -> str:
    """A peer's name as a label: "other" once MAX_PEERS have theirs, so that strangers can't make metrics at will."""
    host = host.lower()
    if host not in _peers and len(_peers) < MAX_PEERS:
        _peers.add(host)
    return host if host in _peers else "other"


def of_program(program: str) -> Iterator[Metric]:
    """The metrics that a program ("mubss-gy") has: its own, and those of all."""
    own = program.removeprefix("mubss-")
    for metric in METRICS:
        word = metric.name.split("_")[1]
        if word == own or word not in OWNERS:
            yield metric


def snapshot(program: str) -> Snapshot:
    """What this process has counted, as it stands."""
    return {metric.name: {"values": metric.plain()} for metric in of_program(program)}


def merged(snapshots: list[Snapshot]) -> dict[str, dict[Labels, Any]]:
    """Name → labels → value over several processes; what isn't known here, or has other bounds, is left out."""
    known = {metric.name: metric for metric in METRICS}
    found: dict[str, dict[Labels, Any]] = {}
    for one in snapshots:
        for name, given in one.items():
            if (metric := known.get(name)) is None:
                continue  # a worker of another version
            values = found.setdefault(name, {})
            for labels, value in given["values"]:
                key = tuple(labels)
                try:
                    values[key] = metric.merge(values[key], value) if key in values else value
                except (TypeError, ValueError):
                    continue
    return found


METRICS: list[Metric] = []
OWNERS = frozenset(("gy", "cdr", "billing", "billfmt", "crm", "stats"))  # words that name a program
MAX_PEERS = 256
_peers: set[str] = set()

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_LONG_SECONDS = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600)

# What every program has.
BATCH_SIZE = Histogram("mubss_batch_size", "Commands in a charging batch", (1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
BATCH_WAIT_SECONDS = Histogram("mubss_batch_wait_seconds", "Wait of a batch's oldest command before it began", _SECONDS)
BATCH_SECONDS = Histogram("mubss_batch_seconds", "One batch, from its BEGIN to its COMMIT", _SECONDS)
STORE_SECONDS = Histogram(
    "mubss_store_seconds", "What the store took of a batch: begin (lock and read), commit (write)", _SECONDS, "step"
)
STORE_CONFLICTS = Counter("mubss_store_conflicts", "Batches rolled back and tried again")
STORE_UP = Gauge("mubss_store_up", "Whether the store answered when it was last asked: 1 or 0", merged=LEAST)
POOL_CONNECTIONS = Gauge("mubss_pool_connections", "Connections to MySQL, by state: idle, used", "state")
POOL_WAITS = Counter("mubss_pool_waits", "Units of work that found all connections to MySQL in use")
LOG_LINES = Counter("mubss_log_lines", "Lines that were logged, by level", "level")
LOG_DROPPED = Counter("mubss_log_dropped", "Lines that whoever takes the log was too slow for, or refused")
LOOK_SECONDS = Gauge("mubss_look_seconds", "How long it took to count what waits in the store, last time", merged=MOST)
CPU_SECONDS = Counter("mubss_cpu_seconds", "Processor time of the program's processes")
MEMORY_BYTES = Gauge("mubss_memory_bytes", "Resident memory of the program's processes")
OPEN_FILES = Gauge("mubss_open_files", "File descriptors of the program's processes")
PROCESSES = Gauge("mubss_processes", "Processes of the program that are counted together")
UPTIME_SECONDS = Gauge("mubss_uptime_seconds", "Since when the youngest of the program's processes runs", merged=LEAST)
LICENCE_DAYS = Gauge(
    "mubss_licence_days", "Whole days to the end of the licence; negative once it is past", merged=LEAST
)
LICENCE_VALID = Gauge(
    "mubss_licence_valid", "Whether a licence that is good was there when it was last looked at: 1 or 0", merged=LEAST
)
READY = Gauge("mubss_ready", "Whether the program serves: 1 or 0, as /readyz says it")

# mubss-gy
GY_PEERS = Gauge("mubss_gy_peers", "DIAMETER connections that are open")
GY_PENDING = Gauge("mubss_gy_pending", "CCRs under way, by peer", "peer")
GY_QUEUE = Gauge("mubss_gy_queue", "CCRs that wait for their batch")
GY_ANSWERS = Counter(
    "mubss_gy_answers", "CCAs sent, by peer, CC-Request-Type and Result-Code", "peer", "type", "result"
)
GY_ANSWER_SECONDS = Histogram("mubss_gy_answer_seconds", "From a CCR's last octet to its answer's first", _SECONDS)
GY_LATE_ANSWERS = Counter("mubss_gy_late_answers", "CCAs not sent, because the deadline had passed", "peer")
GY_SESSION_REQUESTS = Counter("mubss_gy_session_requests", "RARs and ASRs answered", "command", "result")
GY_SESSIONS = Gauge("mubss_gy_sessions", "Open sessions in the store", merged=MOST)
GY_OUTBOX = Gauge("mubss_gy_outbox", "RARs and ASRs that wait to be sent", merged=MOST)
GY_SUSPENSE = Gauge("mubss_gy_suspense", "Reports in suspense: no account could be charged for them", merged=MOST)
GY_RESERVED = Gauge("mubss_gy_reserved_micros", "What open sessions may still use", "currency", merged=MOST)
GY_OVERDRAWN = Gauge("mubss_gy_overdrawn_micros", "Owed by accounts beyond their limit", "currency", merged=MOST)
GY_OVERDRAWN_ACCOUNTS = Gauge("mubss_gy_overdrawn_accounts", "Accounts beyond their limit", merged=MOST)
GY_OUTAGE_ANSWERS = Counter("mubss_gy_outage_answers", "CCRs answered from the journal while the store was away")
GY_OUTAGE_WAITING = Gauge("mubss_gy_outage_waiting", "Of these, those that aren't in the store yet")
GY_OUTAGE_RISK = Gauge("mubss_gy_outage_risk_micros", "What those may come to beyond what the store knows of")

# mubss-cdr
CDR_FILES = Counter("mubss_cdr_files", "CDR files, by what became of them: loaded, refused", "outcome")
CDR_RECORDS = Counter("mubss_cdr_records", "CDRs of files that were loaded, by what became of them", "outcome")
CDR_WAITING = Gauge("mubss_cdr_files_waiting", "CDR files in the folder that aren't dealt with yet")
CDR_STUCK = Gauge("mubss_cdr_files_stuck", "CDR files that are dealt with and can't be moved away")
CDR_PASS_SECONDS = Histogram("mubss_cdr_pass_seconds", "A pass over the folder", _LONG_SECONDS)
CDR_SUSPENSE = Gauge("mubss_cdr_suspense", "CDRs in suspense: nobody could be charged for them", merged=MOST)

# mubss-billing
BILLING_JOBS = Counter("mubss_billing_jobs", "Activities that ended here, by kind and state", "kind", "state")
BILLING_JOB_SECONDS = Histogram("mubss_billing_job_seconds", "An activity, from its begin to its end", _LONG_SECONDS)
BILLING_WAITING = Gauge("mubss_billing_jobs_waiting", "Activities of the cycle that wait to be done", merged=MOST)
BILLING_ACCOUNTS = Counter("mubss_billing_accounts", "Accounts that bill runs dealt with, by outcome", "outcome")
BILLING_DUNNED = Counter("mubss_billing_dunned", "Overdue bills that went a step up the ladder")

# mubss-billfmt
BILLFMT_BILLS = Counter("mubss_billfmt_bills", "Bills, by what became of them: rendered, failed", "outcome")
BILLFMT_SECONDS = Histogram("mubss_billfmt_seconds", "A bill's PDF, from its data to its file", _LONG_SECONDS)
BILLFMT_WAITING = Gauge("mubss_billfmt_waiting", "Issued bills that wait for their PDF", merged=MOST)
BILLFMT_FAILED = Gauge("mubss_billfmt_failed", "Issued bills whose PDF can't be made", merged=MOST)

# mubss-stats
STATS_DOCUMENTS = Counter("mubss_stats_documents", "Documents that statistics have counted")
STATS_PASS_SECONDS = Histogram("mubss_stats_pass_seconds", "A pass over what is new in the store", _LONG_SECONDS)
STATS_FAULTS = Gauge("mubss_stats_faults", "Documents that the last pass couldn't count")

# mubss-crm
CRM_CALLS = Counter("mubss_crm_calls", "RPCs that ended, by method and status", "method", "code")
CRM_SECONDS = Histogram("mubss_crm_call_seconds", "An RPC with one answer", _SECONDS, "method")
CRM_UNDER_WAY = Gauge("mubss_crm_calls_under_way", "RPCs that are under way")
CRM_REFUSED = Counter("mubss_crm_refused", "RPCs that were refused at the door, by status", "code")
CRM_NOTIFICATIONS = Counter("mubss_crm_notifications", "Notifications, by what became of a try", "outcome")
CRM_NOTIFICATIONS_WAITING = Gauge("mubss_crm_notifications_waiting", "Notifications that are due", merged=MOST)
CRM_NOTIFICATIONS_DEAD = Gauge("mubss_crm_notifications_dead", "Notifications that no sink takes", merged=MOST)
