"""The frame of the command line: common options anywhere, errors on one line, codes, JSON and tables."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from mubss import __version__
from mubss.cli import output
from mubss.cli.command import Group
from mubss.cli.main import COMMANDS, cli, main
from mubss.config import defaults_text
from mubss.runtime import ExitCode

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the program in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        taken = capsys.readouterr()
        return int(code), taken.out, taken.err

    return call


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"mubss {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "a.toml", "--json", "config", "show"],
        ["config", "--config", "a.toml", "--json", "show"],
        ["config", "show", "--config", "a.toml", "--json"],
        ["--json", "config", "show", "--config=a.toml"],
        ["--config", "none.toml", "config", "show", "--config", "a.toml", "--json"],
    ],
)
def test_common_options_stand_anywhere(run: Run, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "a.toml").write_text("[gy]\nport = 7")
    code, out, _ = run(*arguments)
    assert code == 0
    assert json.loads(out)["gy.port"] == {"value": 7, "source": "a.toml:2"}


def test_every_command_takes_the_common_options() -> None:
    def check(command: object, path: str) -> None:
        names = {name for made in getattr(command, "params", []) for name in made.opts}
        assert {"--config", "--json"} <= names, path
        if isinstance(command, Group):
            context = command.make_context(path, [], resilient_parsing=True)
            for name in command.list_commands(context):
                check(command.get_command(context, name), f"{path} {name}")

    check(cli, "mubss")


def in_readme() -> list[str]:
    """The calls of `mubss` in README.md that stand alone on their lines."""
    text = (Path(__file__).parents[2] / "README.md").read_text("utf-8").replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.startswith("    mubss ")]


@pytest.mark.parametrize("line", in_readme())
def test_the_readmes_commands_can_be_called(line: str) -> None:
    """As far as their names, options and arguments go."""
    command: click.Command = cli
    words = shlex.split(line, comments=True)
    while isinstance(command, click.Group):
        context = command.make_context(words[0], words[1:])
        name, found, words = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None, name
        command, words = found, [str(name), *words]
    command.make_context(words[0], words[1:])


def test_where_the_configuration_is_said_to_be(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/mubss.toml").write_text("[gy]\nport = 7")
    (tmp_path / "mubss.toml").write_text('[general]\ndata_dir = "there"')
    monkeypatch.delenv("MUBSS_GENERAL__DATA_DIR", raising=False)
    assert json.loads(run("config", "show", "--json")[1])["gy.port"]["source"] == "default", (
        "data_dir doesn't lead to it"
    )
    monkeypatch.setenv("MUBSS_GENERAL__DATA_DIR", "there")
    assert json.loads(run("config", "show", "--json")[1])["gy.port"]["value"] == 7
    assert "$MUBSS_GENERAL__DATA_DIR, or in the current" in " ".join(run("status", "--help")[1].split())


WRONG = [
    ([], ExitCode.USAGE, "Usage: mubss [OPTIONS] COMMAND"),
    (["confg"], ExitCode.USAGE, "mubss: No such command 'confg'."),
    (["config", "show", "--x"], ExitCode.USAGE, "mubss config show: No such option '--x'."),
    (["config", "show", "x"], ExitCode.USAGE, "mubss config show: Got unexpected extra argument (x)"),
    (["config", "show", "--config", "none.toml"], ExitCode.CONFIG, "mubss: none.toml: cannot be read: No such file"),
]


@pytest.mark.parametrize(("arguments", "code", "text"), WRONG)
def test_a_wrong_command_line(run: Run, arguments: list[str], code: int, text: str) -> None:
    got, out, err = run(*arguments)
    assert (got, out) == (code, "")
    assert err.startswith(text)
    assert not arguments or err.count("\n") == 1


def test_config_show_masks_secrets_and_tells_sources(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mubss.toml").write_text(
        '[store]\nurl = "sqlite://root:hush@db/mubss"\n[[gy.peers]]\norigin_host = "ggsn.example"'
    )
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        code, out, _ = run(*arguments)
        assert code == 0
        assert "hush" not in out
        assert "sqlite://root:***@db/mubss" in out
        assert "mubss.toml:2" in out
        assert "ggsn.example" in out


def test_config_defaults_is_the_shipped_file(run: Run) -> None:
    assert run("config", "defaults") == (0, defaults_text(), "")
    code, out, _ = run("config", "defaults", "--json")
    assert code == 0
    assert json.loads(out)["gy.subscription_id_order"] == ["e164", "imsi", "sip", "nai", "private"]


def test_starting_loads_no_command_and_nothing_slow() -> None:
    slow = ["rich", "tomlkit", "prometheus_client", "gevent", "grpc", "sqlite3", "mysqlx", "mubss.cli.config_cmd"]
    program = f"import sys, mubss.cli.main; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_command_is_there(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in out


def test_tables(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"n": 1, "who": "[b]ü[/b]", "on": True}, {"n": 1000, "who": "x\x1b\ny", "on": None, "more": 1}]
    output.print_rows(False, rows, {"who": "who", "n": "count", "on": "on"}, "Title")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == "Title"
    assert lines[1] == "who       count  on"
    assert lines[3:] == ["[b]ü[/b]      1  yes", "x\\x1b\\ny   1000"]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_rows(True, [{"balance_micros": 10_000_000, "who": "ü"}], {"who": "who"})
    assert json.loads(capsys.readouterr().out) == [{"balance_micros": 10_000_000, "who": "ü"}]


@pytest.mark.parametrize(
    ("micros", "text"), [(10_000_000, "10.00 EUR"), (-90_000, "-0.09 EUR"), (1, "0.000001 EUR"), (0, "0.00 EUR")]
)
def test_money(micros: int, text: str) -> None:
    assert output.money(micros, "EUR") == text
