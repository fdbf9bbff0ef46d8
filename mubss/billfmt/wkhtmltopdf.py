"""wkhtmltopdf by pdfkit: for who has it. A process for each document, slower by ten times, and it knows less of CSS.

What a document names is put into it before, as data; it may read no file, run no script, and its only way to a network
is a proxy at a port that is ours and that nobody listens at.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from html import escape
from html.parser import HTMLParser

from mubss.billfmt.engines import Made, file_named, font_configuration, refused
from mubss.billfmt.errors import RenderError
from mubss.billfmt.folder import Folder
from mubss.billfmt.pdf_update import About, with_about, with_fixed_dates
from mubss.config_billfmt import PDFKIT
from mubss.core.errors import ConfigError

PROGRAM = "wkhtmltopdf"
TIMEOUT_S = 60
_URL = re.compile(r"""url\(\s*(["']?)(.*?)\1\s*\)|@import\s+(["'])(.*?)\3""", re.DOTALL)
_NAMING = {"src", "data", "background", "poster", "srcset", "xlink:href", "action", "archive", "manifest"}
_PAGE = re.compile(rb"/Type\s*/Page\b")


class Wkhtmltopdf:
    """The program where it is installed; ConfigError where it isn't."""

    name = PDFKIT

    def __init__(self, folder: Folder) -> None:
        found = shutil.which(PROGRAM)
        if found is None:
            raise ConfigError(
                f"billfmt.engine: {PDFKIT} needs {PROGRAM}, which isn't installed; plutobook needs nothing"
            )
        self._program = found
        self._folder = folder
        done = subprocess.run([found, "--version"], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
        self.version = done.stdout.strip()
        self._environ = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ},
            "QT_QPA_PLATFORM": "offscreen",
            "FONTCONFIG_FILE": str(font_configuration(folder.font_folders) / "fonts.conf"),
            "LC_ALL": "C.UTF-8",
            "QT_HASH_SEED": "0",  # else fonts stand in another order each time
        }

    def make(self, html: str, about: About) -> Made:
        """RenderError where the document can't be made."""
        import pdfkit

        whole = _Inliner(self._folder).whole(html)
        with _dead_proxy() as proxy:
            options = {
                "quiet": "",
                "encoding": "utf-8",
                "page-size": "A4",
                "margin-top": "14mm",
                "margin-bottom": "14mm",
                "margin-left": "16mm",
                "margin-right": "16mm",
                "disable-javascript": "",
                "disable-plugins": "",
                "disable-local-file-access": "",
                "load-error-handling": "abort",
                "load-media-error-handling": "abort",
                "proxy": proxy,
                "title": about.title,
            }
            configuration = pdfkit.configuration(wkhtmltopdf=self._program)
            command = pdfkit.PDFKit("", "string", options=options, configuration=configuration).command()
            try:
                done = subprocess.run(
                    command,
                    input=whole.encode(),
                    capture_output=True,
                    check=False,
                    timeout=TIMEOUT_S,
                    env=self._environ,
                )
            except subprocess.TimeoutExpired:
                raise RenderError(f"{PROGRAM}: nothing within {TIMEOUT_S} s") from None
        if not done.stdout.startswith(b"%PDF"):
            text = " ".join(done.stderr.decode("utf-8", "replace").split())[-200:]
            raise RenderError(f"{PROGRAM}: exit code {done.returncode}: {text}")
        pdf = with_fixed_dates(done.stdout, about.made_s)
        return Made(with_about(pdf, about), len(_PAGE.findall(pdf)))


@contextmanager
def _dead_proxy() -> Iterator[str]:
    """The URL of a proxy that refuses every connection: the port is bound, so that nobody else can listen at it."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


class _Inliner(HTMLParser):
    """A document with its files in it; what names anything else is refused."""

    def __init__(self, folder: Folder) -> None:
        super().__init__(convert_charrefs=False)
        self._folder = folder
        self._out: list[str] = []
        self._in_style = False

    def whole(self, html: str) -> str:
        """The document, whole in itself."""
        self.feed(html)
        self.close()
        return "".join(self._out)

    def _data(self, url: str) -> str:
        if url.startswith("data:image/"):
            return url
        found = file_named(self._folder, url)
        if found is None:
            raise refused(url)
        return f"data:{found[1]};base64,{base64.b64encode(found[0]).decode()}"

    def _css(self, text: str) -> str:
        return _URL.sub(lambda found: f'url("{self._data(found[2] or found[4] or "")}")', text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs, "/")

    def _start(self, tag: str, attrs: list[tuple[str, str | None]], end: str) -> None:
        if tag in ("base", "iframe", "frame", "object", "embed", "applet", "script"):
            raise refused(f"<{tag}>")
        if tag == "meta" and any(name == "http-equiv" for name, _ in attrs):
            raise refused("<meta http-equiv>")
        self._in_style = tag == "style" and not end
        parts = [tag]
        for name, value in attrs:
            text = value or ""
            if name in _NAMING or (name == "href" and tag not in ("a", "area")):
                text = text if text.startswith("#") else self._data(text)
            elif name == "style":
                text = self._css(text)
            parts.append(name if value is None else f'{name}="{escape(text)}"')
        self._out.append(f"<{' '.join(parts)}{end}>")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False
        self._out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self._out.append(self._css(data) if self._in_style else data)

    def handle_entityref(self, name: str) -> None:
        self._out.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self._out.append(f"&#{name};")

    def handle_decl(self, decl: str) -> None:
        self._out.append(f"<!{decl}>")
