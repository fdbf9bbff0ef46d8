"""Settings of the whole test suite, and the MySQL server that its tests share.

The server is made in .mysql/test when the first test asks for it, is shared by all workers, and is stopped at the end;
its data stays for the next run. Every test has a schema of its own.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from licensed import license_programs
from mysqld.binaries import ROOT, NoMySQL, find_or_fetch
from mysqld.server import Server, ServerFailed
from peers import NOT_HERE

# No deadline per example: the cores are shared, and a slow moment is no fault. A failure prints how to replay it.
settings.register_profile("mubss", deadline=None, print_blob=True)
settings.load_profile("mubss")

ENGINES = ("sqlite", "mysql")
_FOLDER = ROOT / ".mysql" / "test"
_WHY_NOT = _FOLDER / "why-not"  # the one line that says why there is none, for the end of the run


@pytest.fixture(scope="session")
def mysql() -> Server:
    """A running server, with relaxed durability."""
    if _WHY_NOT.exists():
        pytest.skip("there is no MySQL here")
    try:
        server = Server(_FOLDER, find_or_fetch(), fast=True)
        server.start()
    except (NoMySQL, ServerFailed) as error:
        if os.environ.get("MUBSS_REQUIRE_MYSQL"):
            pytest.fail(f"MUBSS_REQUIRE_MYSQL is set: {error}")
        _FOLDER.mkdir(parents=True, exist_ok=True)
        _WHY_NOT.write_text(str(error))
        pytest.skip("there is no MySQL here")
    return server


@pytest.fixture(scope="session", autouse=True)
def _licence(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Programs that tests start find a licence, whatever folder is theirs."""
    license_programs(tmp_path_factory.mktemp("licence"))


@contextmanager
def store_on(engine: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """The URL of a store that isn't made yet; a schema that a test makes of it is dropped at its end."""
    if engine == "sqlite":
        yield f"sqlite:///{folder}/store.db"
        return
    server: Server = request.getfixturevalue("mysql")
    schema = f"mubss_{secrets.token_hex(6)}"
    yield server.url(schema=schema)
    server.sql(f"DROP SCHEMA IF EXISTS {schema}", user="mubss")


@pytest.fixture
def mysql_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a MySQL store that isn't made yet."""
    with store_on("mysql", request, tmp_path) as url:
        yield url


@pytest.fixture(params=ENGINES)
def empty_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a store that isn't made yet, on each engine, for one test."""
    with store_on(request.param, request, tmp_path) as url:
        yield url


@pytest.fixture(scope="module", params=ENGINES)
def module_store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same for the tests of a whole module."""
    with store_on(request.param, request, tmp_path_factory.mktemp("store")) as url:
        yield url


def _is_a_run(config: pytest.Config) -> bool:
    """Neither a worker of one nor a mere look at what tests there are, which may be amid one."""
    return not hasattr(config, "workerinput") and not config.option.collectonly


def pytest_sessionstart(session: pytest.Session) -> None:
    """The run begins: what an earlier one found is forgotten."""
    if _is_a_run(session.config):
        _WHY_NOT.unlink(missing_ok=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line where tests were left out for want of a MySQL, and one for each program that others have made."""
    if _WHY_NOT.exists():
        terminalreporter.write_line(f"NOT TESTED ON MYSQL: {_WHY_NOT.read_text()}", yellow=True, bold=True)
    reasons = {str(report.longrepr[2]) for report in terminalreporter.getreports("skipped")}
    for reason in sorted(reason for reason in reasons if NOT_HERE in reason):
        terminalreporter.write_line(
            f"NOT TESTED WITH OTHERS: {reason.removeprefix('Skipped: ')}", yellow=True, bold=True
        )


def pytest_unconfigure(config: pytest.Config) -> None:
    """The run is over: the server ends."""
    if _is_a_run(config) and (_FOLDER / "state.json").exists():
        try:
            Server(_FOLDER, find_or_fetch()).stop()
        except NoMySQL:
            pass
