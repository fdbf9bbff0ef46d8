"""Options of the formatting of bills, `[billfmt]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_folder, is_iban, is_link
from mubss.options import option

PLUTOBOOK, PDFKIT = "plutobook", "pdfkit"


@dataclass(frozen=True, slots=True)
class BillfmtOptions:
    """Bills as PDF files, mubss-billfmt; see docs/INVOICES.md."""

    engine: str = option(
        PLUTOBOOK,
        "What makes the PDF: plutobook, or pdfkit where wkhtmltopdf is installed.",
        choices=(PLUTOBOOK, PDFKIT),
    )
    templates: str = option(
        "", "Folder with templates of your own; files that it doesn't have are those of the program. Empty: none."
    )
    invoices: str = option(
        "invoices", "Folder of the PDF files: <year>/<month>/bc_<cycle>/<billing id>.pdf in it.", check=is_folder
    )
    threads: int = option(
        2, "PDF files made side by side in a process; several processes may run, too.", low=1, high=32
    )
    poll_seconds: int = option(5, "How often new bills are looked for.", low=1, high=3600, unit="seconds")
    lease_seconds: int = option(
        120,
        "How long a process has the bills that it took; after it another takes them over.",
        low=2,
        high=3600,
        unit="seconds",
    )
    itemised_rows: int = option(
        2000,
        "Calls, or movements of a balance, that are listed on a bill; for more it names `details_link`.",
        low=0,
        high=50_000,
        unit="rows",
    )
    operator: str = option("µBSS Mobile", "Your name, as bills have it.")
    address: tuple[str, ...] = option((), "Your postal address, a line each.")
    tax_id: str = option("", "Your tax number, as the law wants it on bills.")
    iban: str = option("", "The account that is paid to. With it, bills in EUR have a code to pay by.", check=is_iban)
    bic: str = option("", "Its bank's BIC.")
    payment_link: str = option("", "Where bills are paid online.", check=is_link)
    details_link: str = option("", "Where subscribers see all their usage.", check=is_link)
    email: str = option("", "Where subscribers ask.")
    phone: str = option("", "Where subscribers call.")
    logo: str = option("images/logo.svg", "Your logo, an SVG or PNG file in the folder of templates; empty: none.")
