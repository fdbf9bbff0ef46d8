"""`mubss doctor`: every check seen failing on something that is really broken, and nothing ever written."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from certificates import OVER, Authority
from cli_tools import Shell
from licences import DemoLicence
from mubss.charging.journal import create, frame
from mubss.config import load
from mubss.core.licence import DAY_S, NEEDS
from mubss.runtime import ExitCode
from mubss.services.doctor.clock import distance
from mubss.services.doctor.table import CHECKS
from mubss.services.licence_files import read_machine_id
from mubss.services.licence_state import StateFile
from mubss.storage.database import open_database
from tiny_disk import tiny_disk

DOCS = Path(__file__).parents[2] / "docs" / "OPERATING.md"
MONTH = (date.today().replace(day=1) - timedelta(1)).isoformat()[:7]  # the last that is over
Setenv = Callable[[str, str], None]


@pytest.fixture
def setenv(monkeypatch: pytest.MonkeyPatch) -> Setenv:
    return monkeypatch.setenv


def findings(shell: Shell, *checks: str) -> tuple[int, list[dict[str, str]]]:
    """The exit code and what these checks found."""
    done = shell("doctor", "--json", *(word for check in checks for word in ("--only", check)))
    assert done.err == "", done
    found: list[dict[str, str]] = done.json["findings"]
    assert {one["check"] for one in found} <= set(checks or CHECKS), found
    assert all(one["text"] and bool(one["do"]) == (one["level"] != "OK") for one in found), "each says what to do"
    return done.code, found


def state_of(folder: Path) -> dict[str, Any]:
    """Every file with its content and times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        octets = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (sha256(octets).hexdigest(), about.st_mtime_ns, about.st_mode)
    return found


def ready(shell: Shell) -> None:
    """What a whole installation has."""
    shell.ok("tls", "init")
    shell.ok("token", "key")


def test_all_is_well_and_nothing_is_written(demo_shell: Shell) -> None:
    ready(demo_shell)
    before = state_of(demo_shell.folder)
    code, found = findings(demo_shell)
    assert code == 0 and not [one for one in found if one["level"] == "FAIL"]
    assert {one["check"] for one in found} == set(CHECKS)
    assert {one["check"] for one in found if one["level"] == "WARN"} <= {"clock", "limits", "disk"}, "this machine's"
    assert state_of(demo_shell.folder) == before


def test_nothing_is_written_beside_a_program_at_work(demo_shell: Shell) -> None:
    with closing(open_database(load().store_url)) as store:
        store.run(lambda session: session.collection("meta").get_one("schema"))
        before = state_of(demo_shell.folder)
        code, found = findings(demo_shell, "store", "integrity", "secrets")
        assert code == 0, found
        assert state_of(demo_shell.folder) == before


def test_lines_for_people(demo_shell: Shell) -> None:
    done = demo_shell("doctor", "--only", "store", "--only", "disk")
    assert done.code == 0 and "OK   store " in done.out and done.out.rstrip().endswith("0 FAIL")
    assert "integrity" not in demo_shell("doctor", "--skip", "integrity").out
    assert demo_shell("doctor", "--only", "nothing").code == ExitCode.USAGE


def test_a_warning_counts_where_it_is_to(demo_shell: Shell) -> None:
    assert demo_shell("doctor", "--only", "certificates").code == 0
    assert demo_shell("doctor", "--only", "certificates", "--strict").code == ExitCode.FAILURE


def test_a_configuration_that_cannot_be_read(demo_shell: Shell) -> None:
    (demo_shell.folder / "mubss.toml").write_text("[gy]\nporrt = 1\nworkers = 0\n")
    done = demo_shell("doctor", "--json")
    assert done.code == ExitCode.CONFIG and done.json["summary"] == {"OK": 0, "WARN": 0, "FAIL": 2}
    assert "did you mean" in done.json["findings"][0]["text"]


def test_the_docs_name_every_check() -> None:
    text = DOCS.read_text("utf-8")
    assert [name for name in CHECKS if f"| `{name}` |" not in text] == []


# ── each check on what is broken: (checks, how it is broken, level, what the line says) ──


def _no_data_dir(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_GENERAL__DATA_DIR", str(shell.folder / "gone"))


def _open_password(shell: Shell, setenv: Setenv) -> None:
    file = shell.folder / "mubss.toml"
    file.write_text('[store]\nurl = "mysqlx://mubss:secret@127.0.0.1:1/mubss"\n')
    file.chmod(0o644)


def _no_store(shell: Shell, setenv: Setenv) -> None:
    (shell.folder / "var/mubss.db").unlink()


def _no_server(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_STORE__URL", "mysqlx://mubss:secret@127.0.0.1:1/mubss")


def _sql(shell: Shell, *statements: str) -> None:
    with closing(sqlite3.connect(shell.folder / "var/mubss.db", isolation_level=None)) as link:
        for statement in statements:
            link.execute(statement)


def _open_store(shell: Shell, setenv: Setenv) -> None:
    (shell.folder / "var/mubss.db").chmod(0o640)


def _open_log(shell: Shell, setenv: Setenv) -> None:
    (shell.folder / "var/mubss.db-wal").touch(0o600)
    (shell.folder / "var/mubss.db-wal").chmod(0o604)


def _other_schema(shell: Shell, setenv: Setenv) -> None:
    _sql(shell, "UPDATE meta SET doc = json_set(doc, '$.version', 99, '$.least_reader', 99) WHERE _id = 'schema'")


def _lost_collection(shell: Shell, setenv: Setenv) -> None:
    _sql(shell, "DROP TABLE payments")


def _lost_index(shell: Shell, setenv: Setenv) -> None:
    _sql(shell, 'DROP INDEX "bills.due"')


def _other_index(shell: Shell, setenv: Setenv) -> None:
    _sql(shell, 'DROP INDEX "bills.due"', "CREATE INDEX \"bills.due\" ON bills (json_extract(doc, '$.x'))")


def _long_log(shell: Shell, setenv: Setenv) -> None:
    with (shell.folder / "var/mubss.db-wal").open("wb") as log:
        log.truncate(300_000_000)  # a hole, which SQLite takes for a log without a header


def _no_tariffs(shell: Shell, setenv: Setenv) -> None:
    _sql(shell, "DELETE FROM meta WHERE _id = 'refdata'")


def _damaged_page(shell: Shell, setenv: Setenv) -> None:
    file = shell.folder / "var/mubss.db"
    octets = bytearray(file.read_bytes())
    with closing(sqlite3.connect(file)) as link:
        [page] = link.execute("SELECT rootpage FROM sqlite_master WHERE name = 'accounts'").fetchone()
        [size] = link.execute("PRAGMA page_size").fetchone()
    octets[(page - 1) * size : page * size] = b"\xa5" * size
    file.write_bytes(octets)


def _no_database(shell: Shell, setenv: Setenv) -> None:
    (shell.folder / "var/mubss.db").write_bytes(b"not a database at all" * 1000)


def _clock_back(shell: Shell, setenv: Setenv) -> None:
    _sql(shell, "UPDATE meta SET doc = json_set(doc, '$.loaded_s', 9999999999) WHERE _id = 'refdata'")


def _little_room(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_DOCTOR__DISK_WARN_MEGABYTES", "1000000000")


def _no_room(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_DOCTOR__DISK_FAIL_MEGABYTES", "1000000000")


def _a_file_for_a_folder(shell: Shell, setenv: Setenv) -> None:
    (shell.folder / "invoices").write_text("")


def _open_folder(shell: Shell, setenv: Setenv) -> None:
    (shell.folder / "var/run").chmod(0o755)


def _folder_of_all(shell: Shell, setenv: Setenv) -> None:
    (shell.folder / "var/log").chmod(0o777)


def _ended() -> int:
    """The id of a process that was."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _stale_socket(shell: Shell, setenv: Setenv) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        path = shell.folder / f"var/run/mubss-gy-{_ended()}.sock"
        sock.bind(str(path))
        path.chmod(0o600)


def _dumb_process(shell: Shell, setenv: Setenv) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        path = shell.folder / f"var/run/mubss-cdr-{os.getpid()}.sock"
        sock.bind(str(path))
        path.chmod(0o600)


def _open_socket(shell: Shell, setenv: Setenv) -> None:
    _dumb_process(shell, setenv)
    (shell.folder / f"var/run/mubss-cdr-{os.getpid()}.sock").chmod(0o666)


def _stale_pid_file(shell: Shell, setenv: Setenv) -> None:
    (shell.folder / "var/run/supervisord.pid").write_text(f"{_ended()}\n")


def _odd_pid_file(shell: Shell, setenv: Setenv) -> None:
    (shell.folder / "var/run/supervisord.pid").write_text("none")


def _expired(shell: Shell, setenv: Setenv) -> None:
    folder = shell.folder / "var/tls"
    folder.mkdir()
    Authority(folder, "ca").issue("crm", "crm.example", OVER)
    (folder / "crm.key").chmod(0o600)


def _ending(shell: Shell, setenv: Setenv) -> None:
    shell.ok("tls", "init")
    setenv("MUBSS_DOCTOR__CERTIFICATE_WARN_DAYS", "400")


def _other_key(shell: Shell, setenv: Setenv) -> None:
    folder = shell.folder / "var/tls"
    folder.mkdir()
    authority = Authority(folder, "ca")
    authority.issue("crm", "crm.example")
    certificate = (folder / "crm.pem").read_bytes()
    authority.issue("crm", "crm.example")
    (folder / "crm.pem").write_bytes(certificate)


def _open_key(shell: Shell, setenv: Setenv) -> None:
    shell.ok("tls", "init")
    (shell.folder / "var/tls/crm.key").chmod(0o644)


def _no_authority(shell: Shell, setenv: Setenv) -> None:
    shell.ok("tls", "init")
    setenv("MUBSS_CRM__TLS_CLIENT_CA", "none.pem")


def _gy_without_certificate(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_GY__TLS_PORT", "5658")


def _plain_text(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_CRM__PLAIN_TEXT", "true")


def _open_token_key(shell: Shell, setenv: Setenv) -> None:
    shell.ok("token", "key")
    for key in (shell.folder / "var").rglob("*.key"):
        key.chmod(0o640)


def _other_pepper(shell: Shell, setenv: Setenv) -> None:
    worth = ("--value", "5", "--currency", "EUR", "--expires", "2035-12-31", "--file", shell.folder / "pins.csv")
    shell.ok("vouchers", "make", "--count", "1", *worth)
    (shell.folder / "var/voucher.pepper").write_bytes(b"0" * 64)


def _no_pepper(shell: Shell, setenv: Setenv) -> None:
    (shell.folder / "var/voucher.pepper").unlink()


def _strange_host(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_CRM__HOST", "192.0.2.1")  # TEST-NET-1: no machine has it


def _many_peers(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_GY__MAX_PEERS", "100000")
    setenv("MUBSS_GY__WORKERS", "1")


def _no_templates(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_BILLFMT__TEMPLATES", "mine")


def _no_wkhtmltopdf(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_BILLFMT__ENGINE", "pdfkit")
    setenv("PATH", str(shell.folder))


def _archived(shell: Shell, setenv: Setenv) -> None:
    shell.ok("archive", "run", "--month", MONTH)


def _lost_archive(shell: Shell, setenv: Setenv) -> None:
    _archived(shell, setenv)
    next((shell.folder / "archive").rglob("*.parquet")).unlink()


def _broken_archive(shell: Shell, setenv: Setenv) -> None:
    _archived(shell, setenv)
    _sql(shell, "UPDATE archives SET doc = json_set(doc, '$.state', 'written') WHERE _id <> 'run'")


def _no_licence(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_LICENSE__FILE", "none.lic")


def _licence(shell: Shell, setenv: Setenv) -> DemoLicence:
    made = DemoLicence(shell.folder / "other")
    for name, text in made.variables.items():
        setenv(name, text)
    return made


def _licence_over(shell: Shell, setenv: Setenv) -> None:
    made = _licence(shell, setenv)
    made.ends(made.now_s - 1)


def _licence_for_gy(shell: Shell, setenv: Setenv) -> None:
    made = _licence(shell, setenv)
    made.ends(made.now_s + DAY_S, int(NEEDS["mubss-gy"]))


def _known_time_ahead(shell: Shell, setenv: Setenv) -> None:
    made = _licence(shell, setenv)
    state = StateFile(Path(made.options["license__state_file"]), read_machine_id(Path("/etc/machine-id")))
    state.open(made.now_s + DAY_S)


def _outage_mode(shell: Shell, setenv: Setenv) -> None:
    setenv("MUBSS_OUTAGE__ENABLED", "true")


def _journals(shell: Shell, setenv: Setenv) -> None:
    journal = create(shell.folder / "var/outage")
    journal.append([b"one", b"two"])
    journal.close()


def _journals_and_mode(shell: Shell, setenv: Setenv) -> None:
    _outage_mode(shell, setenv)
    _journals(shell, setenv)


def _damaged_journal(shell: Shell, setenv: Setenv) -> None:
    folder = shell.folder / "var/outage"
    folder.mkdir(mode=0o700)
    (folder / "x.damaged").write_bytes(b"abc" + frame(b"one"))


def _open_journals(shell: Shell, setenv: Setenv) -> None:
    _outage_mode(shell, setenv)
    (shell.folder / "var/outage").mkdir()


def _journals_in_memory(shell: Shell, setenv: Setenv) -> None:
    _outage_mode(shell, setenv)
    setenv("MUBSS_OUTAGE__FOLDER", "/dev/shm/mubss-none")  # no file is made there


BROKEN: list[tuple[str, Callable[[Shell, Setenv], None], str, str]] = [
    ("configuration", _no_data_dir, "FAIL", "is no folder"),
    ("configuration", _open_password, "WARN", "holds the store's password and has mode 644"),
    ("store", _no_store, "FAIL", "there is no store yet"),
    ("store", _no_server, "FAIL", "127.0.0.1"),
    ("store", _open_store, "WARN", "var/mubss.db has mode 640: others may read"),
    ("store", _open_log, "WARN", "var/mubss.db-wal has mode 604: others may read"),
    ("store", _other_schema, "FAIL", "99"),
    ("store", _lost_collection, "FAIL", "no collection payments"),
    ("store", _lost_index, "FAIL", "bills.due"),
    ("store", _other_index, "FAIL", "bills.due"),
    ("store", _long_log, "WARN", "300 MB; more than 256"),
    ("store", _no_tariffs, "FAIL", "no reference data"),
    ("store", _no_database, "FAIL", "not an SQLite database"),
    ("integrity", _damaged_page, "FAIL", "var/mubss.db: "),
    ("integrity", _no_database, "FAIL", "not an SQLite database"),
    ("clock", _clock_back, "FAIL", "is before 2286-11-20"),
    ("clock", _no_store, "WARN", "the store's times can't be read"),
    ("disk", _little_room, "WARN", "less than 1000000000"),
    ("disk", _no_room, "FAIL", "less than 1000000000"),
    ("folders", _a_file_for_a_folder, "FAIL", "is no folder"),
    ("folders", _open_folder, "WARN", "others may look into it"),
    ("folders", _folder_of_all, "WARN", "anybody may write to it"),
    ("sockets", _stale_socket, "WARN", "of a process that has ended"),
    ("sockets", _dumb_process, "WARN", "lives and doesn't answer"),
    ("sockets", _open_socket, "FAIL", "has mode 666"),
    ("sockets", _stale_pid_file, "WARN", "which has ended"),
    ("sockets", _odd_pid_file, "WARN", "expected a process id"),
    ("certificates", _expired, "FAIL", "has expired, 2021-01-01"),
    ("certificates", _ending, "WARN", "var/tls/crm.pem ends 20"),
    ("certificates", _other_key, "FAIL", "key values mismatch"),
    ("certificates", _open_key, "FAIL", "has mode 644"),
    ("certificates", _no_authority, "FAIL", "none.pem"),
    ("certificates", _gy_without_certificate, "FAIL", "gy.tls_certificate: missing"),
    ("certificates", _plain_text, "WARN", "unencrypted"),
    ("licence", _no_licence, "FAIL", "license.file"),
    ("licence", _licence_over, "FAIL", "expired"),
    ("licence", _licence_for_gy, "WARN", "not for mubss-cdr"),
    ("licence", _known_time_ahead, "FAIL", "was reached before"),
    ("secrets", _open_token_key, "FAIL", "others may read it"),
    ("secrets", _other_pepper, "FAIL", "isn't the pepper of this store's vouchers"),
    ("secrets", _no_pepper, "FAIL", "can't be read"),
    ("secrets", _no_store, "WARN", "can't be compared"),
    ("ports", _strange_host, "FAIL", "crm.host: 192.0.2.1"),
    ("programs", _no_templates, "FAIL", "expected a folder"),
    ("programs", _no_wkhtmltopdf, "FAIL", "isn't installed"),
    ("archive", _archived, "OK", "all there"),
    ("archive", _lost_archive, "FAIL", "1 file is gone: "),
    ("archive", _broken_archive, "WARN", "broke off"),
    ("archive", _no_store, "WARN", "aren't known"),
    ("outage", _journals, "FAIL", "2 answered requests wait, and the mode is off"),
    ("outage", _journals_and_mode, "WARN", "2 answered requests wait for mubss-gy"),
    ("outage", _damaged_journal, "WARN", "3 octets were damaged"),
    ("outage", _outage_mode, "WARN", "is on the store's disk"),
    ("outage", _open_journals, "WARN", "others may look into it"),
    ("outage", _journals_in_memory, "FAIL", "is on a tmpfs"),
]


@pytest.mark.parametrize(("check", "breaks", "level", "text"), BROKEN, ids=[row[1].__name__[1:] for row in BROKEN])
def test_what_is_broken_is_found(
    demo_shell: Shell, setenv: Setenv, check: str, breaks: Callable[[Shell, Setenv], None], level: str, text: str
) -> None:
    breaks(demo_shell, setenv)
    code, found = findings(demo_shell, check)
    assert [one for one in found if one["level"] == level and text in one["text"]], found
    assert code == (ExitCode.FAILURE if any(one["level"] == "FAIL" for one in found) else 0)


def test_a_server_that_does_not_answer_is_waited_for_once(demo_shell: Shell, setenv: Setenv) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        setenv("MUBSS_STORE__URL", f"mysqlx://mubss:secret@127.0.0.1:{server.getsockname()[1]}/mubss")
        setenv("MUBSS_STORE__BUSY_TIMEOUT_MS", "1000")
        code, found = findings(demo_shell, "store", "clock", "secrets", "archive")
        assert code == ExitCode.FAILURE and found[0]["level"] == "FAIL"
        server.setblocking(False)
        server.accept()[0].close()
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    ("options", "text"), [("size=1m", " MB free for "), ("size=1m,nr_inodes=12", " % of the inodes")]
)
def test_a_tiny_disk(demo_shell: Shell, options: str, text: str) -> None:
    with tiny_disk(demo_shell.folder / "invoices", options) as disk:
        for number in range(11 if "inodes" in options else 0):
            (disk / str(number)).touch()
        code, found = findings(demo_shell, "disk")
        mine = [one["level"] for one in found if str(disk) in one["text"] and text in one["text"]]
        assert mine == ["FAIL"] and code == ExitCode.FAILURE, found


def test_a_pid_file_that_is_no_file(demo_shell: Shell) -> None:
    os.mkfifo(demo_shell.folder / "var/run/supervisord.pid")  # reading it would wait for ever
    assert "is no file" in " ".join(one["text"] for one in findings(demo_shell, "sockets")[1])


def test_a_file_limit_that_is_too_low(demo_shell: Shell) -> None:
    script = "ulimit -n 300 && exec " + f"{sys.executable} -m mubss.cli.main doctor --only limits"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "WARN limits what is started from here may have 300 files" in done.stdout, done


def test_a_port_that_another_holds(demo_shell: Shell, setenv: Setenv) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        setenv("MUBSS_GY__PORT", str(server.getsockname()[1]))
        code, found = findings(demo_shell, "ports")
        assert code == ExitCode.FAILURE and f"is held by process {os.getpid()}, " in found[0]["text"], found
        setenv("MUBSS_GY__HOST", "::1")  # another address: nobody is in the way, if there is IPv6 here
        assert "held" not in findings(demo_shell, "ports")[1][0]["text"]


def test_a_port_that_our_own_program_holds(demo_shell: Shell, setenv: Setenv) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    setenv("MUBSS_GY__PORT", str(port))
    gy = subprocess.Popen([sys.executable, "-m", "mubss.gy.main"], stderr=subprocess.PIPE, text=True)
    try:
        assert gy.stderr is not None
        for line in gy.stderr:
            if "listening" in line or "ready" in line:
                break
        code, found = findings(demo_shell, "ports", "sockets", "limits")
        assert code == 0, found
        texts = " ".join(one["text"] for one in found)
        assert f"is held by mubss-gy, process {gy.pid}" in texts and f"mubss-gy {gy.pid} answers at" in texts
        assert f"mubss-gy {gy.pid} may have" in texts
    finally:
        gy.send_signal(signal.SIGKILL)
        gy.wait()
        if gy.stderr is not None:
            gy.stderr.close()
    assert "of a process that has ended" in " ".join(one["text"] for one in findings(demo_shell, "sockets")[1])


def test_a_store_on_mysql(shell: Shell, setenv: Setenv, mysql_url: str) -> None:
    setenv("MUBSS_STORE__URL", mysql_url)
    shell.ok("init", "--demo")
    code, found = findings(shell, "store", "integrity", "clock", "archive")
    assert code == 0 and "MySQL " in found[0]["text"], found
    assert [one for one in found if one["check"] == "clock" and "the store's clock is" in one["text"]]
    with closing(open_database(mysql_url)) as store:
        store.run(lambda session: session.collection("bills").drop_index("due"))
    code, found = findings(shell, "store")
    assert code == ExitCode.FAILURE and [one for one in found if "bills.due" in one["text"]], found


@pytest.mark.parametrize(
    ("off_ms", "level", "text"),
    [
        (0, "OK", "0 ms ahead"),
        (-1000, "OK", "1000 ms behind"),
        (1001, "WARN", "1001 ms ahead of"),
        (-10_001, "FAIL", "10001 ms behind"),
    ],
)
def test_how_far_a_servers_clock_may_be_off(off_ms: int, level: str, text: str) -> None:
    found = distance(off_ms, 1000)
    assert found.level.value == level and text in found.text
