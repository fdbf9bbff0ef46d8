"""Neither templates nor data lead an engine out of the folder of templates: no file, no network, no code."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bill_samples
from bill_world import text_of
from mubss.billfmt.engines import open_engine
from mubss.billfmt.errors import RenderError
from mubss.billfmt.folder import read_folder
from mubss.billfmt.pdf_update import About
from mubss.billfmt.render import Renderer, css_text
from mubss.core.errors import ConfigError
from peers import program

ABOUT = About("t", "a", "en", False, 0)
SECRET = "root:x:0:0"


@pytest.fixture(params=["plutobook", "pdfkit"])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "pdfkit":
        program("wkhtmltopdf", "wkhtmltopdf")
    return str(request.param)


class Listener:
    """A port that counts who connects."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.seen = 0
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        while True:
            try:
                self.socket.accept()[0].close()
            except OSError:
                return
            self.seen += 1

    def close(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


def with_template(folder: Path, text: str, engine: str = "plutobook", **more: Any) -> str:
    """What a bill says that is made with a template of the operator's."""
    (folder / "postpaid.html").write_text(text)
    renderer = Renderer(
        bill_samples.replace(bill_samples.OPTIONS, engine=engine), bill_samples.ROOT / "templates", folder,
        bill_samples.ZONE,
    )  # fmt: skip
    bill, usage, postings = bill_samples.postpaid("en", 3)
    return text_of(renderer.render({**bill, **more}, usage, postings, bill_samples.facts()).pdf)


@pytest.mark.parametrize(
    "body",
    [
        '<img src="{url}a.png">',
        '<link rel="stylesheet" href="{url}a.css">',
        "<style>@import '{url}a.css';</style>",
        "<style>@font-face {{ font-family: x; src: url({url}a.ttf) }} p {{ font-family: x }}</style><p>x</p>",
        '<p style="background-image: url({url}a.png)">x</p>',
        '<svg width="9" height="9"><image xlink:href="{url}a.png" width="9" height="9"/></svg>',
        '<base href="{url}"><img src="a.png">',
        '<object data="{url}a.svg"></object>',
    ],
)
@pytest.mark.parametrize(
    "scheme", ["file:///etc/passwd?", "http://127.0.0.1:{port}/", "../../../../etc/passwd?", "//x/"]
)
def test_what_isnt_in_the_folder_isnt_fetched(
    tmp_path: Path, engine: str, listener: Listener, body: str, scheme: str
) -> None:
    url = scheme.format(port=listener.port)
    html = body.format(url=url)
    try:
        text = with_template(tmp_path, f"<html><body>{html} end</body></html>", engine)
    except RenderError as error:
        assert "expected a file of the folder of templates" in str(error)
    else:
        assert text.endswith("end") and SECRET not in text, "the engine doesn't know such a thing at all"
    assert listener.seen == 0


@pytest.mark.parametrize("name", ["/etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "images/../../setup.py", "texts/en.toml"])
def test_names_that_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(RenderError, match="expected a file of the folder"):
        with_template(tmp_path, f'<html><body><img src="{name}"></body></html>')


def test_nothing_of_a_frame_or_a_script_is_there(tmp_path: Path, engine: str, listener: Listener) -> None:
    body = (
        f'<iframe src="file:///etc/passwd"></iframe><iframe src="http://127.0.0.1:{listener.port}/"></iframe>'
        f"<script>document.body.innerHTML = 'changed'; new Image().src = 'http://127.0.0.1:{listener.port}/'</script>"
    )
    try:
        text = with_template(tmp_path, f"<html><body>before {body} after</body></html>", engine)
    except RenderError as error:
        assert "expected a file of the folder of templates" in str(error)
    else:
        assert SECRET not in text and "changed" not in text and "before" in text
    assert listener.seen == 0


def test_the_program_itself_may_do_neither(listener: Listener, tmp_path: Path) -> None:
    """What the inliner lets by is stopped all the same: no file is read, nobody is called."""
    program("wkhtmltopdf", "wkhtmltopdf")
    engine = open_engine("pdfkit", read_folder(bill_samples.ROOT / "templates"))
    from mubss.billfmt import wkhtmltopdf

    class Blind(wkhtmltopdf._Inliner):
        def whole(self, html: str) -> str:
            return html

    kept = wkhtmltopdf._Inliner
    wkhtmltopdf._Inliner = Blind  # type: ignore[misc]
    try:
        (tmp_path / "secret.html").write_text(f"<p>{SECRET}</p>")
        for url in (f"http://127.0.0.1:{listener.port}/", f"file://{tmp_path}/secret.html"):
            for tag in (f'<iframe src="{url}"></iframe>', f'<img src="{url}">', f'<object data="{url}"></object>'):
                try:
                    text = text_of(engine.make(f"<html><body>{tag} end</body></html>", ABOUT).pdf)
                except RenderError as error:
                    assert "wkhtmltopdf: " in str(error)
                else:
                    assert SECRET not in text
    finally:
        wkhtmltopdf._Inliner = kept  # type: ignore[misc]
    assert listener.seen == 0


@pytest.mark.parametrize(
    "code",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ view.build.__globals__ }}",
        "{{ self._TemplateReference__context.environment }}",
        "{{ view.texts.pop('page') }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% for one in range(1000000000) %}{% endfor %}",
        "{{ view.nothing }}",
        "{% include '../../../etc/passwd' %}",
        "{{ 10 ** 10 ** 10 }}",
    ],
)
def test_templates_run_in_a_sandbox(tmp_path: Path, code: str) -> None:
    with pytest.raises(RenderError, match=r"template: \w+"):
        with_template(tmp_path, f"<html><body>{code}</body></html>")


def test_a_template_that_isnt_one_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"billfmt\.templates: postpaid\.html, line 2: "):
        with_template(tmp_path, "<html>\n{% if %}")


def test_data_is_text_and_nothing_else(engine: str) -> None:
    evil = "</style></title><img src=file:///etc/passwd>{{ 7 * 7 }}<script>x</script>\"'\\;} @page { size: A3 }"
    bill, usage, postings = bill_samples.postpaid("en", 3)
    bill["lines"].append({"kind": "adjustment", "code": evil, "tax": "", "amount": 1})
    usage[0]["called"] = evil
    facts = bill_samples.facts()
    facts["plans"]["family"] = evil
    made = bill_samples.renderer(operator=evil, tax_id=evil, engine=engine).render(bill, usage, postings, facts)
    text = text_of(made.pdf)
    assert "{{ 7 * 7 }}" in text and "<script>x</script>" in text and SECRET not in text


@pytest.mark.parametrize("text", ['"', "\\", "\n", "</style>", "a\\22 b", "' ; } *", "\u200f€ µ"])
def test_a_text_within_css_is_one_string(text: str) -> None:
    made = str(css_text(text))
    inner = made[1:-1]
    assert made[0] == made[-1] == '"' and '"' not in inner and "\n" not in inner and "<" not in inner


def test_a_folder_is_only_what_is_in_it(tmp_path: Path) -> None:
    own, elsewhere = tmp_path / "own", tmp_path / "secret.svg"
    own.mkdir()
    elsewhere.write_text("<svg/>")
    (own / "logo.svg").symlink_to(elsewhere)
    with pytest.raises(ConfigError, match=r"logo\.svg; it leads out of the folder"):
        read_folder(bill_samples.ROOT / "templates", own)
    (own / "logo.svg").unlink()
    (own / "parts").mkdir()
    (own / "parts/letterhead.html").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="expected UTF-8"):
        read_folder(bill_samples.ROOT / "templates", own)
    with pytest.raises(ConfigError, match="expected a folder"):
        read_folder(bill_samples.ROOT / "templates", tmp_path / "nowhere")


def test_texts_of_notifications_are_none_of_bills() -> None:
    files = read_folder(bill_samples.ROOT / "templates").files
    assert (bill_samples.ROOT / "templates/notifications").is_dir()
    assert "texts/en.toml" in files and not [name for name in files if name.startswith("notifications")]


def test_a_part_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/letterhead.html").write_text("<p>ACME of {{ view.operator.name }}</p>")
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/en.toml").write_text((bill_samples.ROOT / "templates/texts/en.toml").read_text())
    (tmp_path / "texts/nl.toml").write_text('invoice = "Factuur"\n')
    text = with_template(
        tmp_path, (bill_samples.ROOT / "templates/postpaid.html").read_text(), language="nl", msisdn="31612345678"
    )
    assert "ACME of µBSS Mobile" in text and "Factuur" in text and "€ 25,00" in text.replace("\xa0", " ")


def test_an_engine_that_isnt_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ConfigError, match="pdfkit needs wkhtmltopdf, which isn't installed"):
        bill_samples.renderer(engine="pdfkit")
