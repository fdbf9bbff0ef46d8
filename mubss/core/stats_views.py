"""Figures that are reckoned of those that are kept: revenue, top-ups, vouchers, sessions, ARPU, churn. Pure.

Amounts are never summed over currencies, nor units over services: those dimensions are in each group, asked for or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from mubss.core.errors import InputError
from mubss.core.model import TERMINATED, TOP_UPS
from mubss.core.stats import ANSWERS, BILLED_SALES, CHANGES, KEPT, MONEY, SALES, SUBSCRIBERS, USAGE, Metric

Dims = Mapping[str, str]
Figures = dict[str, int]
Found = Iterator[tuple[Dims, Mapping[str, int]]]
_PPM = 1_000_000


class Point(NamedTuple):
    """Figures of one group in one period."""

    start_s: int
    group: dict[str, str]
    figures: Figures


class View(NamedTuple):
    """A metric as it is asked for. `of` gives what it makes of a kept row, `ratio` what is reckoned of the sums."""

    metric: Metric
    sources: tuple[str, ...]
    of: Callable[[str, Dims, Mapping[str, int]], Found]
    ratio: Callable[[Figures], Figures] = lambda figures: figures

    @property
    def always(self) -> tuple[str, ...]:
        """Dimensions that are in each group."""
        dims = self.metric.dims
        units = ("service",) if "units" in self.metric.figures else ()
        return tuple(name for name in (*units, "currency") if name in dims)


def _as_kept(_source: str, dims: Dims, figures: Mapping[str, int]) -> Found:
    yield dims, figures


def _revenue(source: str, dims: Dims, figures: Mapping[str, int]) -> Found:
    if source == USAGE.name:
        yield {**dims, "kind": "usage"}, {"amount_micros": figures["charge_micros"]}
        return
    kind, what = dims["kind"], dims["what"]
    if kind in SALES or (kind in ("bill", "void") and what in BILLED_SALES):
        named = what if kind in ("bill", "void") else kind
        sold = {"kind": named, "service": "", "zone": "", "plan": dims["plan"], "currency": dims["currency"]}
        yield sold, {"amount_micros": -figures["amount_micros"]}


def _of_money(*kinds: str) -> Callable[[str, Dims, Mapping[str, int]], Found]:
    def of(_source: str, dims: Dims, figures: Mapping[str, int]) -> Found:
        if dims["kind"] in kinds:
            yield dims, figures

    return of


def _sessions(_source: str, dims: Dims, figures: Mapping[str, int]) -> Found:
    event = {"initial": "opened", "termination": "ended", "event": "at once"}.get(dims["request"])
    if event is not None:
        outcome = event if dims["result"] == "2001" else "refused"
        yield {"event": outcome}, figures


def _arpu(source: str, dims: Dims, figures: Mapping[str, int]) -> Found:
    if source == SUBSCRIBERS.name:
        if dims["state"] != TERMINATED:
            yield {"plan": dims["plan"]}, {"subscribers": figures["count"]}
        return
    for sold, amount in _revenue(source, dims, figures):
        yield sold, {"revenue_micros": amount["amount_micros"]}


def _arpu_of(figures: Figures) -> Figures:
    count = figures["subscribers"]
    return {**figures, "arpu_micros": figures["revenue_micros"] // count if count else 0}


def _churn(source: str, dims: Dims, figures: Mapping[str, int]) -> Found:
    if source == SUBSCRIBERS.name:
        if dims["state"] != TERMINATED:
            yield dims, {"subscribers": figures["count"]}
    elif dims["change"] in ("opened", "terminated"):
        yield dims, {dims["change"]: figures["count"]}


def _churn_of(figures: Figures) -> Figures:
    gone, there = figures["terminated"], figures["terminated"] + figures["subscribers"]
    return {**figures, "churn_ppm": gone * _PPM // there if there else 0}


def _kept(metric: Metric) -> View:
    return View(metric, (metric.name,), _as_kept)


VIEWS: dict[str, View] = {
    **{name: _kept(metric) for name, metric in KEPT.items()},
    **{
        view.metric.name: view
        for view in (
            View(
                Metric(
                    "revenue",
                    "what was sold, without taxes: usage as it was rated, bundles, fees",
                    ("kind", "service", "plan", "zone", "currency"),
                    ("amount_micros",),
                ),
                (USAGE.name, MONEY.name),
                _revenue,
            ),
            View(
                Metric("topups", "top-ups and vouchers", ("kind", "plan", "currency"), ("count", "amount_micros")),
                (MONEY.name,),
                _of_money(*TOP_UPS),
            ),
            View(
                Metric(
                    "vouchers",
                    "vouchers redeemed; `what` is the bundle of one that is no money",
                    ("what", "plan", "currency"),
                    ("count", "amount_micros"),
                ),
                (MONEY.name,),
                _of_money("voucher"),
            ),
            View(
                Metric("sessions", "Gy sessions opened, ended, refused; events at once", ("event",), ("count",)),
                (ANSWERS.name,),
                _sessions,
            ),
            View(
                Metric(
                    "arpu",
                    "revenue by subscriber that isn't terminated, as many as there were at the end",
                    ("plan", "currency"),
                    ("revenue_micros", "subscribers", "arpu_micros"),
                ),
                (USAGE.name, MONEY.name, SUBSCRIBERS.name),
                _arpu,
                _arpu_of,
            ),
            View(
                Metric(
                    "churn",
                    "accounts opened and terminated; churn is those terminated by those that there were",
                    ("plan",),
                    ("opened", "terminated", "subscribers", "churn_ppm"),
                ),
                (CHANGES.name, SUBSCRIBERS.name),
                _churn,
                _churn_of,
            ),
        )
    },
}


class Asked(NamedTuple):
    """What of a view is wanted: by which dimensions, and only those rows whose dimensions have these values."""

    view: View
    by: tuple[str, ...]
    where: Mapping[str, str]


def ask(metric: str, by: Iterable[str] = (), where: Mapping[str, str] | None = None) -> Asked:
    """Checked; InputError names what isn't there."""
    if metric not in VIEWS:
        raise InputError(f"metric: {metric[:40]!r}; expected one of {', '.join(sorted(VIEWS))}")
    view, where = VIEWS[metric], dict(where or {})
    wanted = list(by)
    for field, names in (("group_by", wanted), ("filters", list(where))):
        for name in names:
            if name not in view.metric.dims:
                raise InputError(f"{field}: {name[:40]!r}; expected any of {', '.join(view.metric.dims)}")
    chosen = tuple(name for name in view.metric.dims if name in {*wanted, *view.always})
    return Asked(view, chosen, where)


def points(asked: Asked, rows: Iterable[tuple[str, int, Dims, Mapping[str, int]]]) -> list[Point]:
    """The figures of each period and group, of rows (kept metric, start, dimensions, figures) in whatever order."""
    view, zeros = asked.view, dict.fromkeys(asked.view.metric.figures, 0)
    sums: dict[tuple[int, tuple[str, ...]], Figures] = {}
    shared: list[tuple[int, Dims, Mapping[str, int]]] = []
    for source, start_s, kept_dims, kept in rows:
        for dims, figures in view.of(source, kept_dims, kept):
            if any(dims.get(name, value) != value for name, value in asked.where.items()):
                continue
            if any(name not in dims for name in asked.by):
                shared.append((start_s, dims, figures))
                continue
            there = sums.setdefault((start_s, tuple(dims[name] for name in asked.by)), dict(zeros))
            for name in figures.keys() & zeros.keys():
                there[name] += figures[name]
    groups: dict[int, list[tuple[tuple[str, ...], Figures]]] = {}
    for (start_s, group), there in sums.items():
        groups.setdefault(start_s, []).append((group, there))
    for start_s, dims, figures in shared:  # of no currency: it is in the group of each
        for group, there in groups.get(start_s, ()):
            if all(dims.get(name, value) == value for name, value in zip(asked.by, group, strict=True)):
                for name in figures.keys() & zeros.keys():
                    there[name] += figures[name]
    return [
        Point(start_s, dict(zip(asked.by, group, strict=True)), view.ratio(figures))
        for (start_s, group), figures in sorted(sums.items())
    ]


def totals(asked: Asked, found: Sequence[Point]) -> list[tuple[dict[str, str], Figures]]:
    """Each group over all periods: sums; of levels, and of what others are reckoned by, the last."""
    sums: dict[tuple[str, ...], Any] = {}
    lasting = set(asked.view.metric.figures) if asked.view.metric.is_level else {"subscribers"}
    for point in sorted(found, key=lambda one: one.start_s):
        there = sums.setdefault(tuple(point.group.values()), dict.fromkeys(point.figures, 0))
        for name, figure in point.figures.items():
            there[name] = figure if name in lasting else there[name] + figure
    named = [(dict(zip(asked.by, group, strict=True)), asked.view.ratio(one)) for group, one in sums.items()]
    return sorted(named, key=lambda one: tuple(one[0].values()))
