"""A small tariff as text, and the ways tests read one."""

from __future__ import annotations

from mubss.core.calendar import OperatorCalendar
from mubss.core.errors import RefdataError
from mubss.core.tariff import Tables
from mubss.refdata.form import Source, parse
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import validate

CALENDAR: OperatorCalendar = operator_calendar("Europe/Berlin")

CURRENCY = '[[currencies]]\ncode = "EUR"\nnumeric = 978\ndecimals = 2\n'
TAX = '[[taxes]]\ncode = "VAT"\nrate_percent = "20"\n'
SERVICES = "".join(
    f'[[services]]\ncode = "{code}"\nunit = "{unit}"\nquota_units = 10\nquota_limit_units = 100\n'
    "validity_seconds = 60\n"
    for code, unit in (("DATA", "octets"), ("VOICE", "seconds"))
)
BAND = '[[bands]]\ncode = "peak"\nweekdays = ["mon", "tue"]\nfrom = "08:00"\nuntil = "20:00"\n'
ZONE = '[[destinations]]\nzone = "home"\nprefixes = ["49", "49170"]\n'
MAP = '[[service_map]]\ncontext = "32251"\nrating_groups = ["none", "1-99"]\nservice = "DATA"\n'
CYCLE = "[[bill_cycles]]\nnumber = 3\nclosing_day = 3\n"
PLAN = '[[price_plans]]\ncode = "basic"\ntype = "prepaid"\ncurrency = "EUR"\n'
RATE = '[[price_plans.rates]]\nservice = "DATA"\nprice = "0.02"\nper_units = 1_000_000\n'
TARIFF = CURRENCY + TAX + SERVICES + BAND + ZONE + MAP + CYCLE + PLAN + RATE


def source(text: str | bytes, name: str = "tariffs.toml") -> Source:
    """One file as its rows."""
    return parse(name, text if isinstance(text, bytes) else text.encode())


def tables_of(text: str) -> Tables:
    """The tables of one file that stands alone."""
    return validate([source(text)], CALENDAR)[1]


def faults_of(*texts: str | bytes) -> list[str]:
    """What is wrong with files a.toml, b.toml, … that are loaded together (tariffs.toml if it is one)."""
    names = ["tariffs.toml"] if len(texts) == 1 else [f"{letter}.toml" for letter in "abc"]
    try:
        validate([source(text, name) for text, name in zip(texts, names, strict=False)], CALENDAR)
    except RefdataError as error:
        return error.faults
    return []
