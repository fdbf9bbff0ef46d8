"""Rows of benchmarks: as tables, with medians and spread, and as JSON."""

from __future__ import annotations

import pytest

from benching.rows import Row, columns, from_line, gather, median_table, plain, show, spread, to_line

ROWS = [
    Row("gy", "1 in flight", {"CCR/s": 900, "p50 ms": 1.0}),
    Row("gy", "64 in flight", {"CCR/s": 7000, "p50 ms": 8.125}),
    Row("gy", "1 in flight", {"CCR/s": 1100, "p50 ms": 1.5}),
    Row("crm", "TopUp", {"calls/s": 300}),
]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (7.0, "7"),
        (0.854, "0.85"),
        (12.34, "12.3"),
        (99.96, "100.0"),
        (123.4, "123"),
        (7244, "7,244"),
    ],
)
def test_figures_have_three_digits_that_count(value: float, text: str) -> None:
    assert plain(value) == text


@pytest.mark.parametrize("row", ROWS)
def test_a_row_comes_back_from_its_line(row: Row) -> None:
    assert "\n" not in to_line(row) and from_line(to_line(row)) == row


def test_rounds_are_gathered_in_the_order_they_came() -> None:
    found = gather(ROWS)
    assert list(found) == [("gy", "1 in flight"), ("gy", "64 in flight"), ("crm", "TopUp")]
    assert [one["CCR/s"] for one in found["gy", "1 in flight"]] == [900, 1100]


def test_the_median_has_its_spread() -> None:
    assert spread([3, 1, 2]) == (2, 1, 3)
    text = median_table({"a": [{"CCR/s": 900}, {"CCR/s": 1100}, {"CCR/s": 1000}], "b": [{"p50 ms": 2.0}]})
    assert text.splitlines() == [
        "|  | CCR/s | p50 ms |",
        "|---|---|---|",
        "| a | 1,000 (900–1,100) |  |",
        "| b |  | 2 |",
    ]
    assert columns([{"a": 1}, {"b": 1, "a": 2}]) == ["a", "b"]


def test_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, as_json=False)
    told = capsys.readouterr().out
    assert "| 64 in flight | 7,000 | 8.12 |" in told
    assert "medians (least to most)\n\ngy\n\n|  | CCR/s | p50 ms |" in told
    assert "| 1 in flight | 1,000 (900–1,100) | 1.25 (1–1.50) |" in told
    assert "TopUp" not in told.partition("medians")[2]
    show(ROWS, as_json=True)
    assert [from_line(line) for line in capsys.readouterr().out.splitlines()] == ROWS
