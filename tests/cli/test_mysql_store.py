"""`mubss` on MySQL: made and made again, the commands of every day, and a user with no more rights than it needs."""

from __future__ import annotations

import re
import secrets
import stat
from collections.abc import Iterator

import pytest

from cli_tools import Shell
from mubss.storage.database import COLLECTIONS
from mubss.xdev.mysql.address import parse
from mysqld.server import Server

MSISDN = "999700000001"
# What docs/MYSQL.md tells to grant.
RUN_TIME = ["SELECT, INSERT, UPDATE, DELETE ON `{schema}`.*", "SELECT ON performance_schema.replication_group_members"]
UPGRADE = ["CREATE, ALTER, INDEX, DROP ON `{schema}`.*"]


class User:
    """A user of the server's, to be granted this and that."""

    def __init__(self, server: Server, url: str) -> None:
        self._server, self._url = server, url
        self.name = f"user_{secrets.token_hex(4)}"
        self.schema = parse(url).schema
        self._password = secrets.token_hex(8)
        server.sql(f"CREATE USER {self.name} IDENTIFIED BY '{self._password}' REQUIRE SSL")

    def grant(self, rights: list[str]) -> None:
        self._server.sql(*(f"GRANT {right.format(schema=self.schema)} TO {self.name}" for right in rights))

    @property
    def url(self) -> str:
        return re.sub(r"//.*@", f"//{self.name}:{self._password}@", self._url)

    def drop(self) -> None:
        self._server.sql(f"DROP USER {self.name}")


@pytest.fixture
def user(mysql: Server, mysql_url: str) -> Iterator[User]:
    made = User(mysql, mysql_url)
    yield made
    made.drop()


def test_init_makes_schema_collections_and_indexes_and_can_be_run_again(
    shell: Shell, mysql: Server, mysql_url: str
) -> None:
    first = shell.json("init", "--store", mysql_url)
    assert first["collections_added"] == list(COLLECTIONS)
    address = parse(mysql_url)
    assert first["store"] == f"mysqlx://mubss:***@{address.hosts[0]}/{address.schema}"
    assert shell.json("init")["collections_added"] == []  # mubss.toml remembers where
    assert shell.json("init", "--store", mysql_url)["collections_added"] == []
    indexes = mysql.sql(
        "SELECT DISTINCT table_name, index_name FROM information_schema.statistics "
        f"WHERE table_schema = '{address.schema}' AND index_name <> 'PRIMARY'"
    )
    assert len(indexes) == sum(map(len, COLLECTIONS.values()))


def test_what_is_missing_is_added(shell: Shell, mysql: Server, mysql_url: str) -> None:
    shell.ok("init", "--store", mysql_url, "--demo")
    mysql.sql(f"DROP TABLE `{parse(mysql_url).schema}`.suspense")
    done = shell("balance", MSISDN)
    assert done.code and re.search(r"no collection suspense; `mubss init` adds what is missing", done.err)
    assert shell.json("init")["collections_added"] == ["suspense"]
    shell.ok("status")


def test_the_commands_of_every_day(shell: Shell, mysql_url: str) -> None:
    shell.ok("init", "--store", mysql_url, "--demo")
    shell.ok("init", "--demo")  # again: nothing twice
    shell.ok("topup", MSISDN, "5")
    assert shell.json("balance", MSISDN)["balance_micros"] == 15_000_000
    shell.ok("ledger", "postings", MSISDN)
    checked = shell.json("ledger", "check")
    assert checked["accounts"] == 20 and not checked["findings"]
    for command in (["status"], ["subscriber", "show", MSISDN], ["subscriber", "list"], ["ref", "show", "price_plans"]):
        shell.ok(*command)


def test_the_password_is_kept_from_others(shell: Shell, mysql_url: str) -> None:
    password = parse(mysql_url).password
    done = shell.ok("init", "--store", mysql_url)
    assert password not in done.out
    file = shell.folder / "mubss.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and password in file.read_text()
    for command in (["config", "show"], ["config", "show", "--json"], ["status"]):
        assert password not in shell.ok(*command).out


def test_run_time_needs_no_right_to_change_the_schema(shell: Shell, mysql_url: str, user: User) -> None:
    shell.ok("init", "--store", mysql_url, "--demo")
    user.grant(RUN_TIME)
    (shell.folder / "mubss.toml").write_text(f'[store]\nurl = "{user.url}"\n')
    shell.ok("topup", MSISDN, "5")
    assert shell.json("balance", MSISDN)["balance_micros"] == 15_000_000
    shell.ok("ledger", "check")
    shell.ok("status")
    shell.ok("init")  # where there is nothing to make, it needs no more


def test_init_needs_the_rights_to_make_what_is_not_there(shell: Shell, mysql: Server, user: User) -> None:
    user.grant(RUN_TIME)
    done = shell("init", "--store", user.url)
    assert done.code and len(done.err.splitlines()) == 1 and "docs/MYSQL.md" in done.err
    user.grant(UPGRADE)
    shell.ok("init", "--store", user.url, "--demo")
    shell.ok("ledger", "check")
