"""Charts of the medians, as SVG that is the same octets for the same figures; needs `mubss[charts]`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benching.layers import LAYERS, REST
from benching.peers import ORACLE_RATE_A_CORE, SIGSCALE
from benching.raw import Result
from benching.rows import Spread, gather, spread

STORE_NAMES = {"sqlite": "SQLite", "mysql": "MySQL"}
COLOURS = {"sqlite": "#2563a6", "mysql": "#c2571a"}
RATE, SERVER_US = "CCR/s", "server CPU µs/CCR"
CORES = 2
Points = dict[float, Spread]


def points(results: list[Result], bench: str, store: str, table: str, title: str) -> Points:
    """A figure of a table by the number that its rows' names begin with."""
    found = gather(row for one in results if (one.bench, one.store) == (bench, store) for row in one.rows)
    by_number: Points = {}
    for (at, name), rounds in found.items():
        first = name.split()[0].replace(",", "")
        values = [figures[title] for figures in rounds if title in figures]
        if at == table and first.isdecimal() and values:
            by_number[int(first)] = spread(values)
    return dict(sorted(by_number.items()))


def draw(results: list[Result], folder: Path) -> list[str]:
    """Writes those that there are figures for; their file names. Nothing without matplotlib."""
    if find_spec("matplotlib") is None:
        return []
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "mubss", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}
    made = [depths(results, folder), layers(results, folder)]
    made += [growth(results, folder, axis) for axis in ("accounts", "sessions", "groups", "peers", "workers")]
    return [name for name in made if name]


def depths(results: list[Result], folder: Path) -> str:
    """CCR/s by requests in flight, on both stores, plain and compiled, beside one transaction a CCR and the peer."""
    figure, axes = _figure()
    drawn = False
    for store, label in STORE_NAMES.items():
        for table, style, name in (
            ("mubss-gy", "o-", label),
            ("mubss-gy, compiled", "^-.", f"{label}, compiled"),
            ("mubss-gy, one transaction for each CCR", "o:", f"{label}, one transaction for each CCR"),
        ):
            found = points([_without_offered(one) for one in results if one.bench == "gy"], "gy", store, table, RATE)
            if found:
                _line(axes, found, style, name, COLOURS[store])
                drawn = True
    if not drawn:
        return ""
    axes.plot(
        list(SIGSCALE.rates),
        list(SIGSCALE.rates.values()),
        "s--",
        color="#555555",
        label=f"{SIGSCALE.name}, no fsync, another machine",
    )
    axes.axhline(ORACLE_RATE_A_CORE * CORES, color="#999999", linestyle="--", label="Oracle ECE, published, 2 cores")
    _scale(axes, "requests in flight", "CCR/s, answered when durable")
    return _save(figure, folder, "gy-depths.svg")


def layers(results: list[Result], folder: Path) -> str:
    """Where a CCR's CPU goes: a bar for each store and depth."""
    bars: dict[str, dict[str, float]] = {}
    for store, label in STORE_NAMES.items():
        found = gather(row for one in results if (one.bench, one.store) == ("layers", store) for row in one.rows)
        for (table, name), rounds in found.items():
            layer = name.partition(":")[0]
            if layer in (*LAYERS, REST):
                depth = table.rpartition(", ")[2]
                values = [figures["CPU µs/CCR"] for figures in rounds]
                bars.setdefault(f"{label}, {depth}", {})[layer] = spread(values).median
    if not bars:
        return ""
    figure, axes = _figure(height=0.6 * len(bars) + 1.6)
    left = dict.fromkeys(bars, 0.0)
    for layer in (*LAYERS, REST):
        widths = [bars[name].get(layer, 0.0) for name in bars]
        axes.barh(list(bars), widths, left=list(left.values()), label=layer)
        left = {name: left[name] + width for name, width in zip(bars, widths, strict=True)}
    axes.invert_yaxis()
    axes.set_xlabel("µs of the server's CPU for a CCR")
    _legend(figure, columns=4)
    return _save(figure, folder, "gy-layers.svg")


def growth(results: list[Result], folder: Path, axis: str) -> str:
    """CPU of a CCR as one thing grows."""
    figure, axes = _figure()
    wanted = [one for one in results if one.job.startswith(f"growth {axis} ")]
    title = next((row.name.partition(" ")[2] for one in wanted for row in one.rows), "")
    for store, label in STORE_NAMES.items():
        found = points(wanted, "growth", store, f"growth with {axis}", SERVER_US)
        if found:
            _line(axes, found, "o-", label, COLOURS[store])
    if not title:
        return ""
    _scale(axes, title, "µs of the server's CPU for a CCR")
    return _save(figure, folder, f"growth-{axis}.svg")


def _without_offered(result: Result) -> Result:
    """Without its open loops: those rows begin with a rate, not with a depth."""
    return result._replace(rows=[row for row in result.rows if row.name.endswith("in flight")])


def _figure(height: float = 3.6) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, height), layout="constrained")
    return figure, figure.subplots()


def _line(axes: Any, found: Points, style: str, label: str, colour: str) -> None:
    """Medians, with bars from the least to the most."""
    medians = [one.median for one in found.values()]
    below = [one.median - one.least for one in found.values()]
    above = [one.most - one.median for one in found.values()]
    axes.errorbar(
        list(found), medians, yerr=[below, above], fmt=style, color=colour, label=label, capsize=2, markersize=4
    )


def _scale(axes: Any, x: str, y: str) -> None:
    axes.set_xscale("log", base=2 if "flight" in x else 10)
    numbers = sorted({round(float(value)) for line in axes.get_lines() for value in line.get_xdata() if value >= 1})
    axes.set_xticks(numbers, [f"{number:,}" for number in numbers])
    axes.minorticks_off()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    _legend(axes.figure, columns=2)


def _legend(figure: Any, columns: int) -> None:
    """Below the drawing, where it hides no line."""
    figure.legend(loc="outside lower center", ncols=columns, frameon=False)


def _save(figure: Any, folder: Path, name: str) -> str:
    figure.savefig(folder / name, format="svg", metadata={"Date": None})
    return name
