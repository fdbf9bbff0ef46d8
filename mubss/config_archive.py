"""Options of retention and the archive, `[retention]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_folder
from mubss.options import option


@dataclass(frozen=True, slots=True)
class RetentionOptions:
    """How long usage and postings stay in the store before `mubss archive run` moves them to files."""

    usage_months: int = option(
        0, "Closed months whose usage stays, besides the current one; 0: it stays for ever.", low=0, high=1200,
        unit="months",
    )  # fmt: skip
    postings_months: int = option(0, "The same of postings.", low=0, high=1200, unit="months")
    folder: str = option("archive", "Folder of the Parquet files; keep copies of it.", check=is_folder)
