"""What can be wrong with a store in MySQL: each is one line that says what it is and what to do, and an exit code."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from mubss.runtime import ExitCode
from mubss.storage.database import SCHEMA_VERSION
from mysql_tools import Programs, as_user, make_user, schema_of
from mysqld.server import Server

AWAY = ExitCode.STORE_UNAVAILABLE
INIT, COMMAND, GY = ("mubss", "init"), ("mubss", "ledger", "check"), ("mubss-gy", "--port", "0")
ALL = (INIT, COMMAND, GY)
WORKERS = (*GY, "--workers", "2")  # the parent says what is wrong, once for all


@pytest.fixture
def programs(tmp_path: Path, mysql_url: str) -> Programs:
    """Nothing is made yet."""
    return Programs(tmp_path, mysql_url)


@contextmanager
def answering(hello: bytes | None) -> Iterator[int]:
    """The port of a server that says `hello` to whoever has spoken, and hangs up; None: it says nothing, and waits."""
    held = []

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            held.append(sock)
            if hello is not None:
                sock.recv(4096)
                sock.sendall(hello)
                sock.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()
    for sock in held:
        sock.close()


# ── servers that aren't it ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("hello", "said", "is_away"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            "this is no MySQL X Protocol server: it sent 'HTTP/1.1 400 Bad Request'",
            False,
        ),
        (b"\x00" * 64, "this is no MySQL X Protocol server", False),
        (b"", "the server closed the connection", True),  # as a router does that has nobody behind it
        (None, "no answer within 0.3 s", True),
    ],
)
def test_a_server_that_is_no_mysql(tmp_path: Path, hello: bytes | None, said: str, is_away: bool) -> None:
    programs = Programs(tmp_path, "mysqlx://mubss:hush-hush@127.0.0.1/mubss")
    with answering(hello) as port:
        url = f"mysqlx://mubss:hush-hush@127.0.0.1:{port}/mubss?connect-timeout=300"
        for call in (INIT, COMMAND) if is_away else ALL:
            assert programs.refusal(*call, url=url, code=AWAY).startswith(f"127.0.0.1:{port}: {said}")
        assert list(tmp_path.iterdir()) == []
        if is_away:
            assert programs.waits_for(*GY, url=url).startswith(f"127.0.0.1:{port}: {said}")
            assert list(tmp_path.rglob("*.sock")) == []


def test_the_classic_port(programs: Programs, mysql: Server) -> None:
    url = programs.url.replace(f":{mysql.port()}/", f":{mysql.port('classic')}/")
    for call in ALL:
        refusal = programs.refusal(*call, url=url, code=AWAY)
        assert refusal.endswith("name its X Protocol port, 33060 by default")


def test_nobody_listens(tmp_path: Path) -> None:
    programs = Programs(tmp_path, "mysqlx://mubss:hush-hush@127.0.0.1:1/mubss")
    refusal = "127.0.0.1:1: can't be connected to: Connection refused"
    for call in (INIT, COMMAND):
        assert programs.refusal(*call, code=AWAY) == refusal
    for call in (GY, WORKERS):
        assert programs.waits_for(*call) == refusal


def test_a_wrong_password(programs: Programs) -> None:
    url = as_user(programs.url, "mubss", "hush-hush")
    for call in ALL:
        refusal = programs.refusal(*call, url=url, code=AWAY)
        assert "access is denied: wrong user or password (" in refusal


# ── stores that aren't it ──────────────────────────────────────────────────────────────────────────


def test_a_schema_that_is_not_made_yet(programs: Programs) -> None:
    for call in (COMMAND, GY, WORKERS):
        refusal = programs.refusal(*call, code=AWAY)
        assert f"/{schema_of(programs.url)}: there is no such schema; `mubss init` makes it (" in refusal
    done = programs("mubss", "status")
    assert (done.code, done.err) == (AWAY, "")
    assert "`mubss init` makes it" in done.out


@pytest.mark.parametrize(
    ("change", "version"),
    [
        ("JSON_SET(doc, '$.version', 9)", "9"),
        ("JSON_SET(doc, '$.version', 'two')", "'two'"),
        ("JSON_REMOVE(doc, '$.version')", "'unknown'"),
    ],
)
def test_a_schema_of_another_version(programs: Programs, mysql: Server, change: str, version: str) -> None:
    programs.ok("init")
    mysql.sql(f"UPDATE {schema_of(programs.url)}.meta SET doc = {change} WHERE doc->>'$._id' = 'schema'")
    for call in (*ALL, WORKERS):
        refusal = programs.refusal(*call, code=AWAY)
        assert (
            f"its schema is version {version}, this program's {SCHEMA_VERSION}: use the mubss that made it" in refusal
        )
    done = programs("mubss", "status")
    assert (done.code, done.err) == (AWAY, "")


@pytest.mark.parametrize("table", ["accounts", "subscribers"])
def test_a_schema_in_which_others_have_a_table(programs: Programs, mysql: Server, table: str) -> None:
    schema = schema_of(programs.url)
    mysql.sql(f"CREATE SCHEMA {schema}", f"CREATE TABLE {schema}.{table} (id INT PRIMARY KEY)")
    refusal = programs.refusal(*INIT, code=ExitCode.FAILURE)
    assert f"/{schema}: there is a table {table} that is no collection: another program's; name a schema" in refusal


def test_a_user_who_may_only_read(programs: Programs, mysql: Server) -> None:
    user = f"u{secrets.token_hex(6)}"
    try:
        url = as_user(programs.url, user, make_user(mysql, user, "SELECT ON *.*"))
        refusal = programs.refusal(*INIT, url=url, code=AWAY)
        assert "access is denied: GRANT the user what docs/MYSQL.md lists (" in refusal
        programs.ok("init")
        programs.ok("init", url=url)  # there is nothing to make
        assert programs.json("ledger", "check", url=url)["findings"] == []
    finally:
        mysql.sql(f"DROP USER IF EXISTS '{user}'@'%'")


# ── passwords ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("password", ["hush?hush", "hush/hush", "hush@hush", "hush#hush", "hush:hush"])
def test_a_password_that_is_not_quoted_is_not_shown_either(tmp_path: Path, password: str) -> None:
    programs = Programs(tmp_path, "mysqlx://mubss:never-said@127.0.0.1:1/mubss")
    url = f"mysqlx://mubss:{password}@127.0.0.1:1/mubss"
    for call in (("mubss", "status", "--json"), ("mubss", "config", "show", "--json"), INIT, COMMAND):
        done = programs(*call, url=url)
        assert "hush" not in done.out + done.err
    assert "hush" not in programs.first_line(*GY, url=url)
