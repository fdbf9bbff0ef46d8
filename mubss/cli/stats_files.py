"""Series of statistics as files: CSV, Parquet, charts. A file is there whole or not at all."""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Command, Invocation
from mubss.cli.output import counted, say
from mubss.cli.stats_chart import draw
from mubss.cli.stats_draw import chosen_figure
from mubss.cli.stats_read import Series, Wanted, read_series, series_options
from mubss.core.errors import InputError
from mubss.core.stats_views import VIEWS

FORMATS = (".png", ".svg")


@click.command("export", cls=Command)
@click.argument("metric", type=click.Choice(list(VIEWS)))
@series_options
@click.option("--csv", "csv_file", metavar="FILE", help="As CSV, with a line of names; - is standard output.")
@click.option("--parquet", "parquet_file", metavar="FILE", help="As Parquet; needs mubss[parquet].")
@click.pass_obj
def export(
    invocation: Invocation, /, metric: str, csv_file: str | None, parquet_file: str | None, **asked: Any
) -> None:
    """A metric's figures as a file: a row for each period and group."""
    if (csv_file is None) == (parquet_file is None):
        raise click.UsageError("expected one of --csv and --parquet")
    write_parquet = _parquet_writer() if parquet_file is not None else None
    found = _read(invocation, metric, asked)
    columns = _columns(found)
    if csv_file == "-":
        click.echo(_csv_text(columns), nl=False)
        return
    path = Path(csv_file or parquet_file or "")
    if write_parquet is not None:
        _write(path, lambda file: write_parquet(columns, file))
    else:
        _write(path, lambda file: file.write(_csv_text(columns).encode()))
    if not invocation.as_json:
        say(f"{counted(len(found.points), 'row')} in {path}")


@click.command("chart", cls=Command)
@click.argument("metric", type=click.Choice(list(VIEWS)))
@series_options
@click.option("--figure", default="", metavar="NAME", help="Which figure; by default the last amount there is.")
@click.option("--out", required=True, metavar="FILE", help=f"What to write: its name ends in {' or '.join(FORMATS)}.")
@click.pass_obj
def chart(invocation: Invocation, /, metric: str, figure: str, out: str, **asked: Any) -> None:
    """A metric over time as a picture; needs mubss[charts]."""
    path = Path(out)
    if path.suffix not in FORMATS:
        raise InputError(f"out: {out[-40:]!r}; expected a name that ends in {' or '.join(FORMATS)}")
    found = _read(invocation, metric, asked)
    drawn = chosen_figure(found, figure)
    _write(path, lambda file: draw(found, drawn, file, path.suffix[1:]))
    if not invocation.as_json:
        say(f"{metric} by {found.period} in {path}")


def _read(invocation: Invocation, metric: str, asked: Mapping[str, Any]) -> Series:
    wanted = Wanted(metric, asked["period"], asked["first"], asked["last"], asked["by"], asked["where"])
    with closing(invocation.open_store()) as store:
        return read_series(invocation, store, wanted, wall_clock_ms() // 1000)


def _columns(found: Series) -> dict[str, list[Any]]:
    """Name → values; times are UTC seconds."""
    points, periods = found.points, found.periods
    return {
        "period": [periods.label(found.period, one.start_s) for one in points],
        "start_s": [one.start_s for one in points],
        "end_s": [periods.end(found.period, one.start_s) for one in points],
        **{name: [one.group[name] for one in points] for name in found.asked.by},
        **{name: [one.figures[name] for one in points] for name in found.asked.view.metric.figures},
    }


def _csv_text(columns: Mapping[str, list[Any]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue()


def _parquet_writer() -> Callable[[Mapping[str, list[Any]], BinaryIO], object]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise InputError("parquet: pyarrow isn't installed; expected it: pip install 'mubss[parquet]'") from None

    def write(columns: Mapping[str, list[Any]], file: BinaryIO) -> None:
        kinds = {
            name: pyarrow.timestamp("s", tz="UTC") if name in ("start_s", "end_s") else pyarrow.int64()
            for name, values in columns.items()
            if name in ("start_s", "end_s") or not all(isinstance(one, str) for one in values)
        }
        arrays = {
            name.removesuffix("_s") if name in ("start_s", "end_s") else name: pyarrow.array(
                values, kinds.get(name, pyarrow.string())
            )
            for name, values in columns.items()
        }
        parquet.write_table(pyarrow.table(arrays), file)

    return write


def _write(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Writes a file beside its place and then puts it there; InputError where it can't be written.

    A symbolic link is followed, and a file keeps its mode. What is no file, a device say, isn't replaced by one.
    """
    path = path.resolve()
    part = path.with_name(f"{path.name}.tmp")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no plain file; expected one, or a name that is free")
    try:
        with part.open("wb") as file:
            if path.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode))
            write(file)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: can't be written: {error.strerror or error}") from None
    except BaseException:
        part.unlink(missing_ok=True)
        raise
