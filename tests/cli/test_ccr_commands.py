"""`mubss ccr` against a real mubss-gy, and against servers that refuse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli_tools import Done, Shell
from gy_peers import Link, Scripted
from mubss.cli.ccr_print import money_text, units_text
from mubss.cli.demo_folder import LOG, write_config
from mubss.cli.demo_server import DemoServer
from mubss.cli.init import set_up
from mubss.config import load
from mubss.gy.ccr import Money, Units
from mubss.gy.codec import CcaAnswer, FinalUnit, MsccAnswer
from mubss.runtime import ExitCode


@pytest.fixture(scope="module")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a server that runs on the demo's data."""
    folder = tmp_path_factory.mktemp("served")
    config_file = folder / "mubss.toml"
    write_config(config_file, 0)
    set_up(load(config_file, {}), with_demo=True)
    with DemoServer(config_file, folder / LOG) as server:
        write_config(config_file, server.port)
        yield config_file


@dataclass(frozen=True)
class Client:
    """`mubss --config …` for that server."""

    shell: Shell
    config: Path

    def __call__(self, *arguments: object) -> Done:
        return self.shell("--config", self.config, *arguments)

    def balance(self, msisdn: str) -> int:
        """In micros; nothing may be reserved."""
        found = self("balance", msisdn, "--json").json
        assert found["reserved_micros"] == 0
        return int(found["balance_micros"])


@pytest.fixture
def client(shell: Shell, _served: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.delenv("MUBSS_GENERAL__DATA_DIR")
    monkeypatch.delenv("MUBSS_GY__PORT")
    return Client(shell, _served)


def test_a_session_on_lines(client: Client) -> None:
    before = client.balance("999700000001")
    use = ("--use", 1_500_000, "--use", 3_000_000, "--last", 600_000)
    done = client("ccr", "session", "--msisdn", "999700000001", "--requested", 5_000_000, *use)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert len(lines) == 9
    assert "ocs.mubss.example; session ccr-" in lines[0]
    assert lines[1] == "→ CCR-I #0  asks for 5,000,000 octets"
    assert lines[2].startswith("← CCA-I #0  2001 DIAMETER_SUCCESS  grants 5,000,000 octets, valid 3600 s  ")
    assert lines[3] == "→ CCR-U #1  used 1,500,000 octets, asks for 5,000,000 octets"
    assert lines[7] == "→ CCR-T #3  used 600,000 octets"
    assert lines[8].startswith("← CCA-T #3  2001 DIAMETER_SUCCESS  ")
    assert before - client.balance("999700000001") == 6 * 20_000
    assert client("ledger", "check").code == 0


def test_a_session_as_json(client: Client) -> None:
    asked = ("--msisdn", "999700000002", "--rating-group", 7, "--use", 100, "--json")
    done = client("ccr", "session", *asked).json
    assert done["success"]
    kinds = [(one["request"]["cc_request_type"], one["answer"]["cc_request_number"]) for one in done["exchanges"]]
    assert kinds == [(1, 0), (2, 1), (3, 2)]
    [mscc] = done["exchanges"][1]["answer"]["msccs"]
    assert (mscc["rating_group"], mscc["result_code"], mscc["result_name"]) == (7, 2001, "DIAMETER_SUCCESS")
    assert mscc["granted"] == {"total_octets": 10_000_000}
    [reported] = done["exchanges"][1]["request"]["msccs"]
    assert reported["used"] == [{"total_octets": 100}]
    assert "request_avps" not in done["exchanges"][0]
    verbose = client("ccr", "session", *asked, "--verbose").json
    names = [avp["name"] for avp in verbose["exchanges"][0]["answer_avps"]]
    assert names[:2] == ["Session-Id", "Result-Code"]


def test_step_by_step_with_a_session_id(client: Client) -> None:
    """Each step is a connection of its own; a repeat moves nothing."""
    before = client.balance("999700000003")
    voice = ("--msisdn", "999700000003", "--service", "voice", "--called", "4930123456")
    opened = client("ccr", "initial", *voice, "--requested", 60, "--json").json
    session = ("--session-id", opened["session_id"])
    update = ("ccr", "update", *voice, *session, "--number", 1, "--used", 20, "--used", 35, "--requested", 60)
    first = client(*update)
    assert "→ CCR-U #1  used 20 s, used 35 s, asks for 60 s" in first.out
    again = client(*update, "--retransmitted")
    assert "sent again (T)" in again.out
    assert (first.code, again.code) == (0, 0)
    final = client("ccr", "update", *voice, *session, "--number", 2, "--used", 10, "--final")
    assert "→ CCR-U #2  used 10 s\n" in final.out
    assert "grants" not in final.out
    done = client("ccr", "terminate", *voice, *session, "--number", 3)
    assert done.code == 0
    assert before - client.balance("999700000003") == 2 * 90_000
    [record] = client("usage", "999700000003", "--json").json
    assert (record["units"], record["called"]) == (65, "4930123456")


def test_help_says_whose_session_id(client: Client) -> None:
    for command in ("session", "initial", "event"):
        assert "Session-Id; a new one by default." in client("ccr", command, "--help").out
    for command in ("update", "terminate"):
        text = " ".join(client("ccr", command, "--help").out.split())
        assert "That of the open session, as its initial request printed it." in text
        assert "a new one by default" not in text


def test_a_request_longer_than_the_server_takes(client: Client) -> None:
    done = client("ccr", "initial", "--msisdn", "999700000001", "--apn", "a" * 70_000)
    assert (done.code, done.err) == (1, "")
    said = done.out.splitlines()[-1]
    assert said.startswith('← CCA       5015 DIAMETER_INVALID_MESSAGE_LENGTH  "message length 70')
    who = client("ccr", "initial", "--origin-host", "a" * 70_000)
    assert len(who.err) < 500 and "5015 DIAMETER_INVALID_MESSAGE_LENGTH" in who.err


def test_one_is_singular(client: Client) -> None:
    done = client("ccr", "session", "--msisdn", "999700000006", "--use", 1)
    assert "→ CCR-U #1  used 1 octet, asks for quota" in done.out
    number = client("ccr", "initial", "--msisdn", "999700000006", "--number", 4_294_967_295)
    assert "← CCA-I #4294967295  2001 DIAMETER_SUCCESS" in number.out


def test_events(client: Client) -> None:
    sms = ("--msisdn", "999700000004", "--service", "sms", "--called", "999700000005")
    before = client.balance("999700000004")
    price = client("ccr", "event", *sms, "--action", "price", "--requested", 3)
    assert "→ CCR-E #0  price enquiry, asks for 3 events" in price.out
    assert "costs 0.24 (currency 978)" in price.out
    assert "ENOUGH_CREDIT" in client("ccr", "event", *sms, "--action", "balance").out
    assert "NO_CREDIT" in client("ccr", "event", *sms, "--action", "balance", "--requested", 500).out
    assert client.balance("999700000004") == before
    assert "grants 1 event" in client("ccr", "event", *sms).out
    assert before - client.balance("999700000004") == 80_000
    assert "a refund" in client("ccr", "event", *sms, "--action", "refund").out
    assert client.balance("999700000004") == before
    refused = client("ccr", "event", *sms, "--requested", 500)
    assert (refused.code, "4012 DIAMETER_CREDIT_LIMIT_REACHED" in refused.out) == (ExitCode.FAILURE, True)


def test_what_the_server_refuses_is_shown_and_fails(client: Client) -> None:
    stranger = client("ccr", "session", "--msisdn", "4917000000")
    assert stranger.code == ExitCode.FAILURE
    assert "5030 DIAMETER_USER_UNKNOWN" in stranger.out
    assert "CCR-T" not in stranger.out  # no session was opened
    unsold = client("ccr", "session", "--msisdn", "999700000006", "--rating-group", 200)
    assert unsold.code == ExitCode.FAILURE
    assert "2001 DIAMETER_SUCCESS  MSCC 5031 DIAMETER_RATING_FAILED  rating group 200" in unsold.out
    unknown = client("ccr", "update", "--msisdn", "999700000006", "--session-id", "never;seen;1", "--number", 5)
    assert unknown.code == ExitCode.FAILURE
    assert "5002 DIAMETER_UNKNOWN_SESSION_ID" in unknown.out


def test_units_at_command_level(client: Client) -> None:
    options = ("--msisdn", "999700000007", "--service", "voice", "--command-level", "--use", 30)
    done = client("ccr", "session", *options, "--verbose")
    assert done.code == 0
    assert "grants 60 s" in done.out
    assert "Multiple-Services-Credit-Control" not in done.out
    assert "  Granted-Service-Unit" in done.out


def test_the_tree(client: Client) -> None:
    out = client("ccr", "event", "--msisdn", "999700000008", "--imsi", "999700000000008", "--service", "sms", "-v").out
    for line in (
        "    CCR, flags RP, application 4, hop-by-hop 0x",
        "    CC-Request-Type                          4 EVENT_REQUEST",
        "    Requested-Action                         0 DIRECT_DEBITING",
        "      Subscription-Id-Data                   999700000000008",
        "        CC-Service-Specific-Units            1",
        "    CCA, flags P, application 4, hop-by-hop 0x",
        "    Result-Code                              2001 DIAMETER_SUCCESS",
    ):
        assert line in out


def test_status_sees_the_server(client: Client) -> None:
    assert client("status", "--json").json["gy"]["listening"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["session"], 1, "127.0.0.1:1: nothing listens there; is mubss-gy running, and on that port?"),
        (["event", "--host", "no-such-host.invalid"], 1, "no-such-host.invalid:1: can't be reached"),
        (["update", "--number", "1"], 2, "--session-id: expected that of an open session"),
        (["terminate", "--session-id", "x"], 2, "'--number'"),
        (["session", "--service", "fax"], 2, "'fax' is not one of 'data', 'voice', 'sms', 'mms'"),
        (["session", "--port", "70000"], 2, "70000"),
        (["session", "--use", "-5"], 2, "-5"),
    ],
)
def test_mistakes(shell: Shell, arguments: list[str], code: int, text: str) -> None:
    done = shell("ccr", *arguments)
    assert done.code == code
    assert text in done.err
    assert len(done.err.splitlines()) == 1


def test_a_called_party_of_a_data_session_is_refused(client: Client) -> None:
    done = client("ccr", "session", "--msisdn", "999700000009", "--called", "4930")
    assert (done.code, done.out) == (ExitCode.INPUT, "")
    assert "called: '4930'; expected for services counted in seconds or events only" in done.err


def test_a_server_that_refuses_says_why(shell: Shell, scripted: Scripted) -> None:
    def script(link: Link) -> None:
        link.welcome(3010, "stranger")

    scripted.play(script)
    done = shell("ccr", "session", "--port", scripted.port, "--origin-host", "pgw.test", "--realm", "test")
    assert done.code == ExitCode.FAILURE
    where = f"mubss: 127.0.0.1:{scripted.port} refused the connection of pgw.test"
    assert done.err == f"{where}: 3010 DIAMETER_UNKNOWN_PEER (stranger)\n"


def test_everything_an_answer_can_hold_is_on_its_line(shell: Shell, scripted: Scripted) -> None:
    mscc = MsccAnswer(5, [6], 2001, Units(1000, 400, 600), None, 60, FinalUnit())

    def script(link: Link) -> None:
        link.welcome()
        link.answer_ccr(CcaAnswer(2001, [mscc, MsccAnswer(7, [], 4012)], cost_information=(5, -2, 978)))
        link.goodbye()

    scripted.play(script)
    done = shell("ccr", "initial", "--port", scripted.port)
    scripted.check()
    assert done.code == ExitCode.FAILURE  # one MSCC is no success
    for words in (
        "← CCA-I #0  2001 DIAMETER_SUCCESS  MSCC 4012 DIAMETER_CREDIT_LIMIT_REACHED",
        "rating group 5, service 6, grants 1,000 octets + 400 octets in + 600 octets out, valid 60 s, the last units",
        "rating group 7, costs 0.05 (currency 978)",
    ):
        assert words in done.out


def test_a_forged_line_stays_one_line(shell: Shell, scripted: Scripted) -> None:
    def script(link: Link) -> None:
        link.welcome()
        link.answer_ccr(CcaAnswer(5012, error_message="no\n← CCA-I #0  2001 DIAMETER_SUCCESS\x1b[2J"))
        link.goodbye()

    scripted.play(script)
    done = shell("ccr", "initial", "--port", scripted.port, "--verbose")
    scripted.check()
    assert "\x1b" not in done.out
    assert not [line for line in done.out.splitlines() if line.startswith("← CCA-I #0  2001")]


@pytest.mark.parametrize(
    ("money", "text"),
    [
        ((5, -2, 978), "0.05 (currency 978)"),
        ((1234, -2, None), "12.34"),
        ((-5, -1, None), "-0.5"),
        ((7, 2, None), "700"),
        ((0, 0, None), "0"),
        ((1, 1_000_000_000, None), "1e1000000000"),
        ((1, -1_000_000_000, None), "1e-1000000000"),
    ],
)
def test_money_of_the_wire(money: Money, text: str) -> None:
    assert money_text(money) == text


def test_units_of_the_wire() -> None:
    assert units_text(Units()) == ""
    assert units_text(Units(service_specific_units=1)) == "1 event"
    assert units_text(Units(time_s=90, money=(1, 0, None))) == "90 s + 1"
