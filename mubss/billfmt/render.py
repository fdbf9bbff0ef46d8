"""From a bill to its PDF: templates, texts and an engine, of one version for the life of the renderer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple
from unicodedata import bidirectional

from jinja2 import DictLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mubss.billfmt.engines import PdfEngine, open_engine
from mubss.billfmt.errors import RenderError
from mubss.billfmt.folder import Folder, read_folder
from mubss.billfmt.texts import read_texts
from mubss.billfmt.view import TITLES, View, build
from mubss.config_billfmt import BillfmtOptions
from mubss.core.errors import ConfigError

FORMAT = 1  # of what this program gives the templates; a change of it makes other documents of the same bills
Doc = Mapping[str, Any]
_WAYS = {"L": "ltr", "R": "rtl", "AL": "rtl"}


class Rendered(NamedTuple):
    """A PDF, its pages, its SHA-256 in hexadecimal letters, and the version of all that made it."""

    pdf: bytes
    pages: int
    digest: str
    template: str


class Renderer:
    """Renders bills; safe from any thread. ConfigError where templates or engine aren't usable."""

    def __init__(self, options: BillfmtOptions, shipped: Path, own: Path | None, zone: tzinfo) -> None:
        self._options = options
        self._zone = zone
        folder = read_folder(shipped, own)
        self._texts = read_texts(folder)
        if options.logo and options.logo not in folder.files:
            raise ConfigError(f"billfmt.logo: {options.logo[:80]!r}; expected a file of the folder of templates")
        self._environment = _environment(folder)
        self._engine: PdfEngine = open_engine(options.engine, folder)
        for kind in TITLES:
            self._template(kind)
        self.version = folder.digest(FORMAT, self._engine.name, self._engine.version, _shown(options), str(zone))

    def render(self, bill: Doc, usage: Sequence[Doc], postings: Sequence[Doc], facts: Doc) -> Rendered:
        """RenderError, saying why, for a bill that can't be rendered."""
        try:
            view = build(bill, usage, postings, facts, self._texts, self._options, self._zone)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise RenderError(f"bill: {type(error).__name__}: {error}; expected a bill as runs issue them") from error
        made = self._engine.make(self.html(view), view.about)
        return Rendered(made.pdf, made.pages, sha256(made.pdf).hexdigest(), self.version)

    def html(self, view: View) -> str:
        """The document that the engine is given."""
        try:
            return str(self._template(view.bill["kind"]).render(view=view, t=view.texts))
        except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError, RecursionError) as error:
            raise RenderError(f"template: {type(error).__name__}: {error}") from error

    def _template(self, kind: str) -> Any:
        try:
            return self._environment.get_template(f"{kind}.html")
        except TemplateError as error:
            line = f", line {error.lineno}" if isinstance(error, TemplateSyntaxError) else ""
            where = (error.name if isinstance(error, TemplateSyntaxError) else None) or f"{kind}.html"
            raise ConfigError(f"billfmt.templates: {where}{line}: {error.message or type(error).__name__}") from None


class _Sandbox(ImmutableSandboxedEnvironment):
    """Templates reach nothing but what they are given, and change nothing of it."""

    intercepted_binops = frozenset(["**"])  # a power may take for ever

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        raise SecurityError(f"{operator} isn't allowed in templates")


def _environment(folder: Folder) -> _Sandbox:
    made = _Sandbox(
        loader=DictLoader(folder.texts()),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters["css"] = css_text
    made.filters["dir"] = direction_of
    return made


def direction_of(text: object) -> str:
    """The direction that a text is written in, by its first letter that has one: "ltr" or "rtl"."""
    return next((_WAYS[way] for one in str(text) if (way := bidirectional(one)) in _WAYS), "ltr")


def css_text(text: object) -> Any:
    """A text as a string of CSS, whatever stands in it: "a\\a b"."""
    from markupsafe import Markup

    letters = (one if one.isalnum() or one in " .,:-/()" else f"\\{ord(one):x} " for one in str(text))
    return Markup('"' + "".join(letters) + '"')


def _shown(options: BillfmtOptions) -> tuple[Any, ...]:
    """What of the options is seen on bills."""
    names = "operator address tax_id iban bic payment_link details_link email phone logo itemised_rows".split()
    return tuple((name, getattr(options, name)) for name in names)
