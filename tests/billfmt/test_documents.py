"""Real PDFs, read back: what is on them in each language, page by page, and what they say of themselves."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest

import bill_samples
from bill_world import reader, text_of
from mubss.billfmt.errors import RenderError
from mubss.billfmt.payment import epc_code, epc_text, grouped
from mubss.billfmt.render import Rendered
from peers import program

TEXTS = bill_samples.ROOT / "templates/texts"
LANGUAGES = sorted(path.stem for path in TEXTS.glob("*.toml"))


def render(kind: str, language: str = "en", *arguments: Any, **options: Any) -> Rendered:
    bill, usage, postings = getattr(bill_samples, kind)(language, *arguments)
    return bill_samples.renderer(**options).render(bill, usage, postings, bill_samples.facts(language))


def plain(text: str) -> str:
    """A text as PDFs give it back: one kind of space, no marks of direction."""
    return " ".join(text.replace("\u200e", "").replace("\u200f", "").split())


@pytest.mark.parametrize(
    ("language", "wanted"),
    [
        ("en", "Invoice|INV-2026-0000042|Amount due|€86.63|Due by November 18, 2026|Oct 4 – Nov 3, 2026|+4917012345678|"
               "DE89 3704 0044 0532 0130 00|Monthly fee Family|Discount LOYAL 10%|6.25 GB|Page 1 of 3|Page 3 of 3"),
        ("de", "Rechnung|Zu zahlen|86,63 €|Fällig am 18. November 2026|Grundpreis Familie|6,25 GB|"
               "254:52 Min.|Seite 3 von 3"),
        ("fr", "Facture|Montant à payer|86,63 €|18 novembre 2026|Abonnement Famille|6,25 Go|Page 3 sur 3"),
        ("es", "Factura|Importe a pagar|86,63 €|18 de noviembre de 2026|Cuota mensual Familia|Página 3 de 3"),
    ],
)  # fmt: skip
def test_a_bill_says_it_in_its_language(language: str, wanted: str) -> None:
    text = plain(text_of(render("postpaid", language).pdf))
    assert [one for one in wanted.split("|") if one not in text] == []


def test_whom_a_bill_is_for() -> None:
    bill, usage, postings = bill_samples.postpaid("en", 3)
    made = bill_samples.renderer().render(bill, usage, postings, bill_samples.facts())
    assert "Jane Doe Flat 3, 12 Harbour Road Leith, Edinburgh EH6 6JQ United Kingdom" in plain(text_of(made.pdf))
    bill["customer"] = {"name": "Σάρα <b>&amp; Søn</b>"}
    made = bill_samples.renderer().render(bill, usage, postings, bill_samples.facts())
    assert "Σάρα <b>&amp; Søn</b>" in plain(text_of(made.pdf))
    del bill["customer"]
    assert "Invoice" in text_of(bill_samples.renderer().render(bill, usage, postings, bill_samples.facts()).pdf)


def test_arabic_is_all_there_from_right_to_left() -> None:
    made = render("postpaid", "ar")
    text = normalize("NFKC", text_of(made.pdf))  # letters come back in the shapes that they are drawn in
    for word in ("فاتورة", "الملخص", "الضريبة", "المكالمات", "العائلة", "€ 86.63"):
        assert word in text, word
    root = reader(made.pdf).trailer["/Root"]
    assert root["/Lang"] == "ar" and root["/ViewerPreferences"]["/Direction"] == "/R2L"


def test_a_statement_has_each_movement_of_the_balance() -> None:
    text = plain(text_of(render("prepaid").pdf))
    for wanted in ("Account statement", "Your balance", "Opening balance", "Top-up · APP-0012", "Balance history"):
        assert wanted in text
    assert "How to pay" not in text and "Bundle 5 GB for three days -€4.00" in text


def test_a_credit_note_gives_back() -> None:
    text = plain(text_of(render("credit_note").pdf))
    for wanted in (
        "Credit note",
        "For invoice INV-2026-0000042",
        "Two weeks without network",
        "Credited to you",
        "€21.00",
    ):
        assert wanted in text
    assert "Amount due" not in text


@pytest.mark.parametrize("engine", ["plutobook", "pdfkit"])
def test_what_a_pdf_says_of_itself(engine: str) -> None:
    if engine == "pdfkit":
        program("wkhtmltopdf", "wkhtmltopdf")
    pdf = reader(render("postpaid", "de", engine=engine).pdf)
    assert pdf.metadata is not None
    assert pdf.metadata.title == "Rechnung INV-2026-0000042" and pdf.metadata.author == "µBSS Mobile"
    assert pdf.trailer["/Root"]["/Lang"] == "de"
    assert pdf.metadata.creation_date is not None and pdf.metadata.creation_date.isoformat()[:10] == "2026-11-04"
    assert "Rechnung" in pdf.pages[0].extract_text()


def test_heads_repeat_and_pages_are_counted() -> None:
    made = render("postpaid", "en", 1000)
    pages = [plain(page.extract_text()) for page in reader(made.pdf).pages]
    assert len(pages) == made.pages > 12
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {made.pages}" in page
    for page in pages[2:]:
        assert "Date Time" in page, "the table's head"


def test_the_limit_of_rows_names_where_the_rest_is() -> None:
    made = render("postpaid", "en", 1000, itemised_rows=40)
    text = plain(text_of(made.pdf))
    assert "40 of 1,000 entries are listed. All of them: https://my.mubss.example/usage" in text and made.pages <= 3
    none = plain(text_of(render("postpaid", "en", 50, itemised_rows=0).pdf))
    assert "0 of 50 entries are listed." in none and "Itemised" not in none
    moves = plain(text_of(render("prepaid", "en", 400, itemised_rows=40).pdf))
    assert "40 of 400 entries are listed." in moves


@pytest.mark.parametrize("engine", ["plutobook", "pdfkit"])
def test_another_process_makes_the_same_octets(engine: str) -> None:
    if engine == "pdfkit":
        program("wkhtmltopdf", "wkhtmltopdf")
    code = (
        "import sys, bill_samples as b; bill, usage, postings = b.postpaid('en');"
        f"made = b.renderer(engine='{engine}').render(bill, usage, postings, b.facts('en')); "
        "print(made.digest, made.template)"
    )
    environ = {"PYTHONPATH": f"{bill_samples.ROOT}:{bill_samples.ROOT}/scripts", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code]
    found = {
        subprocess.run(
            command, env={**environ, "PYTHONHASHSEED": seed, "TZ": zone}, capture_output=True, text=True, check=True
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    here = render("postpaid", "en", engine=engine)
    assert found == {f"{here.digest} {here.template}\n"}


def test_the_version_is_of_all_that_is_seen() -> None:
    plain_one = bill_samples.renderer().version
    assert bill_samples.renderer(threads=7, lease_seconds=60).version == plain_one
    assert bill_samples.renderer(iban="").version != plain_one
    assert bill_samples.renderer(address=("elsewhere",)).version != plain_one


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_are_whole(language: str) -> None:
    english = tomllib.loads((TEXTS / "en.toml").read_text("utf-8"))
    own = tomllib.loads((TEXTS / f"{language}.toml").read_text("utf-8"))

    def words(texts: dict[str, Any]) -> dict[str, Any]:
        return {
            key: words(text) if isinstance(text, dict) else sorted(set(re.findall(r"\{\w+\}", text)))
            for key, text in texts.items()
        }

    assert words(own) == words(english)


def test_any_kind_of_line_is_printed() -> None:
    bill, usage, postings = bill_samples.postpaid()
    bill["lines"] += [
        {"kind": "surcharge", "code": "X-1", "tax": "", "amount": 99},
        {"kind": "minimum", "code": "family", "tax": "", "amount": 1},
    ]
    text = plain(text_of(bill_samples.renderer().render(bill, usage, postings, bill_samples.facts()).pdf))
    assert "surcharge X-1 €0.99" in text and "Minimum charge €0.01" in text


@pytest.mark.parametrize(
    ("due", "headline"), [(0, "Nothing to pay €0.00"), (-1234, "Credit in your favour €12.34"), (1, "Amount due €0.01")]
)
def test_what_is_due(due: int, headline: str) -> None:
    bill, usage, postings = bill_samples.postpaid("en", 0)
    made = bill_samples.renderer().render({**bill, "due": due}, usage, postings, bill_samples.facts())
    text = plain(text_of(made.pdf))
    assert headline in text and ("How to pay" in text) == (due > 0)


def test_a_bill_that_lacks_a_figure_says_which() -> None:
    bill, usage, postings = bill_samples.postpaid()
    del bill["net"]
    with pytest.raises(RenderError, match="KeyError: 'net'"):
        bill_samples.renderer().render(bill, usage, postings, bill_samples.facts())


def test_the_code_to_pay_by() -> None:
    assert epc_text("µBSS", "DE89 3704 0044 0532 0130 00", "COBADEFFXXX", 1205, "INV-1").split("\n") == [
        "BCD", "002", "1", "SCT", "COBADEFFXXX", "µBSS", "DE89370400440532013000", "EUR12.05", "", "", "INV-1",
    ]  # fmt: skip
    made = epc_code("µBSS", "DE89370400440532013000", "", 1205, "INV-1")
    assert made is not None and made.size in (33, 37) and made.path.startswith("M0 0.5h7M")
    assert epc_code("µBSS", "", "", 1205, "INV-1") is None
    assert epc_code("µBSS", "DE89370400440532013000", "", 10**11, "INV-1") is None
    assert grouped("DE89370400440532013000") == "DE89 3704 0044 0532 0130 00"


def test_another_currency_has_no_code(tmp_path: Path) -> None:
    bill, usage, postings = bill_samples.postpaid("en", 0)
    bill |= {"currency": "JPY", "decimals": 0}
    text = plain(text_of(bill_samples.renderer().render(bill, usage, postings, bill_samples.facts()).pdf))
    assert "Scan with" not in text and "IBAN" in text and "¥" in text
