"""What this system counts, for Prometheus.

Counting is plain integer work in the process: no lock (some of it runs in native threads under gevent, where a
lock would be a green one) and no prometheus_client (76 ms to import) before `serve` is called. A count is lost
only when two threads meet on one metric at once, which a monitoring figure can bear.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any


class Metric:
    """One name, with a value for each tuple of label values."""

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self.name = name
        self.text = text
        self.labels = labels
        self.values: dict[tuple[str, ...], int] = {} if labels else {(): 0}
        METRICS.append(self)


class Counter(Metric):
    """A count that only grows."""

    def inc(self, *labels: str, by: int = 1) -> None:
        """Adds to the count of these label values, given in the order of the metric's labels."""
        self.values[labels] = self.values.get(labels, 0) + by


class Gauge(Metric):
    """A value that goes up and down."""

    def set(self, value: int, *labels: str) -> None:
        """Replaces the value."""
        self.values[labels] = value

    def set_all(self, values: dict[tuple[str, ...], int]) -> None:
        """Replaces all values; what isn't among them is gone."""
        self.values = values


class Histogram(Metric):
    """How often observed values fell at or below each bound, with their sum."""

    def __init__(self, name: str, text: str, bounds: tuple[float, ...]) -> None:
        super().__init__(name, text)
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Takes one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def peer_label(host: str) -> str:
    """A peer's name as a label: "other" once MAX_PEERS have theirs, so that strangers can't make metrics at will."""
    host = host.lower()
    if host not in _peers and len(_peers) < MAX_PEERS:
        _peers.add(host)
    return host if host in _peers else "other"


def serve(host: str, port: int) -> int:
    """Serves all of this at http://host:port/metrics from a daemon thread; gives the port (chosen where it is 0)."""
    from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

    registry = CollectorRegistry()
    registry.register(_Collector())
    ProcessCollector(registry=registry)
    server, _ = start_http_server(port, host, registry)
    return int(server.server_port)


class _Collector:
    """Hands the metrics to prometheus_client at each scrape."""

    def collect(self) -> Iterator[Any]:
        from prometheus_client import core

        for metric in METRICS:
            if isinstance(metric, Histogram):
                family = core.HistogramMetricFamily(metric.name, metric.text)
                below, buckets = 0, []
                for bound, count in zip((*metric.bounds, "+Inf"), metric.counts, strict=True):
                    below += count
                    buckets.append((str(bound), below))
                family.add_metric([], buckets, metric.sum)
                yield family
                continue
            kind = core.CounterMetricFamily if isinstance(metric, Counter) else core.GaugeMetricFamily
            plain = kind(metric.name, metric.text, labels=metric.labels)
            for labels, value in list(metric.values.items()):
                plain.add_metric(labels, value)
            yield plain


METRICS: list[Metric] = []
MAX_PEERS = 256
_peers: set[str] = set()

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)

BATCH_SIZE = Histogram("mubss_batch_size", "Commands in a charging batch", (1, 2, 4, 8, 16, 32, 64, 128, 256, 512))
BATCH_WAIT_SECONDS = Histogram("mubss_batch_wait_seconds", "Wait of a batch's oldest command before it began", _SECONDS)
BATCH_SECONDS = Histogram("mubss_batch_seconds", "One batch, from its BEGIN to its COMMIT", _SECONDS)
STORE_CONFLICTS = Counter("mubss_store_conflicts", "Batches rolled back and tried again")
GY_PEERS = Gauge("mubss_gy_peers", "DIAMETER connections that are open")
GY_PENDING = Gauge("mubss_gy_pending", "CCRs under way, by peer", "peer")
GY_ANSWERS = Counter(
    "mubss_gy_answers", "CCAs sent, by peer, CC-Request-Type and Result-Code", "peer", "type", "result"
)
GY_LATE_ANSWERS = Counter("mubss_gy_late_answers", "CCAs not sent, because the deadline had passed", "peer")
GY_SESSION_REQUESTS = Counter("mubss_gy_session_requests", "RARs and ASRs answered", "command", "result")
LICENCE_DAYS = Gauge("mubss_licence_days", "Whole days to the end of the licence; negative once it is past")
