"""`scripts/bench all`: what it runs, what a cut-off run leaves, what it writes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench_all import is_kept
from benching.charts import draw, points
from benching.peers import SIGSCALE
from benching.plan import AXES, NAMES, SCRIPTS, Job, jobs
from benching.raw import Raw, Result, to_do
from benching.report import report
from benching.rows import Row

MACHINE = {"processor": "one | two", "Python": "3.11.7"}
CODEC = Job("codec", "", ("1",))


def result(job: str, number: int, rows: list[Row], error: str = "", command: str = "scripts/bench x") -> Result:
    return Result(job, number, command, f"2026-11-29T1{number}:00:00+00:00", 1.5, MACHINE, rows, error)


def gy(number: int, rate: float) -> Result:
    """A round of `bench gy` on SQLite."""
    rows = [
        Row(table, f"{depth} in flight", {"CCR/s": rate * depth / slower, "p50 ms": 1.0})
        for table, slower in (("mubss-gy", 1), ("mubss-gy, one transaction for each CCR", 4))
        for depth in (1, 64)
    ]
    rows.append(Row("mubss-gy", "1,000/s offered", {"CCR/s": 1000, "p50 ms": 1.0}))
    return result("gy sqlite", number, rows)


def test_every_benchmark_that_there_is_belongs_to_all() -> None:
    scripts = {path.stem.removeprefix("bench_") for path in SCRIPTS.glob("bench_*.py")}
    assert set(NAMES) == scripts - {"all"}


@pytest.mark.parametrize("quick", [False, True])
def test_each_job_has_a_name_of_its_own(quick: bool) -> None:
    found = jobs([], [], quick=quick)
    assert len({job.name for job in found}) == len(found)
    assert {job.bench for job in found} == set(NAMES)
    assert {job.store for job in found if job.bench == "gy"} == {"sqlite", "mysql"}
    assert {job.axis for job in found if job.bench == "growth"} == set(AXES)


def test_jobs_are_chosen_by_benchmark_and_store() -> None:
    assert [job.name for job in jobs(["codec", "gy"], ["mysql"], quick=False)] == ["gy mysql", "codec"]
    assert jobs(["gy"], ["mysql"], quick=False)[0].told.startswith(
        "scripts/bench gy --store mysql --compiled --depths 1,8"
    )


@pytest.mark.parametrize(("only", "stores", "said"), [(["gz"], [], "--only: gz"), ([], ["oracle"], "--stores: oracle")])
def test_unknown_names_are_refused_with_the_known_ones(only: list[str], stores: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=f"{said}; expected some of"):
        jobs(only, stores, quick=False)


def test_a_cut_off_run_goes_on_where_it_was(tmp_path: Path) -> None:
    raw = Raw(tmp_path / "raw.jsonl")
    done = result("codec", 1, [Row("codec", "decode", {"CPU µs": 9.5})], command=CODEC.told)
    raw.append(done)
    raw.append(result("codec", 2, [], "exit code 1", CODEC.told))
    with raw.path.open("a") as file:
        file.write('{"job": "codec", "rou')  # a kill
    assert [one.round for one in raw.results()] == [1, 2]
    assert raw.results()[0] == done
    assert to_do([CODEC], 3, raw.results()) == [(2, CODEC), (3, CODEC)]
    assert to_do([CODEC._replace(arguments=("2",))], 1, raw.results()) != []  # other settings are another measurement
    raw.keep(lambda one: not one.error)
    assert raw.results() == [done]


@pytest.mark.parametrize(
    ("job", "command", "error", "resumed", "anew"),
    [
        ("codec", CODEC.told, "", True, False),
        ("codec", "scripts/bench codec 9", "", False, False),  # of other settings: never in one median
        ("codec", CODEC.told, "exit code 1", False, False),
        ("rate", "scripts/bench rate", "", True, True),  # isn't measured now
        ("rate", "scripts/bench rate", "exit code 1", False, False),
    ],
)
def test_which_former_results_stay(job: str, command: str, error: str, resumed: bool, anew: bool) -> None:
    one = result(job, 1, [], error, command)
    commands = {CODEC.name: CODEC.told}
    assert is_kept(commands, one, resume=True) is resumed
    assert is_kept(commands, one, resume=False) is anew


def test_rounds_go_round() -> None:
    other = Job("rate", "", ())
    assert [(number, job.name) for number, job in to_do([CODEC, other], 2, [])] == [
        (1, "codec"),
        (1, "rate"),
        (2, "codec"),
        (2, "rate"),
    ]


def test_the_report_has_medians_spread_machine_commands_and_baselines() -> None:
    text = report(
        [gy(1, 90), gy(2, 110), gy(3, 100)], ["gy-depths.svg"], "scripts/bench all", ["crm mysql, round 1: x"]
    )
    assert "median of 3 rounds" in text
    assert "| 64 in flight | 6,400 (5,760–7,040) | 1 |" in text
    assert "| processor | one / two |" in text
    assert "| measured | 2026-11-29T11:00:00+00:00 to 2026-11-29T13:00:00+00:00 |" in text
    assert "    scripts/bench x" in text and "![gy-depths](gy-depths.svg)" in text
    assert "| CCR/s at 64 in flight, SQLite: batches / one transaction for each CCR | 6,400 | 1,600 | 4.0 |" in text
    assert "**Not measured:** crm mysql, round 1: x." in text
    assert SIGSCALE.name in text
    assert "## mubss-crm" not in text


def test_a_report_of_nothing_is_one_too() -> None:
    assert "# Figures" in report([], [], "scripts/bench all", [])


def test_charts_are_of_medians_and_the_same_for_the_same_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    growing = [Row("growth with peers", f"{peers:,} peers", {"server CPU µs/CCR": 90.0}) for peers in (1, 1000)]
    layers = [Row("a CCR's CPU by layer, 64 in flight", "read: x", {"CPU µs/CCR": 9.0})]
    results = [gy(1, 90), gy(2, 110), result("growth peers sqlite", 1, growing), result("layers mysql", 1, layers)]
    assert draw(results, tmp_path) == ["gy-depths.svg", "gy-layers.svg", "growth-peers.svg"]
    before = (tmp_path / "gy-depths.svg").read_bytes()
    draw(results, tmp_path)
    assert (tmp_path / "gy-depths.svg").read_bytes() == before
    found = points(results, "growth", "sqlite", "growth with peers", "server CPU µs/CCR")
    assert list(found) == [1, 1000] and found[1].median == 90
    assert draw([], tmp_path) == []


def test_it_runs_resumes_and_reports(tmp_path: Path) -> None:
    """A real benchmark, twice: the second time there is nothing left to do."""
    command = [sys.executable, str(SCRIPTS / "bench_all.py"), "--quick", "--only", "rate", "--rounds", "1"]
    command += ["--folder", str(tmp_path), "--resume"]
    for said in ("1 of 1 jobs to do", "0 of 1 jobs to do"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and said in done.stderr, done.stderr
    [line] = (tmp_path / "raw.jsonl").read_text().splitlines()
    assert json.loads(line)["command"] == "scripts/bench rate --seconds 0.02"
    assert "| apply, CCR-U of a data session |" in (tmp_path / "FIGURES.md").read_text()


def test_an_interrupted_run_says_how_it_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "bench_all.py"), "--quick", "--only", "rate", "--folder", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("5 of 5 jobs to do")
        process.send_signal(signal.SIGTERM)
        told = process.stderr.read()
    assert process.returncode == 130
    assert "interrupted; --resume goes on" in told


@pytest.mark.parametrize("bench", ["gy", "engine", "store", "cdr", "billing", "crm", "metrics"])
def test_a_benchmark_runs(tmp_path: Path, bench: str) -> None:
    """With tiny settings, on the embedded store; those left out take long, or need more than tests have."""
    command = [sys.executable, str(SCRIPTS / "bench_all.py"), "--quick", "--only", bench, "--stores", "sqlite"]
    done = subprocess.run(
        [*command, "--rounds", "1", "--folder", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
