"""The configuration: files and the environment; and reference data, which is TOML as well."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mubss.config import data_path, defaults_text, load
from mubss.core.errors import ConfigError, RefdataError
from mubss.refdata.form import parse
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import validate

CONFIG, ENVIRONMENT, REFDATA = range(3)
FOLDER = tempfile.TemporaryDirectory(prefix="mubss-fuzz-config-")
CALENDAR = operator_calendar("UTC")
PEERS = """\
[gy]
host = "127.0.0.1, ::1"
workers = 2
served_realms = ["*.example"]
[[gy.peers]]
origin_host = "*.epc.example"
addresses = ["192.0.2.0/24"]
profile = "mine"
[[gy.profiles]]
name = "mine"
base = "open5gs"
"""


def seeds() -> dict[str, bytes]:
    """What the first octet says: a file of [options], NAME=TEXT lines, or a tariff; then that."""
    defaults = defaults_text()
    sections = {f"section-{at}": part for at, part in enumerate(defaults.split("\n["))}
    demo = data_path("conf/refdata/demo.toml").read_bytes()
    return {
        **{name: bytes([CONFIG]) + b"[" + part.encode() for name, part in sections.items() if name != "section-0"},
        "peers": bytes([CONFIG]) + PEERS.encode(),
        "types": bytes([CONFIG]) + b"[gy]\nport = 1e3\na = 2026-11-29T10:00:00Z\nb = {x = [1, '''y''']}\nc = 0xff\n",
        "environment": bytes([ENVIRONMENT])
        + b"GY__PORT=3868\nSTORE__URL=mysqlx://u:p@[a,b]:33060/s?x=1\nGY__SERVED_REALMS=a,b",
        "deep-list": bytes([CONFIG]) + b"[gy]\nport = " + b"[" * 3000,
        "deep-table": bytes([CONFIG]) + b"a = " + b"{a = " * 1000,
        "deep-key": bytes([CONFIG]) + b"a." * 2000 + b"a = 1\n",
        "deep-header": bytes([CONFIG]) + b"[" + b"a." * 2000 + b"a]\n",
        "digits": bytes([CONFIG]) + b"[gy]\nport = " + b"9" * 5000,
        "deep-tariff": bytes([REFDATA]) + b"[[zones]]\ncode = " + b"[" * 3000,
        "zone": bytes([ENVIRONMENT]) + b"GENERAL__TIMEZONE=Europe/Berlin\nGENERAL__LOG_LEVEL=debug",
        **{f"tariff-{at}": bytes([REFDATA]) + part for at, part in enumerate(_pieces(demo, 6000))},
    }


def _pieces(data: bytes, most: int) -> list[bytes]:
    """A text in pieces that begin at a table."""
    found, rest = [], data
    while len(rest) > most:
        cut = rest.rfind(b"\n[[", 1, most) + 1
        if not cut:
            break
        found.append(rest[:cut])
        rest = rest[cut:]
    return [*found, rest[:most]]


def one_input(data: bytes) -> None:
    """ConfigError or RefdataError, whose lines are bounded and name what is wrong, or something that is in force."""
    kind, rest = (data[0] % 3, data[1:]) if data else (CONFIG, b"")
    try:
        if kind == CONFIG:
            file = Path(FOLDER.name, "mubss.toml")
            file.write_bytes(rest)
            assert load(file, {}).store_url
        elif kind == ENVIRONMENT:
            text = rest.decode("utf-8", "surrogateescape").replace("\0", "")
            pairs = [line.partition("=")[::2] for line in text.split("\n") if "=" in line]
            folder = {"MUBSS_GENERAL__DATA_DIR": FOLDER.name}
            assert load(
                None, folder | {f"MUBSS_{name}": value for name, value in pairs if name != "GENERAL__DATA_DIR"}
            ).store_url
        else:
            validate([parse("x.toml", rest)], CALENDAR)
    except ConfigError as error:
        assert all(len(line) < 3000 for line in str(error).splitlines())
    except RefdataError as error:
        assert error.faults and all(len(fault) < 3000 for fault in error.faults)
