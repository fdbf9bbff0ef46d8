"""`mubss license`: keys, a licence issued with one, and what is said of it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cli_tools import Shell
from licences import MACHINE, OTHER_MACHINE, DemoLicence
from mubss.config import load
from mubss.core.licence import DAY_S
from mubss.runtime import ExitCode
from mubss.services import licence_files as files
from mubss.services.licensing import LicenseValidator, utc

TERMS = ("--licensee", "Example Telecom", "--serial", "S-1", "--expires", "2990-01-01", "--subscribers", "500")


@pytest.fixture
def machine(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell on a machine of a known id."""
    (shell.folder / "machine-id").write_text(MACHINE)
    monkeypatch.setenv("MUBSS_LICENSE__MACHINE_ID_FILE", "machine-id")
    for name in ("FILE", "STATE_FILE"):
        monkeypatch.delenv(f"MUBSS_LICENSE__{name}")  # the one that all other tests have
    return shell


def test_a_licence_from_its_key_to_its_check(machine: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine("license", "machine-id").out.strip() == MACHINE
    made = machine("license", "keygen", "k1")
    assert made.code == 0 and made.out.splitlines()[-1] == Path("k1.pub").read_text().strip()
    assert Path("k1.key").stat().st_mode & 0o777 == 0o600
    issue = ("license", "issue", "--key", "k1.key", *TERMS, "--machine", MACHINE, "--out", "platform.lic")
    assert machine(*issue).code == 0
    assert "expected one that isn't" in machine(*issue).err  # nothing is replaced
    Path("license").mkdir()
    Path("platform.lic").rename("license/platform.lic")
    shown = machine("license", "show").out
    assert "Example Telecom" in shown and "PREPAID, CDR_LOADER, STATS, BILLING, BILL_FMT, CRM, DIAMETER" in shown
    refused = machine("license", "verify")
    assert refused.code == ExitCode.LICENCE
    assert refused.err == "mubss: licence.key_id: 'k1'; expected the id of a key that is trusted here\n"
    monkeypatch.setattr(files, "data_path", lambda _name: Path("k1.pub"))
    found = machine.json("license", "verify")
    assert (found["state"], found["serial"], len(found["programs"])) == ("valid", "S-1", 6)
    Path("machine-id").write_text(OTHER_MACHINE)
    assert "licence.machine_ids: 1 id; expected this machine's" in machine("license", "verify").err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--expires", "2990-02-30"), "expires: '2990-02-30'; expected a day"),
        (("--expires", "2020-01-01"), "licence.expires_s: 1577836800; expected a time after issued_s"),
        (("--feature", "VOICE"), "feature: 'VOICE'; expected one of PREPAID"),
        (("--machine", "x"), "licence.machine_ids: "),
        (("--subscribers", "-1"), "licence.subscribers: -1"),
        (("--key", "none.key"), "key: none.key can't be read"),
    ],
)
def test_what_no_licence_may_say(machine: Shell, more: tuple[str, ...], told: str) -> None:
    machine("license", "keygen", "k1")
    done = machine("license", "issue", "--key", "k1.key", *TERMS, "--machine", MACHINE, "--out", "new", *more)
    assert done.code != 0 and told in done.err
    assert not Path("new").exists()


def _state_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "var").glob("licence.state*")}


def test_a_check_reads_and_never_writes(machine: Shell) -> None:
    machine.ok("init", "--demo")
    assert "known time    none noted yet; the first start begins with 20" in machine.ok("license", "verify").out
    assert _state_files(machine.folder) == {}
    validator, now_s = LicenseValidator(load()), int(time.time())
    begun_s = validator.start("mubss-gy", now_s).known_s
    before = _state_files(machine.folder)
    assert len(before) == 3
    assert machine.json("license", "verify")["known_time"] == utc(begun_s)
    assert _state_files(machine.folder) == before
    (machine.folder / "var/licence.state").unlink()  # as a start then: no earlier than the secret's making
    secret = machine.folder / "var/licence.state.secret"
    os.utime(secret, (begun_s + 20, begun_s + 20))
    assert utc(begun_s + 20) in machine.json("license", "verify")["known_time"]
    os.utime(secret, (now_s + DAY_S, now_s + DAY_S))
    refused = machine("license", "verify")
    assert refused.code == ExitCode.LICENCE and "which was reached before: set the clock right" in refused.err
    (machine.folder / "var/licence.state").write_bytes(b"forged")
    assert "isn't as it was written" in machine("license", "verify").err
    assert (machine.folder / "var/licence.state").read_bytes() == b"forged"


def test_no_licence_is_told(machine: Shell) -> None:
    for command in ("show", "verify"):
        done = machine("license", command)
        assert done.code == ExitCode.LICENCE and "license.file: " in done.err and "No such file" in done.err
    assert "`mubss init --demo` makes one to try this out" in done.err and "license machine-id" in done.err


def test_a_demo_brings_its_own(machine: Shell) -> None:
    assert "licence: demo-" in machine("init", "--demo").out
    found = machine.json("license", "verify")
    assert (found["kind"], found["state"], found["subscribers"]) == ("demo", "expiring", 100_000)
    assert found["days_left"] in (29, 30)  # a second may have gone by
    assert machine.json("init", "--demo")["licence_made"] is None


def test_no_more_subscribers_than_the_licence_allows(
    demo_shell: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    licence = DemoLicence(tmp_path / "licence")
    licence.ends(licence.now_s + DAY_S, subscribers=21)  # the demo has 20
    for name, text in licence.variables.items():
        monkeypatch.setenv(name, text)
    file = tmp_path / "more.csv"
    file.write_text("msisdn,plan\n999811111111,demo-prepaid\n999811111112,demo-prepaid\n")
    for more in ((), ("--check",)):
        refused = demo_shell("subscriber", "import", file, *more)
        assert refused.code == ExitCode.LICENCE
        assert "licence.subscribers: 21; expected 22 or more, to add 2" in refused.err
    demo_shell.ok("subscriber", "add", "999811111111", "--plan", "demo-prepaid")
    assert demo_shell("subscriber", "add", "999811111112", "--plan", "demo-prepaid").code == ExitCode.LICENCE
    assert demo_shell("subscriber", "add", "999811111112", "--account", "999811111111").code == ExitCode.LICENCE
    demo_shell.ok("subscriber", "terminate", "999811111111", "--yes")
    demo_shell.ok("subscriber", "add", "999811111112", "--plan", "demo-prepaid")
