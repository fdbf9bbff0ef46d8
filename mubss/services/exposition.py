"""What was counted, as Prometheus reads it: the text format, or OpenMetrics for who asks for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mubss.metrics import Counter, Histogram, Labels, Metric, of_program


def page(program: str, values: Mapping[str, Mapping[Labels, Any]], accept: str) -> tuple[bytes, str]:
    """(the page, its Content-Type) of the merged values of a program's processes; `accept` is the asker's header."""
    from prometheus_client.exposition import choose_encoder  # 76 ms: a process that serves none never loads it

    try:
        encoder, kind = choose_encoder(accept)
    except (TypeError, ValueError):  # it doesn't take a version that is none
        encoder, kind = choose_encoder("")
    return encoder(_Families(program, values)), kind


class _Families:
    """What prometheus_client asks a registry for."""

    def __init__(self, program: str, values: Mapping[str, Mapping[Labels, Any]]) -> None:
        self._program = program
        self._values = values

    def collect(self) -> Iterator[Any]:
        """The metrics, each a family of prometheus_client's."""
        for metric in of_program(self._program):
            yield _family(metric, self._values.get(metric.name, {}))


def _family(metric: Metric, values: Mapping[Labels, Any]) -> Any:
    from prometheus_client import core

    if isinstance(metric, Histogram):
        family = core.HistogramMetricFamily(metric.name, metric.text, labels=metric.labels)
        for labels, (total, *counts) in values.items():
            below, buckets = 0, []
            for bound, count in zip((*metric.bounds, "+Inf"), counts, strict=True):
                below += count
                buckets.append((str(bound), below))
            family.add_metric(labels, buckets, total)
        return family
    kind = core.CounterMetricFamily if isinstance(metric, Counter) else core.GaugeMetricFamily
    plain = kind(metric.name, metric.text, labels=metric.labels)
    for labels, value in values.items():
        plain.add_metric(labels, value)
    return plain
