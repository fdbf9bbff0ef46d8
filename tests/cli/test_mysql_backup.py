"""The backup that docs/MYSQL.md describes: a clone of a running server, started elsewhere, has the whole ledger."""

from __future__ import annotations

from pathlib import Path

from cli_tools import Shell
from mysqld.binaries import find_or_fetch
from mysqld.server import Server

MSISDN = "999700000001"


def test_a_clone_of_the_running_server_passes_the_ledger_check(shell: Shell, mysql: Server, tmp_path: Path) -> None:
    source = Server(tmp_path / "source", find_or_fetch(), fast=True, options=["--plugin-load-add=mysql_clone.so"])
    restored = Server(tmp_path / "restored", find_or_fetch(), fast=True)
    try:
        source.start()
        shell.ok("init", "--store", source.url(), "--demo")
        shell.ok("topup", MSISDN, "5")
        restored.folder.mkdir()
        for user in ("root", "mubss"):
            restored.adopt_password(user, source.password(user))
        source.sql(f"CLONE LOCAL DATA DIRECTORY = '{restored.folder}/data'")
        shell.ok("topup", MSISDN, "7")  # after the backup
        restored.start()
        (shell.folder / "mubss.toml").write_text(f'[store]\nurl = "{restored.url()}"\n')
        assert shell.json("ledger", "check")["findings"] == []
        assert shell.json("balance", MSISDN)["balance_micros"] == 15_000_000
        shell.ok("topup", MSISDN, "1")
    finally:
        source.remove()
        restored.remove()
