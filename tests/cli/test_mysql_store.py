"""The operator's way on MySQL: init, the usual commands, mubss-gy, and the rights that each of them needs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from mubss.config import FILE_NAME
from mubss.runtime import ExitCode
from mubss.storage.database import COLLECTIONS
from mysql_tools import MEMBERS, Programs, as_user, make_user, schema_of
from mysqld.server import Server

PREPAID, POSTPAID = "999700000001", "999700000110"
INIT_RIGHTS = ("CREATE", "INDEX", "SELECT", "INSERT", "DELETE")
RUN_RIGHTS = ("SELECT", "INSERT", "DELETE")
FIRST_OF_ALL = "access is denied: GRANT the user what docs/MYSQL.md lists"


@pytest.fixture
def programs(tmp_path: Path, mysql_url: str) -> Programs:
    """Nothing is made yet."""
    return Programs(tmp_path, mysql_url)


@pytest.fixture
def user(mysql: Server) -> Iterator[str]:
    """The name of a user whom the test makes."""
    name = f"u{secrets.token_hex(6)}"
    yield name
    mysql.sql(f"DROP USER IF EXISTS '{name}'@'%'")


def indexes(server: Server, schema: str) -> set[tuple[str, str]]:
    """(table, index) of what isn't a primary key."""
    rows = server.sql(
        "SELECT table_name, index_name FROM information_schema.statistics "
        f"WHERE table_schema = '{schema}' AND index_name <> 'PRIMARY'"
    )
    return {(str(table), str(index)) for table, index in rows}


EXPECTED_INDEXES = {(collection, index) for collection, found in COLLECTIONS.items() for index in found}


def test_init_makes_the_schema_its_collections_and_indexes_once(programs: Programs, mysql: Server) -> None:
    schema = schema_of(programs.url)
    assert mysql.sql(f"SELECT 1 FROM information_schema.schemata WHERE schema_name = '{schema}'") == []
    made = programs.json("init")
    assert sorted(made["collections_added"]) == sorted(COLLECTIONS)
    assert made["store"].startswith("mysqlx://mubss:***@127.0.0.1:")
    tables = mysql.sql(f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}'")
    assert {str(table) for (table,) in tables} == set(COLLECTIONS)
    assert indexes(mysql, schema) == EXPECTED_INDEXES
    assert programs.json("init")["collections_added"] == []
    assert "the store is there already" in programs.ok("init").out


def test_init_adds_what_a_store_lacks(programs: Programs, mysql: Server) -> None:
    schema = schema_of(programs.url)
    programs.ok("init")
    mysql.sql(f"DROP TABLE {schema}.suspense", f"DROP INDEX due ON {schema}.gy_sessions")
    for program, arguments in (("mubss", ("subscriber", "list")), ("mubss-gy", ("--port", 0))):
        refusal = programs.refusal(program, *arguments, code=ExitCode.STORE_UNAVAILABLE)
        assert refusal.endswith(f"/{schema}: no collection suspense; `mubss init` adds what is missing")
    assert programs.json("init")["collections_added"] == ["suspense"]
    assert indexes(mysql, schema) == EXPECTED_INDEXES
    programs.ok("subscriber", "list")


def test_init_demo_again_adds_nothing(programs: Programs) -> None:
    assert programs.json("init", "--demo")["demo"] == {"prepaid": 10, "postpaid": 10, "sessions": 150}
    before = programs.json("ledger", "postings", POSTPAID)
    again = programs.json("init", "--demo")
    assert (again["demo"], again["refdata_changed"]) == ({"prepaid": 0, "postpaid": 0, "sessions": 0}, False)
    assert programs.json("ledger", "postings", POSTPAID) == before
    assert programs.json("ledger", "check")["findings"] == []


def test_a_store_that_init_was_told_is_remembered_and_its_password_hidden(programs: Programs) -> None:
    file = programs.folder / FILE_NAME
    elsewhere = Programs(programs.folder, "mysqlx://nobody:nothing@127.0.0.1:1/nowhere")
    assert f"{file}: names this store" in elsewhere.ok("init", "--store", programs.url).out
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert programs.url in file.read_text()
    masked = programs.url.replace(programs.url.split(":")[2].partition("@")[0], "***")
    assert programs.json("config", "show")["store.url"]["value"] == masked
    assert masked in programs.ok("config", "show").out
    assert programs.json("status")["store"] == {"place": masked, "usable": True}


def test_the_usual_commands(programs: Programs) -> None:
    programs.ok("init", "--demo")
    file = programs.folder / "people.csv"
    file.write_text("msisdn,plan,balance\n" + "".join(f"4917{n:08},demo-prepaid,2.50\n" for n in range(300)))
    assert programs.json("subscriber", "import", file)["added"] == 300
    assert programs.json("subscriber", "import", file, "--skip-existing")["skipped"] == 300
    added = programs.json("subscriber", "add", "+4917012345", "--imsi", "262011234567890", "--plan", "demo-prepaid")
    assert programs.json("subscriber", "show", "imsi:262011234567890")["account"] == added["account"]
    assert programs.json("subscriber", "suspend", "4917012345")["state"] == "suspended"
    assert [one["msisdn"] for one in programs.json("subscriber", "list", "--state", "suspended")] == ["4917012345"]
    assert programs.json("topup", PREPAID, "5.5")["balance_micros"] == 15_500_000
    assert programs.json("balance", PREPAID)["balance_micros"] == 15_500_000
    assert [one["amount_micros"] for one in programs.json("ledger", "postings", PREPAID)] == [10_000_000, 5_500_000]
    assert programs.json("usage", POSTPAID)
    example = Path(__file__).parents[2] / "conf/refdata/example.toml"
    assert programs.json("ref", "load", example)["version"]["number"] == 2
    assert {"start", "demo-prepaid"} <= {row["_id"] for row in programs.json("ref", "show", "price_plans")}
    assert programs.json("ref", "show", "price_plans", "start")["_id"] == "start"
    assert programs.json("status")["subscribers"]["active"] == 320
    checked = programs.json("ledger", "check")
    assert (checked["accounts"], checked["findings"]) == (321, [])


def test_init_needs_these_rights_and_no_more(programs: Programs, mysql: Server, user: str) -> None:
    schema = schema_of(programs.url)
    for left_out in INIT_RIGHTS:
        rights = ", ".join(right for right in INIT_RIGHTS if right != left_out)
        password = make_user(mysql, user, f"{rights} ON `{schema}`.*", MEMBERS)
        url = as_user(programs.url, user, password)
        refusal = programs.refusal("mubss", "init", url=url, code=ExitCode.STORE_UNAVAILABLE)
        assert FIRST_OF_ALL in refusal, left_out
        mysql.sql(f"DROP SCHEMA IF EXISTS {schema}")
    password = make_user(mysql, user, f"{', '.join(INIT_RIGHTS)} ON `{schema}`.*", MEMBERS)
    url = as_user(programs.url, user, password)
    programs.ok("init", url=url)
    assert indexes(mysql, schema) == EXPECTED_INDEXES
    programs.ok("init", "--demo", url=url)


def test_no_run_time_right_is_too_many(programs: Programs, mysql: Server, user: str) -> None:
    schema = schema_of(programs.url)
    programs.ok("init", "--demo")
    for left_out in (*RUN_RIGHTS, MEMBERS):
        rights = ", ".join(right for right in RUN_RIGHTS if right != left_out)
        grants = [f"{rights} ON `{schema}`.*", MEMBERS]
        password = make_user(mysql, user, *[grant for grant in grants if grant != left_out])
        url = as_user(programs.url, user, password)
        refusal = programs.refusal("mubss", "topup", PREPAID, "1", url=url, code=ExitCode.STORE_UNAVAILABLE)
        assert FIRST_OF_ALL in refusal, left_out
        assert "3004" not in refusal
    assert programs.json("balance", PREPAID)["balance_micros"] == 10_000_000


def test_all_runs_with_the_run_time_rights(programs: Programs, mysql: Server, user: str) -> None:
    schema = schema_of(programs.url)
    programs.ok("init", "--demo")
    password = make_user(mysql, user, f"{', '.join(RUN_RIGHTS)} ON `{schema}`.*", MEMBERS)
    programs.url = as_user(programs.url, user, password)
    with programs.gy() as server:
        port = ("--port", server.port)
        session = ("--use", 1_500_000, "--use", 500_000, "--last", 0)
        assert programs.json("ccr", "session", "--msisdn", PREPAID, *session, *port)["success"]
        assert programs.json("ccr", "event", "--msisdn", PREPAID, "--service", "sms", *port)["success"]
        programs.ok("topup", PREPAID, "1")
        assert programs.json("status", *port)["gy"]["listening"]
        assert server.stop() == 0
    assert password not in (programs.folder / "gy.log").read_text()
    programs.ok("subscriber", "add", "4917012345", "--plan", "demo-prepaid", "--balance", "1")
    programs.ok("subscriber", "suspend", "4917012345")
    programs.ok("subscriber", "terminate", "4917012345")
    plans = programs.folder / "more.toml"
    plans.write_text('[[currencies]]\ncode = "SEK"\nnumeric = 752\ndecimals = 2\nname = "Krona"\n')
    assert programs.json("ref", "load", plans)["changed"]
    assert programs.json("ledger", "check")["findings"] == []
    programs.ok("init")  # there is nothing to make
    mysql.sql(f"DROP TABLE `{schema}`.suspense")
    assert programs.refusal("mubss", "init", code=ExitCode.STORE_UNAVAILABLE).endswith("SQLSTATE 42000))")
