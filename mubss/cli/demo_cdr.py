"""The demo's CDR file: made of the sample in conf/, loaded by mubss-cdr as mediation's files are."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from mubss.cdr import texts
from mubss.cdr.writer import writing
from mubss.config import Config, data_path
from mubss.core.errors import MubssError
from mubss.storage import cdr as storage
from mubss.storage.database import Doc, Store

SAMPLE, SOURCE = "conf/cdr/sample.csv", "msc1"


class NotLoaded(MubssError):
    """mubss-cdr didn't do what the demo promises."""


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
    command = [sys.executable, "-m", "mubss.workers.cdr_loader", "--once", "--config", str(config_file)]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MUBSS_")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = storage.find_files(store, 1)
    if done.returncode or not found:
        raise NotLoaded(f"mubss-cdr: exit code {done.returncode}: {done.stderr[-500:]}")
    return found[0]
