"""FIGURES.md: every measured figure, with the machine, the versions and the commands. Made of raw results alone."""

from __future__ import annotations

from benching.peers import ORACLE, SIGSCALE
from benching.plan import NAMES, SCRIPTS
from benching.raw import Result
from benching.rows import gather, line, median_table, plain, spread
from mubss.core.wording import counted

STORE_TITLES = {"": "", "sqlite": "SQLite", "mysql": "MySQL"}
CHARTS = {  # by the benchmark that they belong to
    "gy": ("gy-depths.svg",),
    "layers": ("gy-layers.svg",),
    "growth": tuple(f"growth-{axis}.svg" for axis in ("accounts", "sessions", "groups", "peers", "workers")),
}

# (what, benchmark, store, figure, (table, row) of ours, (table, row) of the other, whether less is better)
_BASELINES = (
    *(
        (f"CCR/s at 64 in flight, {title}: batches / one transaction for each CCR", "gy", store, "CCR/s",
         ("mubss-gy", "64 in flight"), ("mubss-gy, one transaction for each CCR", "64 in flight"), False)
        for store, title in (("sqlite", "SQLite"), ("mysql", "MySQL"))
    ),
    ("documents/s written, 32 a transaction: ours / the official connector", "store", "mysql", "documents/s",
     ("MySQL, full durability, TLS", "put_many, 32 a transaction"),
     ("MySQL by the official connector, one document a call", "modify, whole document, 32 a transaction"), False),
    ("µs to decode the open5gs CCR-U: python-diameter / ours", "codec", "", "CPU µs",
     ("codec", "decode the open5gs CCR-U"), ("codec of python-diameter", "decode the open5gs CCR-U"), True),
    ("µs to encode its CCA: python-diameter / ours", "codec", "", "CPU µs",
     ("codec", "encode its CCA"), ("codec of python-diameter", "encode its CCA"), True),
    ("invoices/s of one process: plutobook / wkhtmltopdf", "pdf", "", "invoices/s",
     ("invoices of 60 rows, by plutobook", "1 processes"), ("invoices of 60 rows, by pdfkit", "1 processes"), False),
)  # fmt: skip


def report(results: list[Result], charts: list[str], command: str, missing: list[str]) -> str:
    """The whole file."""
    good = [one for one in results if not one.error]
    parts = [
        "# Figures",
        f"`{command}` wrote this file and the charts, out of `raw.jsonl`: change neither by hand. What the figures "
        "mean, and what limits them, is told in [BENCHMARKS.md](../BENCHMARKS.md). Each is the median of "
        f"{_rounds(good)}, with the least and the most in brackets. Load, server and store shared the machine's cores.",
        *_machines(good),
        *_against(good),
    ]
    if missing:
        parts.append(f"**Not measured:** {'; '.join(missing)}.")
    for bench in NAMES:
        chosen = [one for one in good if one.bench == bench]
        if chosen:
            parts += _bench(bench, chosen, [name for name in CHARTS.get(bench, ()) if name in charts])
    return "\n\n".join(parts) + "\n"


def _rounds(results: list[Result]) -> str:
    counts: dict[str, int] = {}
    for one in results:
        counts[one.job] = counts.get(one.job, 0) + 1
    least, most = min(counts.values(), default=0), max(counts.values(), default=0)
    return counted(most, "round") if least == most else f"{least} to {most} rounds"


def _machines(results: list[Result]) -> list[str]:
    """What it ran on; a fact that changed between rounds shows all its values."""
    titles = dict.fromkeys(title for one in results for title in one.machine)
    began = sorted(one.began for one in results)
    lines = [line(["", ""]), "|---|---|"]
    if began:
        lines.append(line(["measured", f"{began[0]} to {began[-1]}"]))
    for title in titles:
        lines.append(line([title, "; ".join(dict.fromkeys(one.machine.get(title, "") for one in results))]))
    return ["## Machine and versions", "\n".join(lines)]


def _against(results: list[Result]) -> list[str]:
    """Ours beside each baseline, and the peers."""
    lines = [line(["", "ours", "baseline", "times"]), "|---|---|---|---|"]
    for what, bench, store, title, mine, theirs, is_less in _BASELINES:
        found = gather(row for one in results if (one.bench, one.store) == (bench, store) for row in one.rows)
        ours, other = (_median(found, where, title) for where in (mine, theirs))
        if ours and other:
            times = other / ours if is_less else ours / other
            lines.append(line([what, plain(ours), plain(other), f"{times:.1f}"]))
    shown = ["\n".join(lines)] if len(lines) > 2 else []
    rates = ", ".join(f"{rate:,.0f} at {depth}" for depth, rate in SIGSCALE.rates.items())
    peers = f"Peers, in the charts: {SIGSCALE.name}, {rates} in flight ({SIGSCALE.source}); {ORACLE}."
    return ["## Beside the baselines", *shown, peers]


def _median(found: dict[tuple[str, str], list[dict[str, float]]], where: tuple[str, str], title: str) -> float:
    """Of the row whose name begins so; 0 where there is none."""
    for (table, name), rounds in found.items():
        if table == where[0] and name.startswith(where[1]):
            return spread([figures[title] for figures in rounds]).median
    return 0


def _bench(bench: str, results: list[Result], charts: list[str]) -> list[str]:
    """One benchmark's part."""
    commands = dict.fromkeys(one.command for one in results)
    parts = [f"## {bench}", _about(bench), "\n".join(f"    {command}" for command in commands)]
    parts += [f"![{name.removesuffix('.svg')}]({name})" for name in charts]
    for store in dict.fromkeys(one.store for one in results):
        found = gather(row for one in results if one.store == store for row in one.rows)
        for table in dict.fromkeys(table for table, _ in found):
            says_it = bench == "store" or not store
            parts.append(f"### {table}" if says_it else f"### {table}, {STORE_TITLES[store]}")
            parts.append(median_table({name: rounds for (at, name), rounds in found.items() if at == table}))
    return parts


def _about(bench: str) -> str:
    """The first sentence of what its script says of itself."""
    text = (SCRIPTS / f"bench_{bench}.py").read_text()
    return " ".join(text.partition('"""')[2].partition('"""')[0].split("\n\n")[0].split())
