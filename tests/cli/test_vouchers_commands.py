"""`mubss vouchers` as a clerk and a printer use it."""

from __future__ import annotations

import csv
import io
import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cli_tools import Done, Shell

MSISDN = "999700000001"
FAR = "2030-12-31"


def pins_of(text: str) -> list[str]:
    return [row["pin"] for row in csv.DictReader(io.StringIO(text))]


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> type[Feed]:
    Feed.monkeypatch = monkeypatch
    return Feed


class Feed:
    """Runs a command with a text as its standard input."""

    monkeypatch: pytest.MonkeyPatch

    @classmethod
    def to(cls, shell: Shell, text: str, *arguments: object) -> Done:
        cls.monkeypatch.setattr("sys.stdin", io.StringIO(text))
        return shell(*arguments)


def make(shell: Shell, *more: object) -> list[str]:
    done = shell.ok(
        "vouchers", "make", "--count", 3, "--expires", FAR, "--file", "out.csv", *(more or ("--value", "10"))
    )
    assert "the PINs are in out.csv alone, not encrypted" in done.out
    return pins_of((shell.folder / "out.csv").read_text())


def test_from_the_batch_to_the_balance(demo_shell: Shell, feed: type[Feed]) -> None:
    shell = demo_shell
    pins = make(shell, "--value", "10.50", "--currency", "EUR", "--remark", "spring")
    assert stat.S_IMODE((shell.folder / "out.csv").stat().st_mode) == 0o600
    done = feed.to(shell, pins[0] + "\n", "vouchers", "redeem", MSISDN)
    assert (done.code, done.out) == (0, f"voucher 000001-0000001: 10.50 EUR for {MSISDN}; balance 20.50 EUR\n")
    again = feed.to(shell, pins[0] + "\n", "vouchers", "redeem", MSISDN)
    unknown = feed.to(shell, "1" * 14, "vouchers", "redeem", MSISDN)
    assert again == unknown == Done(65, "", unknown.err) and pins[0] not in again.err
    assert unknown.err == "mubss: voucher: it can't be redeemed; expected the PIN of one that is valid and unused\n"
    found = feed.to(shell, pins[1], "vouchers", "redeem", MSISDN, "--json").json
    assert (found["serial"], found["value_micros"], found["balance_micros"]) == ("000001-0000002", 10500000, 31000000)
    assert not set(pins) & {str(value) for value in found.values()}
    [batch] = shell.json("vouchers", "list")
    assert (batch["number"], batch["count"], batch["used"], batch["remark"]) == (1, 3, 2, "spring")
    assert "10.50 EUR" in shell.ok("vouchers", "list").out
    looked = shell.ok("vouchers", "lookup", "000001-0000001").out
    assert MSISDN in looked and "used" in looked and pins[0] not in looked
    assert shell.json("vouchers", "lookup", "0000010000003")["state"] == "unused"
    assert shell.ok("vouchers", "block", 1, "--reason", "stolen").out == "batch 1 is blocked now\n"
    assert "stolen" in shell.ok("vouchers", "lookup", "000001-0000003").out
    assert feed.to(shell, pins[2], "vouchers", "redeem", MSISDN).err == unknown.err
    assert shell.ok("vouchers", "unblock", 1).out == "batch 1 is active now\n"
    serial = ("--serial", "000001-0000003")
    assert shell.ok("vouchers", "block", *serial, "--reason", "lost").out == "voucher 000001-0000003 is blocked now\n"
    assert feed.to(shell, pins[2], "vouchers", "redeem", MSISDN).err == unknown.err
    shown = shell.ok("vouchers", "lookup", "000001-0000003").out
    assert "blocked" in shown and "lost" in shown and "stolen" not in shown
    freed = shell.json("vouchers", "unblock", *serial)
    assert (freed["state"], freed["batch"]["state"], "_id" in freed) == ("unused", "active", False)
    assert feed.to(shell, pins[2], "vouchers", "redeem", MSISDN).code == 0
    assert [line for line in shell.ok("ledger", "check").out.splitlines() if "wrong" in line] == []


def test_wrong_pins_are_waited_for(demo_shell: Shell, feed: type[Feed]) -> None:
    make(demo_shell, "--value", "10", "--currency", "EUR")
    for _ in range(5):
        feed.to(demo_shell, "1" * 14, "vouchers", "redeem", MSISDN)
    done = feed.to(demo_shell, "1" * 14, "vouchers", "redeem", MSISDN)
    assert done.code == 65 and "too many wrong PINs; try again in" in done.err


def test_a_sealed_file_and_back(demo_shell: Shell, tmp_path: Path, feed: type[Feed]) -> None:
    shell, key = demo_shell, rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "printer.pem").write_bytes(public)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (tmp_path / "printer.key").write_bytes(private)
    worth = ("--value", "5", "--currency", "EUR", "--expires", FAR, "--length", 20)
    made = shell.json(
        "vouchers", "make", "--count", 2, *worth, "--file", "out.sealed", "--recipient", tmp_path / "printer.pem"
    )
    assert made["encrypted"] is True and b"serial" not in (tmp_path / "out.sealed").read_bytes()
    shell.ok("vouchers", "decrypt", "out.sealed", "--key", "printer.key", "--out", "plain.csv")
    assert stat.S_IMODE((tmp_path / "plain.csv").stat().st_mode) == 0o600
    pins = pins_of((tmp_path / "plain.csv").read_text())
    assert [len(pin) for pin in pins] == [20, 20]
    assert feed.to(shell, pins[0], "vouchers", "redeem", MSISDN).code == 0
    assert shell("vouchers", "decrypt", "out.sealed", "--key", "printer.key", "--out", "plain.csv").code == 65


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("make", "--count", 1, "--value", "10", "--expires", FAR, "--file", "x"), 65, "currency: ''; expected one of"),
        (("make", "--count", 1, "--expires", FAR, "--file", "x"), 65, "value, bundle: expected one of both"),
        (("make", "--count", 1, "--bundle", "NO", "--expires", FAR, "--file", "x"), 65, "bundle: 'NO'"),
        (("make", "--count", 1, "--value", "ten", "--expires", FAR, "--file", "x"), 65, "value: 'ten'"),
        (("make", "--count", 1, "--value", "1", "--expires", "soon", "--file", "x"), 65, "expires: 'soon'"),
        (("make", "--count", 0, "--value", "1", "--expires", FAR, "--file", "x"), 2, "--count"),
        (("make", "--count", 1, "--value", "1", "--expires", FAR, "--file", "x", "--length", 5), 2, "--length"),
        (
            ("make", "--count", 1, "--value", "1", "--expires", FAR, "--file", "x", "--recipient", "no-such-file"),
            65,
            "recipient: no-such-file can't be read",
        ),
        (("lookup", "1"), 65, "serial: '1'"),
        (("lookup", "000009-0000001"), 65, "serial: 000009-0000001; expected that of a voucher"),
        (("block", 7), 65, "batch: 7; expected the number of a batch"),
        (("block",), 2, "BATCH, or --serial: expected one of them."),
        (("unblock", 1, "--serial", "000001-0000001"), 2, "BATCH, or --serial: expected one of them."),
        (("block", "--serial", "7"), 65, "serial: '7'; expected 6 digits, a dash and 7 digits"),
        (("block", "--serial", "000007-0000001"), 65, "serial: 000007-0000001; expected that of a voucher"),
        (("redeem", "111111"), 65, "subscriber: '111111'"),
        (("decrypt", "no-such-file", "--key", "no-key", "--out", "y"), 65, "key: no-key can't be read"),
    ],
)
def test_what_is_refused(demo_shell: Shell, arguments: tuple[object, ...], code: int, told: str) -> None:
    done = demo_shell("vouchers", *arguments)
    assert (done.code, done.out) == (code, "") and told in done.err
    assert not (demo_shell.folder / "x").exists()


def test_without_its_pepper_nothing_works(demo_shell: Shell, feed: type[Feed]) -> None:
    shell, pepper = demo_shell, demo_shell.folder / "var" / "voucher.pepper"
    pins = make(shell, "--value", "10", "--currency", "EUR")
    assert stat.S_IMODE(pepper.stat().st_mode) == 0o600
    os.rename(pepper, shell.folder / "kept")
    done = feed.to(shell, pins[0], "vouchers", "redeem", MSISDN)
    assert done.code == 78 and f"vouchers.pepper_file: {pepper} can't be read" in done.err
    assert shell("init").code == 78, "a new one would make all vouchers worthless, unseen"
    os.rename(shell.folder / "kept", pepper)
    shell.ok("init")
    assert feed.to(shell, pins[0], "vouchers", "redeem", MSISDN).code == 0
