"""mubss-billing told to stop amid a run: what is begun is finished, the rest is left to the next."""

from __future__ import annotations

from pathlib import Path

import pytest

from bill_accounts import make_cycle
from billing_process import billing, start_billing
from mubss.runtime import ExitCode
from mubss.storage.database import Doc, Store


def bills(store: Store) -> list[Doc]:
    return store.run(lambda session: session.collection("bills").scan(limit=10_000))


def test_sigterm_amid_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    store = make_cycle(url, 1_500, 5, tmp_path)
    monkeypatch.setenv("MUBSS_STORE__URL", url)
    monkeypatch.setenv("MUBSS_GENERAL__DATA_DIR", str(tmp_path))
    process = start_billing("--cycle", "3", "--once")
    while process.poll() is None and not bills(store):
        pass
    process.terminate()
    _, told = process.communicate(timeout=60)
    assert process.returncode == ExitCode.TRY_AGAIN and "is NEW" in told, told
    issued = len(bills(store))
    assert 0 < issued < 1_500
    code, told = billing("--cycle", "3", "--once")
    assert code == ExitCode.OK and f"{1_500 - issued} bills issued, {issued} there before" in told, told
    assert sorted(int(bill["number"][-7:]) for bill in bills(store)) == list(range(1, 1_501))
    store.close()
