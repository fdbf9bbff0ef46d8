"""Says in a finished PDF what language it is in, who made it and what it is called: an incremental update.

Neither engine sets the language; so a new catalog (and document information) is appended, as ISO 32000-1 §7.5.6
has it. What is there stays, octet for octet, and the same document gives the same octets.
"""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from mubss.billfmt.errors import RenderError

CREATOR = "mubss"
_ROOT = re.compile(rb"/Root\s+(\d+)\s+0\s+R")
_SIZE = re.compile(rb"/Size\s+(\d+)")
_STREAM = re.compile(rb"/N\s+(\d+)\s+/First\s+(\d+)(?:\s+/\w+\s+[/\w]+)*\s*>>\s*stream\r?\n")
_DATE = re.compile(rb"\(D:\d{14}[^)]{0,12}\)")


class About(NamedTuple):
    """What a PDF says of itself; `made_s` is UTC seconds, of the bill and not of the clock."""

    title: str
    author: str
    language: str  # "de"
    is_rtl: bool
    made_s: int


def iso_time(time_s: int) -> str:
    """ "2026-11-04T00:00:00Z"."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def with_about(pdf: bytes, about: About) -> bytes:
    """The PDF with its language, title, author and times."""
    start = int(pdf[pdf.rindex(b"startxref") + 9 :].split()[0])
    tail = pdf[start:]
    root, size = _ROOT.search(tail), _SIZE.search(tail)
    if root is None or size is None:
        raise RenderError("PDF: expected a trailer with /Root and /Size")
    number, info_number = int(root[1]), int(size[1])
    reading = b"/R2L" if about.is_rtl else b"/L2R"
    more = b"/Lang (%s) /ViewerPreferences << /DisplayDocTitle true /Direction %s >>" % (
        about.language.encode("ascii"),
        reading,
    )
    catalog = _object(pdf, number).strip().removesuffix(b">>").rstrip() + b"\n   " + more + b"\n>>"
    base = pdf if pdf.endswith(b"\n") else pdf + b"\n"
    objects = {number: catalog, info_number: _info(about)}
    return base + _section(len(base), objects, start, number, info_number, tail.startswith(b"xref"))


def with_fixed_dates(pdf: bytes, time_s: int) -> bytes:
    """The PDF with its times replaced in place, where an engine writes those of the clock."""

    def fixed(found: re.Match[bytes]) -> bytes:
        return b"(" + _date(time_s).encode()[: len(found[0]) - 2].ljust(len(found[0]) - 2, b"'") + b")"

    return _DATE.sub(fixed, pdf)


def _date(time_s: int) -> str:
    return "D:" + re.sub(r"[-:TZ]", "", iso_time(time_s)) + "Z"


def _info(about: About) -> bytes:
    fields = {"Title": about.title, "Author": about.author, "Creator": CREATOR}
    texts = [
        b"/%s <FEFF%s>" % (name.encode(), text.encode("utf-16-be").hex().encode()) for name, text in fields.items()
    ]
    times = [b"/%s (%s)" % (name, _date(about.made_s).encode()) for name in (b"CreationDate", b"ModDate")]
    return b"<< " + b"\n   ".join(texts + times) + b"\n>>"


def _object(pdf: bytes, number: int) -> bytes:
    """The text of an object, which stands in the file or in a stream of objects."""
    plain = list(re.finditer(rb"(?:^|\n)%d 0 obj\s*(.*?)\s*endobj" % number, pdf, re.DOTALL))
    if plain:
        return plain[-1][1]
    for stream in _STREAM.finditer(pdf):
        try:
            content = zlib.decompressobj().decompress(pdf[stream.end() :], 1_000_000)
        except zlib.error:
            continue
        count, first = int(stream[1]), int(stream[2])
        numbers = list(map(int, content[:first].split()[: 2 * count]))
        places = dict(zip(numbers[::2], numbers[1::2], strict=True))
        if number in places:
            begin = places[number]
            end = min((place for place in places.values() if place > begin), default=len(content) - first)
            return content[first + begin : first + end]
    raise RenderError("PDF: its catalog isn't where it should be")


def _section(at: int, objects: dict[int, bytes], before: int, root: int, info: int, is_table: bool) -> bytes:
    """The appended objects and the cross-reference section that knows them, of the kind that the file has."""
    out, offsets = b"", {}
    for number, text in objects.items():
        offsets[number] = at + len(out)
        out += b"%d 0 obj\n%s\nendobj\n" % (number, text)
    start = at + len(out)
    size = max(objects) + 1
    trailer = b"/Root %d 0 R /Info %d 0 R /Prev %d" % (root, info, before)
    if is_table:
        table = b"".join(b"%d 1\n%010d 00000 n \n" % (number, offsets[number]) for number in sorted(offsets))
        out += b"xref\n%strailer\n<< /Size %d %s >>\n" % (table, size, trailer)
    else:
        offsets[size] = start
        index = b" ".join(b"%d 1" % number for number in sorted(offsets))
        rows = b"".join(b"\1" + offsets[number].to_bytes(4, "big") + b"\0" for number in sorted(offsets))
        head = b"/Type /XRef /Size %d /W [1 4 1] /Index [%s] /Length %d %s" % (size + 1, index, len(rows), trailer)
        out += b"%d 0 obj\n<< %s >>\nstream\n%s\nendstream\nendobj\n" % (size, head, rows)
    return out + b"startxref\n%d\n%%%%EOF\n" % start
