"""CDR files and the tariff that rates them, for load and torture: mixed records over many subscribers and prefixes."""

from __future__ import annotations

import random
import time
from pathlib import Path

from mubss.cdr.writer import writing
from mubss.config import data_path
from mubss.pb.cdr_pb2 import Record
from mubss.refdata.form import Source, read_files
from mubss.refdata.live import Refdata, operator_calendar
from mubss.refdata.load import load
from mubss.services.lifecycle import NewSubscriber, create
from mubss.storage.database import Store, create_collections, open_database

FIRST = 999_700_000_001
PLAN = "bench-postpaid"
ZONES = 20
DAY_S = 86_400
_RATE = """[[price_plans.rates]]
service = "VOICE"
zone = "{zone}"
band = "{band}"
price = "{price}"
per_units = {per}
"""
_BANDS = """[[bands]]
code = "night"
name = "Night"
weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "20:00"
until = "06:00"
"""


def tariff(prefixes: int) -> str:
    """Prices for 20 zones by day and by night, with free units; so many prefixes of 5 and 6 digits."""
    lines = [_BANDS, f'[[price_plans]]\ncode = "{PLAN}"\nname = "Bench"\ntax = "VAT20"']
    lines += ['type = "postpaid"\ncurrency = "EUR"\nmonthly_fee = "15.00"\ncredit_limit = "1000"']
    lines += ["[price_plans.free_units]\nDATA = 100_000_000\nVOICE = 600\nSMS = 5"]
    for code, price, per in (("DATA", "0.02", 1_000_000), ("VOICE", "0.29", 60), ("SMS", "0.08", 1)):
        lines.append(f'[[price_plans.rates]]\nservice = "{code}"\nprice = "{price}"\nper_units = {per}')
    for zone in range(ZONES):
        lines.append(_RATE.format(zone=f"z{zone}", band="any", price=f"0.{10 + zone}", per=60))
        lines.append(_RATE.format(zone=f"z{zone}", band="night", price=f"0.0{10 + zone}", per=1))
    for zone in range(ZONES):
        numbers = ", ".join(f'"{prefix_of(index)}"' for index in range(zone, prefixes, ZONES))
        lines.append(f'[[destinations]]\nzone = "z{zone}"\nname = "Zone {zone}"\nprefixes = [{numbers}]')
    return "\n".join(lines) + "\n"


def prefix_of(index: int) -> str:
    """The prefix of that number: neighbours lie in different zones."""
    return str(20_000 + index) if index < 70_000 else str(130_000 + index)


def make_store(url: str, accounts: int, prefixes: int, folder: Path) -> Store:
    """A store with the tariff, and so many postpaid subscribers."""
    store = open_database(url)
    create_collections(store)
    file = folder / "bench.toml"
    file.write_text(tariff(prefixes))
    sources: list[Source] = read_files([data_path("conf/refdata/demo.toml"), file])
    load(store, sources, operator_calendar("UTC"), int(time.time()), replace=False)
    tables = Refdata(store, "UTC").load()
    people = [NewSubscriber(str(FIRST + n), f"{FIRST * 1000 + n}", "postpaid", PLAN, 0, 3) for n in range(accounts)]
    create(store, tables, people, int(time.time() * 1000))
    return store


def mixed(rng: random.Random, number: int, accounts: int, prefixes: int, now_s: int) -> Record:
    """Half calls, some in parts; a third data; the rest messages. Of the last three days."""
    msisdn = str(FIRST + rng.randrange(accounts))
    start_s = now_s - rng.randrange(3 * DAY_S)
    record = Record(record_id=f"{number:012}", start_s=start_s, utc_offset_minutes=60, network="99970")
    kind = rng.random()
    if kind < 0.5:
        record.type, record.calling, record.duration_s = Record.VOICE, msisdn, rng.randrange(1, 900)
        record.called = prefix_of(rng.randrange(prefixes)) + f"{rng.randrange(10**6):06}"
        if kind < 0.02:
            record.call_id, record.partial_sequence = f"c{number // 3}", 1 + number % 3
    elif kind < 0.83:
        record.type, record.served_msisdn, record.duration_s = Record.DATA, msisdn, rng.randrange(1, 7_200)
        record.octets_up, record.octets_down = rng.randrange(10**7), rng.randrange(10**8)
        record.charging_id = number + 1
    else:
        record.type, record.calling, record.events = Record.SMS, msisdn, 1
        record.called = str(FIRST + rng.randrange(accounts))
    return record


def write_file(
    path: Path,
    seed: int,
    records: int,
    accounts: int,
    prefixes: int,
    now_s: int,
    source: str = "bench",
    sequence: int = 1,
) -> None:
    """A file of so many mixed records, the same for a seed."""
    rng = random.Random(seed)
    with writing(path, source, sequence, now_s) as writer:
        for number in range(records):
            writer.write(mixed(rng, number, accounts, prefixes, now_s))
