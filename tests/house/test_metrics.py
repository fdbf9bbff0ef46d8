"""What is counted is what a page shows, over all processes of a program, also of those that ended."""

from __future__ import annotations

import subprocess
import sys

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from mubss import metrics
from mubss.metrics import LEAST, MOST, Counter, Gauge, Histogram
from mubss.services.exposition import page
from mubss.services.inside import Members

PROGRAM = "mubss-x"


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of metrics of the test's own."""
    monkeypatch.setattr(metrics, "METRICS", [])


def shown(members: Members | None = None, program: str = PROGRAM) -> list[str]:
    """The lines of a page that are no comments."""
    body, kind = page(program, (members or Members(program)).values(), "")
    assert kind.startswith("text/plain")
    return [line for line in body.decode().splitlines() if not line.startswith("#")]


@pytest.mark.usefixtures("own")
def test_a_page_shows_what_was_counted() -> None:
    answers = Counter("t_answers", "Answers", "type", "result")
    answers.inc("1", "2001")
    answers.inc("1", "2001", by=2)
    Gauge("t_peers", "Peers").set(3)
    size = Histogram("t_size", "Sizes", (1, 2, 4))
    for value in (1, 2, 2, 3, 9):
        size.observe(value)
    by_step = Histogram("t_step", "Steps", (1,), "step")
    by_step.observe(0.5, "begin")
    by_step.observe(2, "begin")
    assert shown() == [
        't_answers_total{result="2001",type="1"} 3.0',
        "t_peers 3.0",
        't_size_bucket{le="1"} 1.0',
        't_size_bucket{le="2"} 3.0',
        't_size_bucket{le="4"} 4.0',
        't_size_bucket{le="+Inf"} 5.0',
        "t_size_count 5.0",
        "t_size_sum 17.0",
        't_step_bucket{le="1",step="begin"} 1.0',
        't_step_bucket{le="+Inf",step="begin"} 2.0',
        't_step_count{step="begin"} 2.0',
        't_step_sum{step="begin"} 2.5',
    ]
    assert answers.total == 3


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=abc", "text/plain; version=0.0.4"),
        (";;,,==\xff", "text/plain; version=0.0.4"),
    ],
)
def test_a_page_is_in_the_form_that_is_asked_for(accept: str, kind: str) -> None:
    metrics.BATCH_SECONDS.observe(0.003)
    body, told = page("mubss-gy", Members("mubss-gy").values(), accept)
    assert told.startswith(kind)
    parse = openmetrics if "openmetrics" in told else plain_text
    found = {one.name: one for one in parse(body.decode())}
    assert {one.name for one in metrics.of_program("mubss-gy")} == found.keys()
    [count] = [one.value for one in found["mubss_batch_seconds"].samples if one.name.endswith("_count")]
    assert count >= 1


@pytest.mark.usefixtures("own")
def test_processes_are_shown_together() -> None:
    count, total = Counter("t_count", "Count"), Gauge("t_sum", "Sum")
    most, least = Gauge("t_most", "Most", merged=MOST), Gauge("t_least", "Least", merged=LEAST)
    size = Histogram("t_size", "Sizes", (1,))
    members = Members(PROGRAM)
    for member, value in ((11, 5), (12, 7)):
        count.values[()] = value
        for gauge in (total, most, least):
            gauge.set(value)
        size.values[()][:] = [value, value, 0]
        members.hear(member, metrics.snapshot(PROGRAM))
    for one in (count, total):
        one.values[()] = 1
    most.values, least.values = {}, {}
    size.values[()][:] = [0.5, 1, 0]
    assert shown(members) == [
        "t_count_total 13.0",
        "t_sum 13.0",
        "t_most 7.0",
        "t_least 5.0",
        't_size_bucket{le="1"} 13.0',
        't_size_bucket{le="+Inf"} 13.0',
        "t_size_count 13.0",
        "t_size_sum 12.5",
    ]
    members.leave(12)
    members.leave(12)
    assert shown(members)[:4] == ["t_count_total 13.0", "t_sum 6.0", "t_most 5.0", "t_least 5.0"]
    members.leave(11)
    assert shown(members)[:3] == ["t_count_total 13.0", "t_sum 1.0", 't_size_bucket{le="1"} 13.0']


@pytest.mark.usefixtures("own")
def test_a_worker_of_another_version_is_understood_as_far_as_it_goes() -> None:
    Histogram("t_size", "Sizes", (1,))
    Counter("t_count", "Count")
    members = Members(PROGRAM)
    members.hear(1, {"t_new": {"values": [[[], 3]]}, "t_size": {"values": [[[], [1.0, 1]]]}})
    members.hear(2, {"t_count": {"values": [[[], 3]]}})
    assert shown(members)[0] == 't_size_bucket{le="1"} 0.0'
    assert shown(members)[-1] == "t_count_total 3.0"


@pytest.mark.usefixtures("own")
def test_a_program_shows_its_own_metrics_and_those_of_all() -> None:
    for name in ("mubss_gy_x", "mubss_cdr_x", "mubss_store_x"):
        Counter(name, "X").inc()
    assert shown(program="mubss-gy") == ["mubss_gy_x_total 1.0", "mubss_store_x_total 1.0"]
    assert shown(program="mubss-crm") == ["mubss_store_x_total 1.0"]


def test_names_follow_the_rules_of_prometheus() -> None:
    names = [one.name for one in metrics.METRICS]
    assert len(names) == len(set(names))
    for one in metrics.METRICS:
        assert one.name.startswith("mubss_") and one.name == one.name.lower() and one.text
        assert not one.name.endswith(("_total", "_count", "_sum", "_bucket")), "prometheus_client adds these"
        assert not (isinstance(one, Histogram) and "le" in one.labels)


def test_counting_needs_no_prometheus_client() -> None:
    program = "import sys, mubss.metrics; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
