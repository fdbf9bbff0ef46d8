"""The demo's CDR file: made of the sample in conf/, loaded by mubss-cdr as mediation's files are."""

from __future__ import annotations

import time
from pathlib import Path

from mubss.cdr import texts
from mubss.cdr.writer import writing
from mubss.cli.demo_process import run_worker
from mubss.config import Config, data_path
from mubss.core.errors import MubssError
from mubss.storage import cdr as storage
from mubss.storage.database import Doc, Store

SAMPLE, SOURCE = "conf/cdr/sample.csv", "msc1"


def load_sample(config: Config, config_file: Path, store: Store) -> Doc:
    """Drops the sample into the folder of CDR files, and makes one pass over it; the document of the file."""
    folder = config.resolve(config.cdr.directory)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        open(data_path(SAMPLE), encoding="utf-8", newline="") as sample,
        writing(str(folder / "sample.cdr"), SOURCE, 1, int(time.time())) as writer,
    ):
        for row in texts.rows(sample):
            writer.write(texts.to_record(row.fields))
    run_worker("mubss-cdr", "mubss.workers.cdr_loader", config_file)
    found = storage.find_files(store, 1)
    if not found:
        raise MubssError(f"mubss-cdr: it took no file out of {folder}; expected one")
    return found[0]
