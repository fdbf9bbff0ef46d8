"""A bill's PDF on its way to a client, and made again: only octets that the bill's digest is of are sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from mubss.core.errors import Busy, LedgerError
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.statuses import NotFound
from mubss.pb import crm_pb2 as pb
from mubss.services.formatting import Formatter
from mubss.storage.database import Doc

CHUNK_OCTETS = 64_000
AT_ONCE = 2  # bills that are rendered again: each takes a processor for a while
_places = threading.BoundedSemaphore(AT_ONCE)


def stream(folder: Path, bill: Doc) -> Iterator[pb.BillPdf]:
    """Name, size and digest, then the octets of a bill's file. It is proved before the first of them is sent.

    The file stays open from then on: one that is rendered again meanwhile takes its name, not its octets.
    """
    document = bill.get("document")
    if not document:
        why = bill.get("fault") or f"it is {bill['state']}, and waits for mubss-billfmt"
        raise LedgerError(f"number: {bill['number']} has no PDF: {why}")
    with _opened(folder, bill) as file:
        digest, octets = sha256(), 0
        while chunk := file.read(CHUNK_OCTETS):
            digest.update(chunk)
            octets += len(chunk)
        if (digest.hexdigest(), octets) != (document["sha256"], document["octets"]):
            raise Busy(f"the PDF of {bill['number']} isn't what the bill says: it is being rendered; try again")
        yield pb.BillPdf(file_name=f"{bill['number']}.pdf", octets=octets, sha256=document["sha256"])
        file.seek(0)
        while chunk := file.read(CHUNK_OCTETS):
            yield pb.BillPdf(data=chunk)


def _opened(folder: Path, bill: Doc) -> BinaryIO:
    """A bill's file, which lies in the folder of invoices; NotFound where it doesn't."""
    gone = NotFound(f"number: the PDF of {bill['number']} isn't there any more; ReformatBill makes it again")
    try:
        root = folder.resolve()
        path = (root / str(bill["document"]["path"])).resolve()
        if not path.is_relative_to(root) or not path.is_file():
            raise gone
        return path.open("rb")
    except (OSError, ValueError):
        raise gone from None


def render_again(office: Office, call: Call, number: str) -> Doc:
    """The bill after its PDF is made again; LedgerError with the reason where it can't be, as the bill then says."""
    if not _places.acquire(blocking=False):
        raise Busy(f"{AT_ONCE} bills are being rendered again; try again")
    try:
        formatter = Formatter(office.store, office.config, lambda: office.tables, lambda: office.now_s, call.act)
        with closing(formatter):
            done = formatter.one(number)
    finally:
        _places.release()
    if done.fault:
        raise LedgerError(f"number: {number} can't be rendered: {done.fault}")
    return done.bill
