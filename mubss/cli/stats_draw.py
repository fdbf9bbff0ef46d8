"""How series of statistics are drawn in a terminal: tables, lines of blocks, bars."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mubss.cli.output import money, print_table
from mubss.cli.stats_read import Series
from mubss.core.errors import InputError
from mubss.core.stats_views import Point, totals
from mubss.services.stats_series import starts

_BLOCKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
BAR_LETTERS = 24
LINE_LETTERS = 60

# Metric → dimensions that it is shown by, and the figure of each group.
OVERVIEW: tuple[tuple[str, str, str], ...] = (
    ("subscribers", "state", "count"),
    ("revenue", "", "amount_micros"),
    ("usage", "", "units"),
    ("topups", "", "amount_micros"),
    ("vouchers", "", "count"),
    ("sessions", "event", "count"),
    ("bills", "kind", "total_micros"),
    ("receivables", "", "open_micros"),
    ("arpu", "", "arpu_micros"),
    ("churn", "", "churn_ppm"),
)


def spark(figures: Sequence[int | None]) -> str:
    """A line of blocks, one for each figure, the largest full; where there is none, a blank."""
    there = [one for one in figures if one is not None]
    low, high = min([0, *there]), max([0, *there])
    if high == low:
        return "".join(" " if one is None else _BLOCKS[0] for one in figures)
    return "".join(" " if one is None else _BLOCKS[_height(one, low, high)] for one in figures)


def _height(figure: int, low: int, high: int) -> int:
    """Which block; what is little isn't drawn as nothing."""
    last = len(_BLOCKS) - 1
    height = ((figure - low) * last + (high - low) // 2) // (high - low)
    return max(height, 1) if figure > low else 0


def bar(figure: int, most: int) -> str:
    """A bar as long as the figure's share of the largest; one below 0 has none."""
    if figure <= 0 or most <= 0:
        return ""
    whole, part = divmod(max(1, figure * BAR_LETTERS * 8 // most), 8)
    return "█" * whole + _EIGHTHS[part].strip()


def figure_text(name: str, figure: int, group: Mapping[str, str]) -> str:
    """A figure as people read it: money in its currency, parts of a million as percent, thousands apart."""
    if name.endswith("_micros"):
        return money(figure, group.get("currency", "")).strip()
    if name.endswith("_ppm"):
        return f"{figure // 10_000}.{figure // 100 % 100:02} %"
    return f"{figure:,}"


def chosen_figure(found: Series, wanted: str = "") -> str:
    """The one that is drawn: as wanted, else the last amount there is, else the first; InputError for none of them."""
    names = found.asked.view.metric.figures
    if wanted:
        if wanted not in names:
            raise InputError(f"figure: {wanted[:40]!r}; expected one of {', '.join(names)}")
        return wanted
    amounts = [name for name in names if name.endswith(("_micros", "_ppm"))]
    return amounts[-1] if amounts else names[0]


def print_series(found: Series, figure: str = "", *, each: bool) -> None:
    """A line for each group, with how it went; or for `each` period and group, with a bar."""
    names, drawn, dims = found.asked.view.metric.figures, chosen_figure(found, figure), found.asked.by
    label = found.periods.label
    title = f"{found.asked.view.metric.name} by {found.period}, {label(found.period, found.from_s)}"
    title += f" to {label(found.period, found.periods.start(found.period, found.until_s - 1))}"
    if each:
        most = max((one.figures[drawn] for one in found.points), default=0)
        rows = [
            {
                "period": label(found.period, one.start_s),
                **_texts(one.group, one.figures),
                "bar": bar(one.figures[drawn], most),
            }
            for one in found.points
        ]
        columns = {"period": found.period, **_columns(dims, names), "bar": drawn}
        print_table(rows, columns, title, right=names, spare=("bar",))
        return
    lines = lines_of(found, drawn)
    rows = [
        {**_texts(group, figures), "line": spark(lines[tuple(group.values())][-LINE_LETTERS:])}
        for group, figures in totals(found.asked, found.points)
    ]
    print_table(rows, {**_columns(dims, names), "line": f"{drawn} over time"}, title, right=names, spare=("line",))


def _columns(dims: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    shown = (*(name for name in dims if name != "currency"), *names)  # the currency stands behind each amount
    return {name: name.removesuffix("_micros").removesuffix("_ppm") for name in shown}


def _texts(group: Mapping[str, str], figures: Mapping[str, int]) -> dict[str, str]:
    return {**group, **{name: figure_text(name, figure, group) for name, figure in figures.items()}}


def lines_of(found: Series, name: str) -> dict[tuple[str, ...], list[int | None]]:
    """One figure of each group in each period; None: a period without it."""
    places = {
        start_s: place for place, start_s in enumerate(starts(found.periods, found.period, found.from_s, found.until_s))
    }
    lines: dict[tuple[str, ...], list[int | None]] = {}
    empty = None if found.asked.view.metric.is_level else 0
    for point in found.points:
        line = lines.setdefault(tuple(point.group.values()), [empty] * len(places))
        line[places[point.start_s]] = point.figures[name]
    return lines


def overview_rows(read: Callable[[str, str], Series]) -> list[dict[str, Any]]:
    """The most important figures: of the present period, the one before, and how they went."""
    rows = []
    for metric, by, name in OVERVIEW:
        found = read(metric, by)
        at = starts(found.periods, found.period, found.from_s, found.until_s)
        for group, line in sorted(lines_of(found, name).items()):
            dims = dict(zip(found.asked.by, group, strict=True))
            words = [metric, *(value for key, value in dims.items() if key != "currency"), name.partition("_")[0]]
            rows.append(
                {
                    "metric": " ".join(word for word in dict.fromkeys(words) if word not in ("count", "amount")),
                    "now": _at(found.points, dims, at[-1:], name),
                    "before": _at(found.points, dims, at[-2:-1], name),
                    "line": spark(line[-LINE_LETTERS:]),
                }
            )
    return rows


def _at(points: Sequence[Point], group: dict[str, str], start: Sequence[int], name: str) -> str:
    figures = [one.figures[name] for one in points if one.start_s in start and one.group == group]
    return figure_text(name, figures[0], group) if figures else ""
