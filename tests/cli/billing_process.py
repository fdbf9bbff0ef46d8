"""Real `mubss-billing` processes; what they are asked of is in the environment, as the shell's fixture sets it."""

from __future__ import annotations

import subprocess
import sys

from cli_tools import Shell
from mubss.storage.database import Session, open_database


def start_billing(*arguments: str) -> subprocess.Popen[str]:
    """A process; the caller ends it."""
    command = [sys.executable, "-m", "mubss.workers.billing", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def billing(*arguments: str) -> tuple[int, str]:
    """A process that ends by itself: its exit code, and what it said."""
    process = start_billing(*arguments)
    _, told = process.communicate(timeout=120)
    return process.returncode, told


def let_be_old(shell: Shell, msisdn: str, since_s: int = 1_700_000_000) -> None:
    """Makes an account one that was opened long ago: time can't be had otherwise."""
    account_id = shell.json("balance", msisdn)["account"]
    store = open_database(f"sqlite:///{shell.folder}/var/mubss.db")

    def work(session: Session) -> None:
        account = session.collection("accounts").get_one(account_id)
        session.collection("accounts").put_many([{**(account or {}), "since_s": since_s}])

    store.run(work)
    store.close()
