"""What is counted is what a scrape shows."""

from __future__ import annotations

import subprocess
import sys
from urllib.request import urlopen

import pytest

from mubss import metrics


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of metrics of the test's own."""
    monkeypatch.setattr(metrics, "METRICS", [])


@pytest.mark.usefixtures("own")
def test_a_scrape_shows_what_was_counted() -> None:
    answers = metrics.Counter("t_answers", "Answers", "type", "result")
    answers.inc("1", "2001")
    answers.inc("1", "2001", by=2)
    metrics.Gauge("t_peers", "Peers").set(3)
    size = metrics.Histogram("t_size", "Sizes", (1, 2, 4))
    for value in (1, 2, 2, 3, 9):
        size.observe(value)
    port = metrics.serve("127.0.0.1", 0)
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    assert 't_answers_total{result="2001",type="1"} 3.0' in lines
    assert "t_peers 3.0" in lines
    buckets = [line for line in lines if line.startswith("t_size")]
    assert buckets == [
        't_size_bucket{le="1"} 1.0',
        't_size_bucket{le="2"} 3.0',
        't_size_bucket{le="4"} 4.0',
        't_size_bucket{le="+Inf"} 5.0',
        "t_size_count 5.0",
        "t_size_sum 17.0",
    ]
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


def test_counting_needs_no_prometheus_client() -> None:
    program = "import sys, mubss.metrics; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
