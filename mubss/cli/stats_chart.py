"""A series of statistics as a picture, by matplotlib: bars for what happened, lines for levels and ratios."""

from __future__ import annotations

from datetime import datetime
from typing import Any, BinaryIO

from mubss.cli.stats_draw import lines_of
from mubss.cli.stats_read import Series
from mubss.core.errors import InputError
from mubss.services.stats_series import starts

MAX_GROUPS = 12  # that have a colour of their own; the smallest are drawn as one
OTHERS = "others"
_SCALES = {"micros": 1_000_000, "ppm": 10_000}  # by the last word of a figure's name


def draw(found: Series, name: str, file: BinaryIO, form: str) -> None:
    """Writes the picture of one figure as `form`, png or svg. The same figures make the same file."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("chart: matplotlib isn't installed; expected it: pip install 'mubss[charts]'") from None
    is_ratio = found.asked.view.metric.is_level or name in ("arpu_micros", "churn_ppm")
    groups = _grouped(found, name, can_sum=not is_ratio)
    begins = starts(found.periods, found.period, found.from_s, found.until_s)
    places = range(len(begins))
    with matplotlib.rc_context({"svg.hashsalt": "mubss", "svg.fonttype": "path"}):
        figure = Figure(figsize=(10, 5), layout="constrained")
        axes = figure.subplots()
        lowest = [0.0] * len(begins)
        highest = [0.0] * len(begins)
        for label, line in groups.items():
            if is_ratio:
                axes.plot(places, [float("nan") if one is None else one for one in line], marker=".", label=label)
                continue
            amounts = [one or 0.0 for one in line]
            bottom = [high if one >= 0 else low for one, low, high in zip(amounts, lowest, highest, strict=True)]
            axes.bar(places, amounts, bottom=bottom, label=label)
            highest = [high + max(one, 0.0) for one, high in zip(amounts, highest, strict=True)]
            lowest = [low + min(one, 0.0) for one, low in zip(amounts, lowest, strict=True)]
        axes.set_title(f"{found.asked.view.metric.name} by {found.period}")
        axes.set_ylabel(_unit(name))
        axes.use_sticky_edges = False  # or the highest bar ends at the frame
        if min((one or 0.0 for line in groups.values() for one in line), default=0.0) >= 0:
            axes.set_ylim(bottom=0)
        step = max(1, len(begins) // 12)
        axes.set_xticks(list(places)[::step], [_tick(found, one) for one in begins[::step]], rotation=30, ha="right")
        axes.grid(axis="y", alpha=0.3)
        if len(groups) > 1 or any(groups):
            axes.legend(loc="upper left", fontsize="small")
        figure.savefig(file, format=form, metadata={"Date": None} if form == "svg" else None)


def _grouped(found: Series, name: str, *, can_sum: bool) -> dict[str, list[float | None]]:
    """Label of a group → its line, in units that people read; the largest MAX_GROUPS."""
    scale = _SCALES.get(name.rpartition("_")[2], 1)
    lines: dict[str, list[Any]] = {
        " ".join(word for word in group if word): [None if one is None else one / scale for one in line]
        for group, line in sorted(lines_of(found, name).items())
    }
    if len(lines) <= MAX_GROUPS:
        return lines
    largest = sorted(lines, key=lambda label: -sum(one or 0 for one in lines[label]))[: MAX_GROUPS - 1]
    chosen = {label: line for label, line in lines.items() if label in largest}
    if can_sum:
        rest = [line for label, line in lines.items() if label not in largest]
        chosen[OTHERS] = [sum(one or 0 for one in at) for at in zip(*rest, strict=True)]
    return chosen


def _unit(name: str) -> str:
    if name.endswith("_ppm"):
        return f"{name.removesuffix('_ppm')}, percent"
    return name.removesuffix("_micros").replace("_", " ")


def _tick(found: Series, start_s: int) -> str:
    label = found.periods.label(found.period, start_s)
    if found.period != "hour":
        return label
    return datetime.fromtimestamp(start_s, found.periods.zone).strftime("%m-%d %H:%M")
