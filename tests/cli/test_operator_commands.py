"""The operator's commands on a real store: what they do, what they print, and what they say of mistakes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from cli_tools import Shell
from gy_peers import Scripted
from mubss.runtime import ExitCode
from mubss.services.demo import demo_subscribers

PREPAID, POSTPAID = "999700000001", "999700000110"


def test_init_makes_the_store_once(shell: Shell) -> None:
    first = shell.json("init")
    assert first["store"] == str(shell.folder / "var/mubss.db")
    assert {"accounts", "subscribers", "postings", "ref_price_plans"} <= set(first["collections_added"])
    assert shell.json("init")["collections_added"] == []
    assert "already" in shell.ok("init").out


def test_init_adds_what_an_older_store_lacks(shell: Shell) -> None:
    shell.ok("init")
    with sqlite3.connect(shell.folder / "var/mubss.db") as link:
        link.execute("DROP TABLE suspense")
    refused = shell("subscriber", "list")
    assert refused.code == ExitCode.STORE_UNAVAILABLE
    assert "no collection suspense; `mubss init` adds what is missing" in refused.err
    assert shell.json("init")["collections_added"] == ["suspense"]
    shell.ok("subscriber", "list")


def test_init_elsewhere_is_remembered(shell: Shell) -> None:
    done = shell.ok("init", "--store", "sqlite:///other/place.db")
    assert (shell.folder / "other/place.db").exists()
    assert f"{shell.folder / 'mubss.toml'}: names this store" in done.out
    assert shell.json("status")["store"]["place"] == str(shell.folder / "other/place.db")
    third = shell.ok("init", "--store", "sqlite:///third.db")
    assert "names another store: set store.url there" in third.out
    assert shell.json("status")["store"]["place"] == str(shell.folder / "other/place.db")


@pytest.mark.parametrize("url", ["nonsense", "sqlite:///", "sqlite://host/file.db", "oracle://here"])
def test_init_refuses_a_url_that_names_no_store(shell: Shell, url: str) -> None:
    done = shell("init", "--store", url)
    assert done.code != 0
    assert "store" in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(shell.folder.iterdir())


def test_a_folder_that_cannot_be_made_is_named(shell: Shell) -> None:
    (shell.folder / "var").write_text("a file")
    done = shell("init")
    assert done.code == ExitCode.STORE_UNAVAILABLE
    assert str(shell.folder / "var") in done.err


def test_init_demo_is_what_it_promises(demo_shell: Shell) -> None:
    people = demo_shell.json("subscriber", "list", "--limit", 100)
    prepaid = [one for one in people if one["type"] == "prepaid"]
    postpaid = [one for one in people if one["type"] == "postpaid"]
    assert [one["msisdn"] for one in prepaid] == [f"9997000000{n:02}" for n in range(1, 11)]
    assert [one["imsi"] for one in prepaid] == [f"9997000000000{n:02}" for n in range(1, 11)]
    assert [one["msisdn"] for one in postpaid] == [f"9997000001{n:02}" for n in range(1, 11)]
    assert [one["imsi"] for one in postpaid] == [f"9997000000001{n:02}" for n in range(1, 11)]
    assert {one["plan"] for one in prepaid} == {"demo-prepaid"}
    assert {(one["plan"], one["bill_cycle"]) for one in postpaid} == {("demo-postpaid", 3)}
    assert {one["state"] for one in people} == {"active"}
    assert len({one["created_s"] for one in people}) == 1
    for one in prepaid:
        found = demo_shell.json("balance", one["msisdn"])
        assert (found["balance_micros"], found["reserved_micros"]) == (10_000_000, 0)
        assert demo_shell.json("usage", one["msisdn"]) == []
    assert demo_shell.json("ledger", "check")["findings"] == []


def test_init_demo_again_adds_nothing(demo_shell: Shell) -> None:
    before = [demo_shell.json("ledger", "postings", one.msisdn) for one in demo_subscribers()]
    again = demo_shell.json("init", "--demo")
    assert again["demo"] == {"prepaid": 0, "postpaid": 0, "sessions": 0}
    assert not again["refdata_changed"]
    assert [demo_shell.json("ledger", "postings", one.msisdn) for one in demo_subscribers()] == before
    assert "nothing was added" in demo_shell.ok("init", "--demo").out


def test_status(demo_shell: Shell) -> None:
    found = demo_shell.json("status")
    assert found["store"]["usable"]
    assert found["subscribers"] == {"active": 20, "suspended": 0, "barred": 0, "terminated": 0}
    assert (found["open_sessions"], found["suspense"], found["refdata"]["version"]) == (0, 0, 1)
    assert found["gy"] == {"host": "127.0.0.1", "port": 1, "listening": False}
    demo_shell.ok("subscriber", "suspend", PREPAID)
    assert demo_shell.json("status")["subscribers"] == {"active": 19, "suspended": 1, "barred": 0, "terminated": 0}
    assert "19 active, 1 suspended" in demo_shell.ok("status").out


def test_status_looks_where_it_is_told(demo_shell: Shell, scripted: Scripted) -> None:
    assert "nobody listens; --port looks at another" in demo_shell.ok("status").out
    assert demo_shell.json("status", "--port", scripted.port)["gy"]["listening"]
    found = demo_shell.json("status", "--host", "localhost", "--port", scripted.port)
    assert found["gy"] == {"host": "localhost", "port": scripted.port, "listening": True}
    assert not demo_shell.json("status", "--host", "no..name")["gy"]["listening"]
    assert demo_shell("status", "--port", 0).code == ExitCode.USAGE


def test_status_of_nothing(shell: Shell) -> None:
    done = shell("status", "--json")
    assert done.code == ExitCode.STORE_UNAVAILABLE
    assert not done.json["store"]["usable"]
    assert "`mubss init` makes it" in done.json["store"]["error"]
    assert not list(shell.folder.iterdir())  # looking makes nothing


def test_status_of_a_file_that_is_no_store(shell: Shell) -> None:
    (shell.folder / "var").mkdir()
    (shell.folder / "var/mubss.db").write_text("something else, and long enough to be a header of a page" * 100)
    done = shell("status")
    assert done.code == ExitCode.STORE_UNAVAILABLE
    assert "not an SQLite database" in " ".join(done.out.split())  # its lines are folded


@pytest.mark.parametrize(
    "command",
    [
        ("subscriber", "list"),
        ("subscriber", "show", PREPAID),
        ("subscriber", "add", PREPAID, "--plan", "x"),
        ("subscriber", "import", "x.csv"),
        ("subscriber", "suspend", PREPAID),
        ("topup", PREPAID, "1"),
        ("balance", PREPAID),
        ("usage", PREPAID),
        ("ledger", "check"),
        ("ledger", "postings", PREPAID),
        ("ref", "list"),
    ],
)
def test_without_a_store_every_command_names_init(shell: Shell, command: tuple[str, ...]) -> None:
    done = shell(*command)
    assert done.code == ExitCode.STORE_UNAVAILABLE
    assert done.err == f"mubss: {shell.folder}/var/mubss.db: there is no store yet; `mubss init` makes it\n"
    assert not list(shell.folder.iterdir())


def test_a_subscriber_s_life(demo_shell: Shell) -> None:
    added = demo_shell.json(
        "subscriber", "add", "+4917012345", "--imsi", "262011234567890", "--plan", "demo-prepaid", "--balance", "2.50"
    )
    assert (added["msisdn"], added["type"], added["language"]) == ("4917012345", "prepaid", "en")
    assert (added["balance_micros"], added["state"]) == (2_500_000, "active")
    for name in ("4917012345", "+4917012345", "e164:4917012345", "imsi:262011234567890"):
        assert demo_shell.json("subscriber", "show", name)["account"] == added["account"]
    suspended = demo_shell.json("subscriber", "suspend", "4917012345", "--reason", "lost phone")
    assert (suspended["state"], suspended["state_before"]) == ("suspended", "active")
    assert "lost phone" in demo_shell.ok("subscriber", "show", "4917012345").out
    assert "suspended already" in demo_shell.ok("subscriber", "suspend", "4917012345").out
    assert [one["msisdn"] for one in demo_shell.json("subscriber", "list", "--state", "suspended")] == ["4917012345"]
    assert "active now; was suspended" in demo_shell.ok("subscriber", "reactivate", "4917012345").out
    assert "barred now; was active" in demo_shell.ok("subscriber", "bar", "4917012345", "--reason", "fraud").out
    assert [one["msisdn"] for one in demo_shell.json("subscriber", "list", "--state", "barred")] == ["4917012345"]
    assert "active now; was barred" in demo_shell.ok("subscriber", "reactivate", "4917012345").out
    assert demo_shell.json("subscriber", "terminate", "4917012345")["state"] == "terminated"
    refused = demo_shell("subscriber", "reactivate", "4917012345")
    assert (refused.code, refused.err) == (65, "mubss: state: terminated; a terminated subscriber doesn't come back\n")
    assert "terminated" in demo_shell("topup", "4917012345", "1").err
    assert demo_shell.json("ledger", "check")["findings"] == []


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["12345", "--plan", "demo-prepaid"], "msisdn: '12345'; expected 6 to 15 digits"),
        (["0123456789", "--plan", "demo-prepaid"], "msisdn: '0123456789'; expected 6 to 15 digits of E.164"),
        (["4917a12345", "--plan", "demo-prepaid"], "msisdn: '4917a12345'"),
        (["4917012345", "--plan", "gold"], "plan: 'gold'; expected one of demo-postpaid, demo-prepaid"),
        (["4917012345", "--plan", "demo-prepaid", "--imsi", "12"], "imsi: '12'; expected 14 or 15 digits"),
        (["4917012345", "--plan", "demo-prepaid", "--balance", "1,50"], "balance: '1,50'; expected an amount like"),
        (["4917012345", "--plan", "demo-prepaid", "--type", "postpaid"], "plan: 'demo-prepaid' is prepaid"),
        (["4917012345", "--plan", "demo-postpaid"], "bill_cycle: none; expected one of 1, 3, 15, 28 for a postpaid"),
        (["4917012345", "--plan", "demo-postpaid", "--bill-cycle", "7"], "bill_cycle: 7; expected one of 1, 3, 15, 28"),
        (["4917012345", "--plan", "demo-prepaid", "--language", "English"], "language: 'English'; expected a code"),
        ([PREPAID, "--plan", "demo-prepaid"], f"msisdn: '{PREPAID}'; expected one that no subscriber has yet"),
        (
            ["4917012345", "--plan", "demo-prepaid", "--imsi", "999700000000005"],
            "imsi: '999700000000005'; expected one that no subscriber has yet",
        ),
        (
            ["4917012345", "--plan", "demo-prepaid", "--balance", "-3"],
            "balance: -3.00; expected 0 or more for a prepaid",
        ),
        (["4917012345", "--plan", "demo-prepaid", "--balance", "9" * 14], ", up to 1000000000"),
        (["12", "--plan", "gold", "--imsi", "3"], "msisdn: '12'"),
        (["12", "--plan", "gold", "--imsi", "3"], "imsi: '3'"),
    ],
)
def test_what_cannot_be_added_is_named(demo_shell: Shell, arguments: list[str], fault: str) -> None:
    done = demo_shell("subscriber", "add", *arguments)
    assert done.code == ExitCode.INPUT
    assert done.err.startswith("mubss: ")
    assert fault in done.err
    assert len(done.err.splitlines()) == 1
    assert len(demo_shell.json("subscriber", "list", "--limit", 100)) == 20


@pytest.mark.parametrize(
    ("amount", "fault"),
    [
        ("0", "amount: 0.00; expected a multiple of 0.01 EUR above 0"),
        ("-5", "amount: -5.00; expected a multiple of 0.01 EUR above 0"),
        ("1.005", "amount: '1.005'; expected an amount like 10 or 10.50, at most 2 decimals"),
        ("1.0000001", "amount: '1.0000001'; expected an amount like 10 or 10.50, at most 2 decimals"),
        ("9" * 23, f"amount: '{'9' * 23}'; expected an amount like 10 or 10.50, at most 2 decimals, up to 1000000000"),
        ("ten", "amount: 'ten'; expected an amount like 10 or 10.50"),
        ("1e3", "amount: '1e3'; expected an amount like"),
        ("1000000000.01", "amount: '1000000000.01'; expected an amount like 10 or 10.50"),
        ("999999995", "the balance would leave"),
    ],
)
def test_what_is_no_top_up_is_named(demo_shell: Shell, amount: str, fault: str) -> None:
    done = demo_shell("topup", PREPAID, amount)
    assert done.code == ExitCode.INPUT
    assert fault in done.err
    assert demo_shell.json("balance", PREPAID)["balance_micros"] == 10_000_000


def test_top_up(demo_shell: Shell) -> None:
    done = demo_shell.json("topup", PREPAID, "5.5", "--reference", "shop 12")
    assert (done["balance_before_micros"], done["balance_micros"]) == (10_000_000, 15_500_000)
    assert demo_shell.ok("topup", PREPAID, "1").out == f"1.00 EUR added to {PREPAID}; balance 16.50 EUR\n"
    postings = demo_shell.json("ledger", "postings", PREPAID)
    assert [one["amount_micros"] for one in postings] == [10_000_000, 5_500_000, 1_000_000]
    assert postings[1]["cause"] == {"kind": "topup", "reference": "shop 12"}
    assert len(demo_shell.json("ledger", "postings", PREPAID, "--last", 2)) == 2
    assert "topup shop 12" in demo_shell.ok("ledger", "postings", PREPAID).out
    bad = demo_shell("topup", PREPAID, "1", "--reference", "x" * 300)
    assert "reference: 'xxxx" in bad.err


@pytest.mark.parametrize(
    "command", [("balance",), ("usage",), ("ledger", "postings"), ("subscriber", "show"), ("subscriber", "suspend")]
)
@pytest.mark.parametrize("name", ["4917099999", "imsi:26201000000", "", "x" * 500, "e164:é"])
def test_a_stranger_is_named(demo_shell: Shell, command: tuple[str, ...], name: str) -> None:
    done = demo_shell(*command, name)
    assert done.code == ExitCode.INPUT
    assert done.err == f"mubss: subscriber: {name[:40]!r}; expected the MSISDN (or imsi:…) of a subscriber\n"


def test_balance_says_what_is_left(demo_shell: Shell) -> None:
    found = demo_shell.json("balance", POSTPAID)
    assert found["credit_limit_micros"] == 100_000_000
    assert found["available_micros"] == found["balance_micros"] + 100_000_000
    free = {code: one["units"] for code, one in found["free_units"].items()}
    assert free == {"DATA": 1_000_000_000, "VOICE": 6_000, "SMS": 50}
    text = demo_shell.ok("balance", POSTPAID).out
    for words in (POSTPAID, "postpaid", "100.00 EUR", "1,000,000,000", "octets", "Free units of"):
        assert words in text
    assert "Free units" not in demo_shell.ok("balance", PREPAID).out


def test_usage_of_the_demo(demo_shell: Shell) -> None:
    found = demo_shell.json("usage", POSTPAID)
    assert {one["service"] for one in found} == {"DATA", "VOICE", "SMS"}
    assert sum(one["charge_micros"] for one in found) == -demo_shell.json("balance", POSTPAID)["balance_micros"]
    assert demo_shell.json("usage", POSTPAID, "--last", 1) == found[-1:]
    assert "999700000002" in demo_shell.ok("usage", POSTPAID).out


def test_lists_are_narrowed_and_paged(demo_shell: Shell) -> None:
    assert len(demo_shell.json("subscriber", "list", "--plan", "demo-postpaid", "--bill-cycle", 3)) == 10
    assert demo_shell.json("subscriber", "list", "--type", "prepaid", "--state", "terminated") == []
    first = demo_shell.json("subscriber", "list", "--limit", 15)
    rest = demo_shell.json("subscriber", "list", "--after", first[-1]["msisdn"])
    assert [len(first), len(rest)] == [15, 5]
    paged = demo_shell("subscriber", "list", "--limit", 15)
    assert (paged.code, paged.err) == (0, f"more: --after {first[-1]['msisdn']}\n")
    assert "more" not in paged.out  # rows alone, for a pipe


def test_what_a_plan_in_use_no_longer_prices_is_named(demo_shell: Shell) -> None:
    file = demo_shell.folder / "plans.toml"
    plan = '[[price_plans]]\ncode = "{}"\ntype = "prepaid"\ncurrency = "EUR"\n'
    rate = '[[price_plans.rates]]\nservice = "{}"\nprice = "0.02"\nper_units = 1\n'
    three = "".join(map(rate.format, ("DATA", "VOICE", "SMS")))
    file.write_text(plan.format("demo-prepaid") + rate.format("SMS") + plan.format("unused") + three)
    warned = "warning: demo-prepaid, which subscribers have, no longer prices DATA, VOICE: such requests are refused\n"
    for options in (["--check"], []):
        done = demo_shell("ref", "load", *options, file)
        assert (done.code, done.err) == (0, warned)
    file.write_text(plan.format("demo-prepaid") + three + plan.format("unused") + rate.format("SMS"))
    assert demo_shell.json("ref", "load", file)["plans_lost_services"] == {}
    file.write_text(plan.format("demo-prepaid") + rate.format("DATA"))
    assert demo_shell.json("ref", "load", file)["plans_lost_services"] == {"demo-prepaid": ["SMS", "VOICE"]}
    demo_shell.ok("ref", "load", file)  # nothing changes: nothing is lost


def _spoil(folder: Path, account: str, **changes: object) -> None:
    """Changes an account behind the ledger's back."""
    with sqlite3.connect(folder / "var/mubss.db") as link:
        [[text]] = link.execute("SELECT doc FROM accounts WHERE _id = ?", [account]).fetchall()
        doc = {**json.loads(text), **changes}
        link.execute("UPDATE accounts SET doc = ? WHERE _id = ?", [json.dumps(doc), account])


def test_ledger_check_finds_what_does_not_add_up(demo_shell: Shell) -> None:
    found = demo_shell.json("ledger", "check")
    assert (found["accounts"], found["findings"]) == (20, [])
    assert "20 accounts checked" in demo_shell.ok("ledger", "check").out
    account = demo_shell.json("subscriber", "show", PREPAID)["account"]
    _spoil(demo_shell.folder, account, balance_micros=10_000_001)
    done = demo_shell("ledger", "check")
    assert done.code == ExitCode.FAILURE
    assert PREPAID in done.out
    assert "balance_micros: 10000001; the postings sum to 10000000" in done.out
    assert "1 don't add up" in done.out
    done = demo_shell("ledger", "check", "--json")
    assert done.code == ExitCode.FAILURE
    assert [one["msisdn"] for one in done.json["findings"]] == [PREPAID]


def test_tables_fit_a_hundred_columns(demo_shell: Shell) -> None:
    demo_shell.ok("topup", PREPAID, "5", "--reference", "shop 12, till 3")
    for command in (
        ("balance", POSTPAID),
        ("subscriber", "list"),
        ("subscriber", "show", POSTPAID),
        ("ledger", "postings", PREPAID),
        ("ledger", "postings", POSTPAID),
        ("usage", POSTPAID),
        ("ref", "list"),
    ):
        widest = max(map(len, demo_shell.ok(*command).out.splitlines()))
        assert widest <= 100, command


BUNDLE = """
[[bundles]]
code = "TALK"
currency = "EUR"
price = "2.00"
services = ["VOICE"]
units = 6_000
validity = "30d"
"""


def test_a_bundle_is_bought_from_the_balance(demo_shell: Shell) -> None:
    (demo_shell.folder / "bundles.toml").write_text(BUNDLE)
    demo_shell.ok("ref", "load", "bundles.toml")
    before = demo_shell.json("subscriber", "show", PREPAID)["balance_micros"]
    said = demo_shell.ok("subscriber", "bundle", PREPAID, "TALK", "--reference", "shop 7").out
    assert said.startswith(f"{PREPAID} has 6,000 units of TALK until ")
    after = demo_shell.json("subscriber", "show", PREPAID)
    assert after["balance_micros"] == before - 2_000_000
    assert [(one["services"], one["left"]) for one in after["buckets"]] == [(["VOICE"], 6_000)]
    assert "6000 of 6000, until " in demo_shell.ok("subscriber", "show", PREPAID).out
    demo_shell.ok("ledger", "check")
    listed = demo_shell.ok("ledger", "postings", PREPAID).out
    assert "bundle TALK: shop 7" in listed
    wrong = demo_shell("subscriber", "bundle", PREPAID, "WALK")
    assert (wrong.code, wrong.err) == (ExitCode.INPUT, "mubss: bundle: 'WALK'; expected one of TALK\n")


def test_a_bundle_that_renews_is_stopped(demo_shell: Shell) -> None:
    renewing = BUNDLE.replace('"TALK"', '"TALK-ON"') + "renews = true\n"
    (demo_shell.folder / "bundles.toml").write_text(renewing)
    demo_shell.ok("ref", "load", "bundles.toml")
    said = demo_shell.ok("subscriber", "bundle", PREPAID, "TALK-ON").out
    assert ", when it renews; the balance is " in said
    assert ", then it renews" in demo_shell.ok("subscriber", "show", PREPAID).out
    said = demo_shell.ok("subscriber", "bundle", PREPAID, "TALK-ON", "--stop", "--reference", "call 12").out
    assert said == f"{PREPAID}'s TALK-ON doesn't renew any more\n"
    assert "it renews" not in demo_shell.ok("subscriber", "show", PREPAID).out
    assert "renewal stopped TALK-ON: call 12" in demo_shell.ok("ledger", "postings", PREPAID).out
    wrong = demo_shell("subscriber", "bundle", PREPAID, "TALK-ON", "--stop")
    expected = "mubss: bundle: 'TALK-ON'; expected one of none: no bundle of this subscriber renews\n"
    assert (wrong.code, wrong.err) == (ExitCode.INPUT, expected)
    demo_shell.ok("ledger", "check")


def test_two_share_an_account(demo_shell: Shell) -> None:
    said = demo_shell.ok("subscriber", "add", "4917012345", "--account", POSTPAID).out
    assert said == f"4917012345 is a postpaid subscriber of demo-postpaid now, on {POSTPAID}'s account\n"
    added = demo_shell.json("subscriber", "show", "4917012345")
    assert (added["account"], added["bill_cycle"]) == (demo_shell.json("balance", POSTPAID)["account"], 3)
    assert [one["msisdn"] for one in added["members"]] == [POSTPAID, "4917012345"]
    shown = demo_shell.ok("subscriber", "show", POSTPAID).out
    assert "drawn by 4917012345" in shown
    assert "nothing this month" in shown
    demo_shell.ok("subscriber", "suspend", "4917012345")
    states = {one["msisdn"]: one["state"] for one in demo_shell.json("subscriber", "show", POSTPAID)["members"]}
    assert states == {POSTPAID: "active", "4917012345": "suspended"}
    assert "account's state" in demo_shell.ok("subscriber", "show", "4917012345").out
    assert "subscriber" in demo_shell.ok("usage", POSTPAID).out.splitlines()[1]
    wrong = demo_shell("subscriber", "add", "4917012346")
    assert (wrong.code, "Missing option '--plan'." in wrong.err) == (2, True)
    demo_shell.ok("ledger", "check")


def test_free_units_that_rolled_over_are_shown(demo_shell: Shell) -> None:
    before = demo_shell.json("balance", POSTPAID)["free_units"]["VOICE"]
    (demo_shell.folder / "rolls.toml").write_text(
        """
[[price_plans]]
code = "demo-postpaid"
type = "postpaid"
currency = "EUR"
free_units = { VOICE = 7_000 }
rollover_units = { VOICE = 400 }
rates = [{ service = "VOICE", price = "0.09", per_units = 60 }]
"""
    )
    assert demo_shell("ref", "load", "rolls.toml").code == ExitCode.OK
    with sqlite3.connect(demo_shell.folder / "var/mubss.db") as link:
        link.execute("UPDATE accounts SET doc = json_set(doc, '$.since_s', 0, '$.counters', json('{}'))")
    after = demo_shell.json("balance", POSTPAID)["free_units"]["VOICE"]
    assert after == {**before, "units": 7_400, "left_units": 7_400}


def test_an_adjustment_by_hand(demo_shell: Shell) -> None:
    before = demo_shell.json("balance", "999700000001")["balance_micros"]
    done = demo_shell.ok("adjust", "999700000001", "-2.50", "--reason", "case 7")
    assert "-2.50 EUR for 999700000001: case 7" in done.out
    assert demo_shell.json("adjust", "999700000001", "1", "--reason", "x")["balance_micros"] == before - 1_500_000
    for arguments, text in (
        (("999700000001", "0", "--reason", "x"), "amount_micros: 0"),
        (("999700000001", "0.001", "--reason", "x"), "0.001"),
        (("999700000001", "1", "--reason", "x" * 201), "reason: "),
    ):
        refused = demo_shell("adjust", *arguments)
        assert refused.code == ExitCode.INPUT and text in refused.err
