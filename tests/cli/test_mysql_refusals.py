"""What `mubss` and `mubss-gy` say of a MySQL store that can't be used: one line, what is wrong and what to do."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from certificates import OVER, Authority
from cli_tools import Shell
from mubss.xdev.mysql.address import parse
from mysqld.binaries import find_or_fetch
from mysqld.server import Server

COMMANDS = (["init"], ["balance", "999700000001"], ["topup", "999700000001", "5"])


def refused(shell: Shell, url: str, *expected: str, commands: tuple[list[str], ...] = COMMANDS) -> None:
    """Every command, and the server, refuse the store in one line that says all that is expected."""
    (shell.folder / "mubss.toml").write_text(f'[store]\nurl = "{url}"\n')
    password = parse(url).password
    said = []
    for command in commands:
        done = shell(*command)
        assert done.code not in (0, None) and done.out == "", done
        said.append(done.err)
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MUBSS_GY")}
    server = subprocess.run(
        [sys.executable, "-m", "mubss.gy.main", "--port", "0"],
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert server.returncode != 0
    for text in (*said, server.stderr):
        assert len(text.splitlines()) == 1 and password not in text and "Traceback" not in text, text
        for one in expected:
            assert re.search(one, text), text


def wrong_password(mysql: Server, url: str) -> str:
    return re.sub(r":[^:@/]+@", ":not-the-one@", url)


def unknown_user(mysql: Server, url: str) -> str:
    return url.replace("mubss:", "nobody:", 1)


def classic_port(mysql: Server, url: str) -> str:
    return url.replace(f":{mysql.port()}/", f":{mysql.port('classic')}/")


def closed_port(mysql: Server, url: str) -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return re.sub(r":\d+/", f":{probe.getsockname()[1]}/", url)


def unknown_name(mysql: Server, url: str) -> str:
    return url.replace("127.0.0.1", "no.such.host.invalid")


CASES: dict[Callable[[Server, str], str], tuple[str, ...]] = {
    wrong_password: ("wrong user or password",),
    unknown_user: ("wrong user or password",),
    classic_port: ("X Protocol", "33060"),
    closed_port: ("can't be connected to", "refused"),
    unknown_name: ("no.such.host.invalid", "can't be connected to"),
}


@pytest.mark.parametrize("wrong", CASES, ids=lambda case: case.__name__)
def test_a_server_that_can_not_be_used(
    shell: Shell, mysql: Server, mysql_url: str, wrong: Callable[[Server, str], str]
) -> None:
    refused(shell, wrong(mysql, mysql_url), *CASES[wrong])


def test_something_that_is_not_mysql(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:  # it takes connections and says nothing
        url = f"mysqlx://u:secret-word@127.0.0.1:{listener.getsockname()[1]}/s?connect-timeout=300"
        refused(shell, url, r"no answer within 0\.3 s", "MySQL|X Protocol")


def test_a_schema_that_is_not_made_yet(shell: Shell, mysql_url: str) -> None:
    refused(shell, mysql_url, "mubss init", commands=COMMANDS[1:])


def test_a_schema_of_another_version(shell: Shell, mysql: Server, mysql_url: str) -> None:
    shell.ok("init", "--store", mysql_url)
    schema = parse(mysql_url).schema
    mysql.sql(f"UPDATE `{schema}`.meta SET doc = JSON_SET(doc, '$.version', 2) WHERE _id = 'schema'")
    refused(shell, mysql_url, "version 2", "this program's 1", "use the mubss that made it")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("certificates"), "ca")
    made.issue("old", "localhost", OVER)
    return made


def test_certificates_that_have_run_out_or_are_anothers(
    shell: Shell, mysql: Server, authority: Authority, tmp_path: Path
) -> None:
    folder = authority.folder
    options = [f"--ssl-ca={folder}/ca.pem", f"--ssl-cert={folder}/old.pem", f"--ssl-key={folder}/old.key"]
    server = Server(tmp_path / "old", find_or_fetch(), fast=True, options=options)
    try:
        server.start()
        url = f"{server.url()}?ssl-ca={folder}/ca.pem&ssl-mode="
        refused(shell, f"{url}verify-ca", "its certificate is refused: certificate has expired")
        other = f"{mysql.url()}?ssl-mode=verify-identity&ssl-ca={mysql.folder}/data/ca.pem"
        refused(shell, other, "certificate is refused", "127.0.0.1")
    finally:
        server.remove()
