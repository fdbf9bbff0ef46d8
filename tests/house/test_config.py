"""The configuration: what is taken, what is refused and how it is said, and where values come from."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from mubss.config import SECTIONS, Config, data_path, defaults_text, load
from mubss.config_crm import CrmOptions
from mubss.config_gy import PeerOptions
from mubss.core.errors import ConfigError
from mubss.options import about, find_lines, refusal


def load_text(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    file = tmp_path / "mubss.toml"
    file.write_text(text, "utf-8")
    return load(file, environ or {})


def faults_of(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text, environ)
    return [fault.replace(str(tmp_path), "") for fault in str(caught.value).splitlines()]


def test_the_shipped_file_is_what_the_code_declares() -> None:
    assert data_path("conf/mubss.toml").read_text("utf-8") == defaults_text(), "mubss config defaults > conf/mubss.toml"


def test_the_shipped_file_holds_the_defaults() -> None:
    config = load(data_path("conf/mubss.toml"), {})
    assert config == Config()
    assert config.sources["gy.port"].startswith(str(data_path("conf/mubss.toml")))


def test_the_example_of_a_table_array_works_when_uncommented(tmp_path: Path) -> None:
    start = defaults_text().index("# [[gy.peers]]")
    lines = defaults_text()[start:].partition("\n\n")[0].splitlines()
    text = "\n".join(line.removeprefix("# ") for line in lines).replace('host = ""', 'host = "ggsn.example"')
    assert load_text(tmp_path, text).gy.peers == (PeerOptions("ggsn.example"),)


def test_every_option_has_a_comment_and_a_default_that_it_takes() -> None:
    rows = [known.row for kind in SECTIONS.values() for made in fields(kind) if (known := about(made)).row is not None]
    for kind in [*SECTIONS.values(), *rows]:
        for made in fields(kind):
            where = f"{kind.__name__}.{made.name}"
            assert about(made).comment.endswith("."), where
            if isinstance(made.default, int) and not isinstance(made.default, bool):
                assert about(made).low is not None, where
                assert about(made).high is not None, where
            if made.name.endswith(("_ms", "_seconds", "_octets")):
                unit = {"ms": "milliseconds"}.get(made.name.rpartition("_")[2], made.name.rpartition("_")[2])
                assert about(made).unit == unit, where
            if about(made).row is None and not isinstance(made.default, type(fields(PeerOptions)[0].default)):
                assert refusal(made, made.default) == "", where


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().gy.port = 1  # type: ignore[misc]


REFUSED = [
    ("[gy]\nport = 70000", "gy.port = 70000 (/mubss.toml:2): expected an integer from 0 to 65535"),
    ("[gy]\nport = true", "gy.port = true (/mubss.toml:2): expected an integer from 0 to 65535"),
    ("[gy]\nport = 3868.0", "gy.port = 3868.0 (/mubss.toml:2): expected an integer from 0 to 65535"),
    ('[gy]\nport = "3868"', "gy.port = '3868' (/mubss.toml:2): expected an integer from 0 to 65535"),
    ("gy.port = -1", "gy.port = -1 (/mubss.toml:1): expected an integer from 0 to 65535"),
    (
        "[gy]\nwatchdog_seconds = 5",
        "gy.watchdog_seconds = 5 (/mubss.toml:2): expected an integer from 6 to 3600, in seconds",
    ),
    ("[metrics]\nenabled = 1", "metrics.enabled = 1 (/mubss.toml:2): expected true or false"),
    ("[gy]\nhost = 1", "gy.host = 1 (/mubss.toml:2): expected text"),
    ('[gy]\nhost = "a b"', "gy.host = 'a b' (/mubss.toml:2): expected an IP address or a host name"),
    (
        '[gy]\norigin_host = ""',
        "gy.origin_host = '' (/mubss.toml:2): expected a DiameterIdentity: a full host name in ASCII",
    ),
    (
        '[gy]\naccept_unknown_peers = "Always"',
        "gy.accept_unknown_peers = 'Always' (/mubss.toml:2): expected one of never, loopback, always",
    ),
    (
        '[gy]\nsubscription_id_order = ["e164", "imei"]',
        "gy.subscription_id_order = ['e164', 'imei'] (/mubss.toml:2): "
        "expected a list of text, any of e164, imsi, sip, nai, private",
    ),
    (
        '[gy]\nsubscription_id_order = ["e164", "e164"]',
        "gy.subscription_id_order = ['e164', 'e164'] (/mubss.toml:2): expected a list without repeats",
    ),
    (
        '[general]\ntimezone = "Europe/Atlantis"',
        "general.timezone = 'Europe/Atlantis' (/mubss.toml:2): expected an IANA time zone like \"Europe/Berlin\"",
    ),
    (
        '[general]\ndata_dir = "a\\u0000b"',
        "general.data_dir = 'a\\x00b' (/mubss.toml:2): expected printable text of up to 1000 letters",
    ),
    ("[gy]\nprot = 3868", 'gy.prot = 3868 (/mubss.toml:2): no such option; did you mean "port"?'),
    ("[metric]\nport = 1", "metric = {'port': 1} (/mubss.toml:1): no such section; did you mean \"metrics\"?"),
    ("gy = 3868", "gy = 3868 (/mubss.toml:1): expected a table [gy]"),
    (
        "[crm]\nxyzzy = 1",
        "crm.xyzzy = 1 (/mubss.toml:2): no such option; known: " + ", ".join(CrmOptions.__dataclass_fields__),
    ),
    (
        "[[gy.peers]]\naddresses = []",
        "gy.peers[0].origin_host: missing (/mubss.toml:1); expected text",
    ),
    (
        '[[gy.peers]]\norigin_host = "a.example"\naddresses = ["ggsn"]',
        "gy.peers[0].addresses = ['ggsn'] (/mubss.toml:3): expected an IP address or a network like \"192.0.2.0/24\"",
    ),
    (
        '[[gy.peers]]\norigin_host = "a.example"\nadress = 1',
        'gy.peers[0].adress = 1 (/mubss.toml:3): no such option; did you mean "addresses"?',
    ),
    ("[gy]\npeers = 1", "gy.peers = 1 (/mubss.toml:2): expected tables [[gy.peers]] in the file"),
    (
        '[[gy.peers]]\norigin_host = "A.example"\n[[gy.peers]]\norigin_host = "a.example"',
        "gy.peers: origin_host 'a.example' stands twice (/mubss.toml); expected each peer once",
    ),
    (
        '[store]\nurl = ["mysqlx://root:hush@db/x"]',
        "store.url = ['mysqlx://root:***@db/x'] (/mubss.toml:2): expected text",
    ),
    (
        '[store]\nurl = "mysqlx:db/x"',
        "store.url = 'mysqlx:db/x' (/mubss.toml:2): expected a URL like sqlite:///var/mubss.db "
        "or mysqlx://user:password@host:33060/mubss",
    ),
    (
        '[store]\nurl = "oracle://db/x"',
        "store.url = 'oracle://db/x' (/mubss.toml:2): expected a URL like sqlite:///var/mubss.db "
        "or mysqlx://user:password@host:33060/mubss",
    ),
]


@pytest.mark.parametrize(("text", "fault"), REFUSED, ids=[text.partition("\n")[2] or text for text, _ in REFUSED])
def test_refused(tmp_path: Path, text: str, fault: str) -> None:
    assert faults_of(tmp_path, text) == [fault]


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    text = '[gy]\nport = "x"\nworkers = 0\n[general]\nlog_levle = 1\n[store]\nbusy_timeout_ms = 0'
    found = faults_of(tmp_path, text, {"MUBSS_GY__VENDOR_ID": "-1", "MUBSS_GY__PROT": "1"})
    names = [fault.split(" ")[0] for fault in found]
    assert names == [
        "general.log_levle",
        "store.busy_timeout_ms",
        "gy.port",
        "gy.workers",
        "gy.vendor_id",
        "MUBSS_GY__PROT",
    ]


ENVIRONMENT = [
    ("MUBSS_GY__PORT", "3869", "gy", "port", 3869),
    ("MUBSS_METRICS__ENABLED", "True", "metrics", "enabled", True),
    ("MUBSS_METRICS__ENABLED", "false", "metrics", "enabled", False),
    ("MUBSS_GY__PRODUCT_NAME", "Ünïted, Ltd", "gy", "product_name", "Ünïted, Ltd"),
    ("MUBSS_GY__SUBSCRIPTION_ID_ORDER", "imsi, e164", "gy", "subscription_id_order", ("imsi", "e164")),
    ("MUBSS_GY__SUBSCRIPTION_ID_ORDER", "", "gy", "subscription_id_order", ()),
]


@pytest.mark.parametrize(("variable", "text", "section", "key", "value"), ENVIRONMENT)
def test_the_environment_overrides(
    tmp_path: Path, variable: str, text: str, section: str, key: str, value: object
) -> None:
    config = load_text(tmp_path, "[gy]\nport = 1\n[metrics]\nenabled = true", {variable: text, "MUBSS_HOME": "x"})
    assert getattr(getattr(config, section), key) == value
    assert config.sources[f"{section}.{key}"] == variable


ENVIRONMENT_REFUSED = [
    ("MUBSS_GY__PORT", "many", "gy.port = 'many' (MUBSS_GY__PORT): expected an integer from 0 to 65535"),
    ("MUBSS_GY__PORT", "1" * 5000, f"gy.port = '{'1' * 59}… (MUBSS_GY__PORT): expected an integer from 0 to 65535"),
    ("MUBSS_GY__PORT", "٣", "gy.port = '٣' (MUBSS_GY__PORT): expected an integer from 0 to 65535"),
    ("MUBSS_METRICS__ENABLED", "yes", "metrics.enabled = 'yes' (MUBSS_METRICS__ENABLED): expected true or false"),
    ("MUBSS_GY__PEERS", "a", "gy.peers = 'a' (MUBSS_GY__PEERS): expected tables [[gy.peers]] in the file"),
    ("MUBSS_GY__PROT", "1", "MUBSS_GY__PROT (environment): no such option; did you mean MUBSS_GY__PORT?"),
    (
        "MUBSS_Q__ZZZZZZZZZZZZ",
        "1",
        "MUBSS_Q__ZZZZZZZZZZZZ (environment): no such option; `mubss config show` lists what there is",
    ),
]


@pytest.mark.parametrize(("variable", "text", "fault"), ENVIRONMENT_REFUSED)
def test_the_environment_refused(tmp_path: Path, variable: str, text: str, fault: str) -> None:
    assert faults_of(tmp_path, "", {variable: text}) == [fault]


FILES = [
    (b"[gy", "not TOML"),
    (b"[gy]\nport = 1\nport = 2", "not TOML"),
    (b"[gy]\nhost = '\xff'", "expected UTF-8"),
    (b"#" * 1_048_577, "expected a file of up to 1048576 octets"),
    (b"a = " + b"[" * 100_000, "not TOML: .* nested more than 100 levels"),
]


@pytest.mark.parametrize(("octets", "text"), FILES, ids=[text + str(number) for number, (_, text) in enumerate(FILES)])
def test_files_that_are_no_configuration(tmp_path: Path, octets: bytes, text: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(octets)
    with pytest.raises(ConfigError, match=text):
        load(file, {})


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(tmp_path / "nowhere.toml", {})


def test_without_a_name_the_file_in_the_data_folder_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None, {}).gy.port == 3868
    (tmp_path / "mubss.toml").write_text("[gy]\nport = 1")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mubss.toml").write_text("[gy]\nport = 2")
    config = load(None, {})
    assert (config.gy.port, config.sources["gy.port"]) == (1, "mubss.toml:2")
    config = load(None, {"MUBSS_GENERAL__DATA_DIR": "data"})
    assert (config.gy.port, config.sources["gy.port"]) == (2, "data/mubss.toml:2")


STORE_URLS = [
    ("sqlite:///var/mubss.db", "sqlite:///{root}/data/var/mubss.db?busy_timeout_ms=7"),
    ("sqlite:////srv/mubss.db", "sqlite:////srv/mubss.db?busy_timeout_ms=7"),
    ("sqlite:///a%20b.db?cache_kib=64", "sqlite:///{root}/data/a%20b.db?cache_kib=64&busy_timeout_ms=7"),
    ("sqlite:///a.db?busy_timeout_ms=9", "sqlite:///{root}/data/a.db?busy_timeout_ms=9"),
    ("mysqlx://u:p@[a,b]/x", "mysqlx://u:p@[a,b]/x?connect-timeout=1000&answer-timeout=1000"),
    ("mysqlx://u:p@a/x?answer-timeout=9", "mysqlx://u:p@a/x?answer-timeout=9&connect-timeout=1000"),
]


@pytest.mark.parametrize(("url", "whole"), STORE_URLS)
def test_the_store_url_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, whole: str) -> None:
    monkeypatch.chdir(tmp_path)
    text = f'[general]\ndata_dir = "data"\n[store]\nurl = "{url}"\nbusy_timeout_ms = 7'
    assert load_text(tmp_path, text).store_url == whole.format(root=tmp_path)


def test_lines_are_found_in_any_layout() -> None:
    text = """\
# gy.port = 0
[ gy ] # here

"port" = 1
list = [
  "x",
]
[[gy.peers]]
host="a"
[[gy.peers]]
host = "b"
"""
    assert find_lines(text) == {
        "gy": 2,
        "gy.port": 4,
        "gy.list": 5,
        "gy.peers": 8,
        "gy.peers[0]": 8,
        "gy.peers[0].host": 9,
        "gy.peers[1]": 10,
        "gy.peers[1].host": 11,
    }


PATHS = [f"{name}.{made.name}" for name, kind in SECTIONS.items() for made in fields(kind)]
VALUES = st.integers(-1, 100_000) | st.booleans() | st.text(max_size=9) | st.floats() | st.lists(st.text(max_size=9))


@given(st.sampled_from(PATHS), VALUES)
def test_any_value_is_taken_as_it_is_or_refused(
    tmp_path_factory: pytest.TempPathFactory, path: str, value: Any
) -> None:
    section, _, key = path.partition(".")
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_text(tomlkit.dumps({section: {key: value}}), "utf-8")
    try:
        taken = getattr(getattr(load(file, {}), section), key)
    except ConfigError as error:
        assert str(error).startswith(path)
    else:
        assert taken == (tuple(value) if isinstance(value, list) else value)
        assert type(taken) is (tuple if isinstance(value, list) else type(value))


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_garbage_is_a_config_error_or_a_configuration(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "garbage.toml"
    file.write_bytes(octets)
    try:
        load(file, {})
    except ConfigError:
        pass
