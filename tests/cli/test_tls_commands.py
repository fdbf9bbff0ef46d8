"""`mubss tls`: an authority, the server's certificate, and clients'."""

from __future__ import annotations

import ssl
import stat

import pytest

from cli_tools import Shell
from mubss.runtime import ExitCode


def test_certificates_of_one_authority(shell: Shell) -> None:
    made = shell.json("tls", "init", "--name", "crm.example", "--name", "192.0.2.1")
    folder = shell.folder / "var" / "tls"
    assert made["certificate"] == str(folder / "crm.pem")
    shell.ok("tls", "client", "shop")
    first = (folder / "ca.pem").read_bytes()
    done = shell("tls", "init")
    assert done.code == ExitCode.INPUT and "--again" in done.err
    shell.ok("tls", "init", "--again")
    assert (folder / "ca.pem").read_bytes() == first
    for name in ("crm", "shop"):
        assert stat.S_IMODE((folder / f"{name}.key").stat().st_mode) == 0o600
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    assert stat.S_IMODE((folder / "ca.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["ca", "crm", "a/b", "", "x" * 65])
def test_names_that_no_client_has(shell: Shell, name: str) -> None:
    done = shell("tls", "client", name)
    assert done.code == ExitCode.INPUT and "name: " in done.err


def test_a_certificate_elsewhere_is_the_operators(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUBSS_CRM__TLS_CERTIFICATE", "other.pem")
    done = shell("tls", "init")
    assert done.code == ExitCode.INPUT and "crm.tls_certificate: other.pem" in done.err
