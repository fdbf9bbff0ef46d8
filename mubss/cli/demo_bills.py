"""The demo's bills: a run of cycle 3 by mubss-billing, and a PDF of each by mubss-billfmt."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mubss.cli.demo_process import run_worker
from mubss.config import Config
from mubss.core.errors import MubssError
from mubss.core.wording import counted
from mubss.storage import bills as storage
from mubss.storage.database import Doc, Store

CYCLE = 3


class Document(NamedTuple):
    """A bill and its file."""

    bill: Doc
    path: Path


def bill_cycle(config: Config, config_file: Path, store: Store) -> list[Document]:
    """Bills the last closed period and renders what was issued; in order of the bills' numbers."""
    run_worker("mubss-billing", "mubss.workers.billing", config_file, "--cycle", str(CYCLE))
    run_worker("mubss-billfmt", "mubss.workers.billfmt", config_file)
    bills = sorted(storage.find(store, {"cycle": CYCLE}, 1000), key=lambda doc: str(doc["number"]))
    made = [
        Document(doc, config.resolve(config.billfmt.invoices) / doc["document"]["path"])
        for doc in bills
        if "document" in doc
    ]
    if len(made) != len(bills) or not all(one.path.is_file() for one in made):
        raise MubssError(f"mubss-billfmt: {len(made)} of {counted(len(bills), 'bill')} became files; expected all")
    return made
