"""The file of the last known good time: missing, changed, out of reach, and written by several processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from licences import MACHINE, NOW_S, OTHER_MACHINE
from mubss.core.errors import LicenceError
from mubss.services.licence_state import StateFile


@pytest.fixture
def state(tmp_path: Path) -> StateFile:
    """One that was made at NOW_S."""
    made = StateFile(tmp_path / "var" / "licence.state", MACHINE)
    made.open(NOW_S)
    return made


def test_it_is_monotone(state: StateFile) -> None:
    assert state.raise_to(NOW_S + 60) == NOW_S + 60
    assert state.raise_to(NOW_S) == NOW_S + 60
    assert state.open(NOW_S + 999) == NOW_S + 60


def test_nobody_else_reads_the_secret(state: StateFile) -> None:
    assert state.secret_path.stat().st_mode & 0o777 == 0o600
    state.secret_path.chmod(0o644)
    with pytest.raises(LicenceError, match="has mode 644; expected 600"):
        state.open(NOW_S)


def test_a_state_that_is_missing_is_begun_anew_no_earlier_than_its_secret(
    state: StateFile, caplog: pytest.LogCaptureFixture
) -> None:
    os.utime(state.secret_path, (NOW_S + 5000, NOW_S + 5000))
    state.path.unlink()
    assert state.open(NOW_S) == NOW_S + 5000
    assert "missing, though it was there" in caplog.text


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\0" * 100,
        b"x" * 10_000,
        b"mubss-known-good 1 1799999999 " + b"0" * 64 + b"\n",
        b"mubss-known-good 1 99999999999999999999 " + b"0" * 64 + b"\n",
    ],
)
def test_a_state_that_was_changed_is_refused_and_stays(state: StateFile, octets: bytes) -> None:
    state.path.write_bytes(octets)
    for attempt in (state.open, state.raise_to):
        with pytest.raises(LicenceError, match=r"license\.state_file: "):
            attempt(NOW_S)
    assert state.path.read_bytes() == octets


def test_an_earlier_time_under_the_digest_of_a_later_one_is_refused(state: StateFile) -> None:
    state.path.write_bytes(state.path.read_bytes().replace(b"1800000000", b"1700000000"))
    with pytest.raises(LicenceError, match="was changed, or comes from another machine"):
        state.open(NOW_S)


def test_the_state_of_another_machine_is_refused(state: StateFile) -> None:
    with pytest.raises(LicenceError, match="was changed, or comes from another machine"):
        StateFile(state.path, OTHER_MACHINE).open(NOW_S)


def test_a_state_without_its_secret_is_refused(state: StateFile) -> None:
    state.secret_path.unlink()
    with pytest.raises(LicenceError, match="can't be read: No such file"):
        state.open(NOW_S)
    assert not state.secret_path.exists()


def test_a_folder_in_place_of_the_file_is_refused(state: StateFile) -> None:
    state.path.unlink()
    state.path.mkdir()
    with pytest.raises(LicenceError, match=r"license\.state_file: "):
        state.open(NOW_S)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file")
    with pytest.raises(LicenceError, match="can't be written: "):
        StateFile(tmp_path / "var" / "licence.state", MACHINE).open(NOW_S)


def test_a_full_disk_leaves_the_state_as_it_was(state: StateFile) -> None:
    """Of a real write: the limit of file sizes is what the kernel refuses it by."""
    before = state.path.read_bytes()
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from mubss.core.errors import LicenceError; from mubss.services.licence_state import StateFile\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))\n"
        f"try: StateFile(Path(sys.argv[1]), {MACHINE!r}).raise_to({NOW_S + 60})\n"
        "except LicenceError as error: sys.exit(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(state.path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "can't be written: File too large" in done.stderr
    assert state.path.read_bytes() == before
    assert state.raise_to(NOW_S + 60) == NOW_S + 60


def test_several_processes_begin_and_raise_it_at_once(tmp_path: Path) -> None:
    path = tmp_path / "var" / "licence.state"
    code = (
        "import sys; from pathlib import Path; from mubss.services.licence_state import StateFile\n"
        f"state, first = StateFile(Path(sys.argv[1]), {MACHINE!r}), int(sys.argv[2])\n"
        "sys.stdin.read(1); last = state.open(1000)\n"
        "for step in range(40):\n"
        "    wanted = 2000 + first + 4 * step; seen = state.raise_to(wanted)\n"
        "    assert seen >= max(last, wanted); last = seen\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(path), str(first)], stdin=subprocess.PIPE)
        for first in range(4)
    ]
    for one in running:
        assert one.stdin is not None
        one.stdin.close()
    assert [one.wait() for one in running] == [0] * 4
    assert StateFile(path, MACHINE).open(1) == 2000 + 3 + 4 * 39
    assert sorted(one.name for one in path.parent.iterdir()) == [
        "licence.state",
        "licence.state.lock",
        "licence.state.secret",
    ]
