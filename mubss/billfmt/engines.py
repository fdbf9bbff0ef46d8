"""What makes a PDF of HTML: one small interface, two engines. Neither fetches anything that isn't in the templates."""

from __future__ import annotations

import atexit
import io
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote
from xml.sax.saxutils import escape

from mubss.billfmt.errors import RenderError
from mubss.billfmt.folder import Folder
from mubss.billfmt.pdf_update import About, iso_time, with_about
from mubss.config_billfmt import PDFKIT, PLUTOBOOK
from mubss.core.errors import ConfigError

BASE_URL = "templates:///"
MAX_SHOWN = 80
_TYPES = {
    "css": "text/css",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "ttf": "font/ttf",
    "otf": "font/otf",
    "woff2": "font/woff2",
}
_fonts_lock = threading.Lock()
_fonts_of: tuple[Path, ...] = ()  # what this process's fontconfig was told: it is told once


class Made(NamedTuple):
    """A PDF and the number of its pages."""

    pdf: bytes
    pages: int


class PdfEngine(Protocol):
    """Makes PDFs; safe from any thread. The same HTML and About give the same octets."""

    name: str
    version: str

    def make(self, html: str, about: About) -> Made:
        """RenderError where the document can't be made, or asks for what isn't in the folder of templates."""
        ...


def open_engine(name: str, folder: Folder) -> PdfEngine:
    """The engine of that name; ConfigError where it isn't installed."""
    if name == PLUTOBOOK:
        return Plutobook(folder)
    if name == PDFKIT:
        from mubss.billfmt.wkhtmltopdf import Wkhtmltopdf

        return Wkhtmltopdf(folder)
    raise ConfigError(f"billfmt.engine: {name[:40]!r}; expected {PLUTOBOOK} or {PDFKIT}")


def file_named(folder: Folder, url: str) -> tuple[bytes, str] | None:
    """Content and type of the file of the templates that a URL within a document means; None: it means none."""
    name = unquote(url.removeprefix(BASE_URL).removeprefix("templates:").lstrip("/"))
    kind = _TYPES.get(name.rpartition(".")[2].lower())
    content = folder.files.get(name)
    return None if kind is None or content is None else (content, kind)


def refused(url: str) -> RenderError:
    """What is said of a URL that a document may not have."""
    return RenderError(f"resource: {url[:MAX_SHOWN]!r}; expected a file of the folder of templates")


def font_configuration(folders: tuple[Path, ...]) -> Path:
    """A folder with a fonts.conf that knows these folders of fonts and no others; it goes with the process."""
    made = Path(tempfile.mkdtemp(prefix="mubss-fonts-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    rows = "".join(f"<dir>{escape(str(folder))}</dir>" for folder in folders)
    made.joinpath("fonts.conf").write_text(f'<?xml version="1.0"?><fontconfig>{rows}</fontconfig>\n')
    return made


def _tell_fonts(folders: tuple[Path, ...]) -> None:
    """Fontconfig reads its configuration once in a process: 12 ms a bill less than @font-face, which loads anew."""
    global _fonts_of  # noqa: PLW0603 (it is the library that has one of it)
    import plutoprint

    with _fonts_lock:
        if not _fonts_of:
            plutoprint.plutobook_set_fontconfig_path(font_configuration(folders))
            _fonts_of = folders


class Plutobook:
    """Plutobook by plutoprint: in the process, without the GIL, 15 to 20 ms for three pages."""

    name = PLUTOBOOK

    def __init__(self, folder: Folder) -> None:
        import plutoprint

        self._folder = folder
        self.version = plutoprint.plutobook_version_string()
        _tell_fonts(folder.font_folders)

    def make(self, html: str, about: About) -> Made:
        import plutoprint as pluto

        fetcher = _fetcher(self._folder)
        out = io.BytesIO()
        try:
            book = pluto.Book(pluto.PAGE_SIZE_A4, pluto.PAGE_MARGINS_NORMAL)
            book.custom_resource_fetcher = fetcher
            book.load_html(html, base_url=BASE_URL)
            for name in (pluto.PDF_METADATA_CREATION_DATE, pluto.PDF_METADATA_MODIFICATION_DATE):
                book.set_metadata(name, iso_time(about.made_s))
            pages = book.get_page_count()
            book.write_to_pdf_stream(out)
        except pluto.Error as error:
            raise RenderError(f"plutobook: {error}") from None
        if fetcher.refused:
            raise refused(fetcher.refused[0])
        return Made(with_about(out.getvalue(), about), pages)


def _fetcher(folder: Folder) -> Any:
    """Answers an engine's requests out of the folder, and notes what it refused."""
    import plutoprint

    class Fetcher(plutoprint.ResourceFetcher):
        def __init__(self) -> None:
            super().__init__()
            self.refused: list[str] = []

        def fetch_url(self, url: str) -> plutoprint.ResourceData:
            found = file_named(folder, url)
            if found is None:
                self.refused.append(url)
                return plutoprint.ResourceData(b"", "text/plain")  # what it raises, the library prints
            return plutoprint.ResourceData(*found)

    return Fetcher()
