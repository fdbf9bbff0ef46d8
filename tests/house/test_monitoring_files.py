"""conf/grafana and conf/prometheus ask for what the programs show: every metric, label and command in them is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import click
import promql_parser
import pytest
import yaml

from mubss import metrics
from mubss.cli.main import cli
from mubss.config import MetricsOptions, data_path
from mubss.metrics import Histogram
from mubss.services.control import PROGRAMS
from mubss.services.exposition import page
from mubss.services.inside import Members

# What Prometheus itself adds.
OF_PROMETHEUS = {"up"}
LABELS = {"job", "instance", "le"}
WORDS = set(
    "sum min max by rate increase delta resets histogram_quantile topk and or".split()  # PromQL
)


def alerts() -> list[dict[str, Any]]:
    text = data_path("conf/prometheus/alerts.yml").read_text("utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    found = json.loads(data_path("conf/grafana/mubss.json").read_text("utf-8"))["panels"]
    return [one for one in found if one["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """(where, what is asked)."""
    for rule in alerts():
        yield f"alert {rule['alert']}", rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"]


def shown() -> dict[str, set[str]]:
    """Every series that the programs show → its labels, as prometheus_client writes them."""
    found: dict[str, set[str]] = {}
    for program in PROGRAMS:
        body, _ = page(program, Members(program).values(), "")
        kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", body.decode(), re.M))
        for metric in metrics.of_program(program):
            labels = {*metric.labels, *LABELS}
            if isinstance(metric, Histogram):
                assert kinds[metric.name] == "histogram"
                found |= {f"{metric.name}_{part}": labels for part in ("bucket", "sum", "count")}
            else:
                name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
                assert kinds[name] == metric.kind
                found[name] = labels
    return found


def faults(expression: str, known: dict[str, set[str]]) -> Iterator[str]:
    """What an expression asks for that nobody shows."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    names = set(re.findall(r"[a-z_]+[a-z](?=[\[{ )]|$)", re.sub(r"\{[^}]*\}|by \([^)]*\)", " ", bare)))
    used = {name for name in names if name.startswith("mubss") or name not in WORDS | OF_PROMETHEUS}
    used = {name for name in used if not name.startswith("__") and name not in ("rate_interval",)}
    for name in used - known.keys():
        yield f"{name}: no program shows it"
    labels = set().union(*(known[name] for name in used & known.keys())) or LABELS
    for inner in re.findall(r"\{([^}]*)\}|by \(([^)]*)\)", bare):
        for label in re.findall(r"([a-z_]+)(?=\s*[=!,]|\s*$)", inner[0] or inner[1]):
            if label not in labels:
                yield f"{label}: no label of {', '.join(sorted(used))}"


def test_every_expression_asks_for_what_there_is() -> None:
    known = shown()
    asked = list(expressions())
    assert len(asked) > 60
    for _, what in asked:
        promql_parser.parse(what.replace("$__rate_interval", "1m"))  # Grafana puts a length of time there
    assert [f"{where}: {fault}" for where, what in asked for fault in faults(what, known)] == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("mubss_gy_peer == 0", "mubss_gy_peer: no program shows it"),
        ("rate(mubss_gy_answers[5m])", "mubss_gy_answers: no program shows it"),
        ('sum(rate(mubss_gy_answers_total{code="3004"}[5m]))', "code: no label of mubss_gy_answers_total"),
        ("sum by (jobs) (mubss_gy_peers)", "jobs: no label of mubss_gy_peers"),
        ("sum by (le) (rate(mubss_gy_answer_seconds[5m]))", "mubss_gy_answer_seconds: no program shows it"),
    ],
)
def test_a_slip_is_found(expression: str, fault: str) -> None:
    assert list(faults(expression, shown())) == [fault]


def test_every_metric_is_on_the_dashboard() -> None:
    text = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    assert [one.name for one in metrics.METRICS if not re.search(rf"\b{one.name}(_total|_bucket|_sum)?\b", text)] == []


def test_alerts_say_how_bad_it_is_and_what_to_do() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert len(names) == len(set(names))
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"].keys() == {"summary", "action"}, rule["alert"]


def test_commands_that_alerts_name_are_there() -> None:
    asked = [
        words.split() for rule in alerts() for words in re.findall(r"`mubss ([^`]+)`", rule["annotations"]["action"])
    ]
    assert len(asked) > 5
    for words in asked:
        command: click.Command = cli
        for word in words:
            if isinstance(command, click.Group):
                found = command.get_command(click.Context(command), word)
                assert found is not None, words
                command = found
            elif word.startswith("--"):
                assert any(word in option.opts for option in command.params), words


def test_prometheus_is_told_the_ports_of_all_programs() -> None:
    text = data_path("conf/prometheus/prometheus.yml").read_text("utf-8")
    found = {one["job_name"]: one["static_configs"][0]["targets"] for one in yaml.safe_load(text)["scrape_configs"]}
    assert found == {name: [f"127.0.0.1:{MetricsOptions().port_of(name)[1]}"] for name in PROGRAMS}


def test_panels_stand_beside_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
