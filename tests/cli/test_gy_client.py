"""The Gy client against a server that does what each test says."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from gy_peers import SERVER, Link, Scripted
from mubss.gy.ccr import INITIAL
from mubss.gy.client import ClientError, GyClient
from mubss.gy.codec import CcaAnswer, Ccr, Identity, MsccAnswer, Units, decode_ccr, encode_cca
from mubss.gy.message import encode_request

CLIENT = Identity("pgw.test", "client.test")


def connect(server: Scripted, timeout_s: float = 5) -> GyClient:
    return GyClient("127.0.0.1", server.port, CLIENT, timeout_s=timeout_s)


def initial(number: int = 0) -> Ccr:
    return Ccr(session_id="s;1;1", auth_application_id=4, cc_request_type=INITIAL, cc_request_number=number)


def test_it_asks_and_says_goodbye(scripted: Scripted) -> None:
    cers = []

    def script(link: Link) -> None:
        cers.append(link.welcome())
        link.answer_ccr(CcaAnswer(2001, [MsccAnswer(granted=Units(5))]))
        link.goodbye()

    scripted.play(script)
    with connect(scripted) as client:
        exchange = client.ask(initial())
        assert client.cea.find("Origin-Host") == "ocs.test"
    scripted.check()
    assert exchange.cca.answer.msccs[0].granted == Units(5)
    assert decode_ccr(exchange.request).origin_host == "pgw.test"
    [cer] = cers
    assert (cer.find("Origin-Host"), cer.find("Origin-Realm")) == ("pgw.test", "client.test")
    assert (cer.find("Auth-Application-Id"), cer.find("Host-IP-Address")) == (4, "127.0.0.1")


def test_many_requests_may_be_under_way(scripted: Scripted) -> None:
    def script(link: Link) -> None:
        link.welcome()
        ccrs = [decode_ccr(link.frame()) for _ in range(3)]
        link.send(b"".join(encode_cca(ccr, CcaAnswer(2001), SERVER) for ccr in reversed(ccrs)))
        link.goodbye()

    scripted.play(script)
    with connect(scripted) as client:
        requests = [initial(number) for number in range(3)]
        for request in requests:
            client.send(request)
        assert [client.receive().cc_request_number for _ in requests] == [2, 1, 0]
        assert len({request.end_to_end for request in requests}) == 3
    scripted.check()


def test_session_ids_differ(scripted: Scripted) -> None:
    def script(link: Link) -> None:
        link.welcome()
        link.goodbye()

    scripted.play(script)
    with connect(scripted) as client:
        names = [client.new_session_id() for _ in range(100)]
    assert len(set(names)) == 100
    assert all(name.startswith("pgw.test;") and name.count(";") == 2 for name in names)


def test_it_answers_what_the_server_asks_meanwhile(scripted: Scripted) -> None:
    answers = {}

    def script(link: Link) -> None:
        link.welcome()
        frame = link.frame()
        session = ("Session-Id", "s;1;1")
        answers["DWA"] = link.request("DWR")
        answers["RAA"] = link.request("RAR", session, ("Auth-Application-Id", 4), ("Re-Auth-Request-Type", 0))
        answers["ASA"] = link.request("ASR", session, ("Auth-Application-Id", 4))
        answers["ACA"] = link.request("ACR", session)
        link.send(encode_cca(decode_ccr(frame), CcaAnswer(2001), SERVER))
        link.goodbye()

    scripted.play(script)
    with connect(scripted) as client:
        assert client.ask(initial()).cca.answer.result_code == 2001
    scripted.check()
    assert {name: answer.name for name, answer in answers.items()} == {name: name for name in answers}
    codes = {name: answer.find("Result-Code") for name, answer in answers.items()}
    assert codes == {"DWA": 2001, "RAA": 2001, "ASA": 2001, "ACA": 3001}
    assert answers["RAA"].find("Session-Id") == "s;1;1"


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(scripted: Scripted) -> None:
    def script(link: Link) -> None:
        link.welcome()
        late = decode_ccr(link.frame())
        ccr = decode_ccr(link.frame())
        link.send(encode_cca(late, CcaAnswer(4012), SERVER) + encode_cca(ccr, CcaAnswer(2001), SERVER))
        link.goodbye()

    scripted.play(script)
    with connect(scripted) as client:
        client.send(initial(0))
        assert client.ask(initial(1)).cca.answer.result_code == 2001
    scripted.check()


def test_bytes_may_come_one_by_one(scripted: Scripted) -> None:
    def script(link: Link) -> None:
        link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cer = link.message()
        for octet in cer.answer(2001, SERVER):
            link.send(bytes([octet]))
        link.goodbye()

    scripted.play(script)
    connect(scripted).close()
    scripted.check()


def before_cea(data: bytes) -> Callable[[Link], None]:
    """Takes the CER, then sends that instead of a CEA."""

    def script(link: Link) -> None:
        link.message()
        link.send(data)

    return script


def instead_of_cca(data: bytes = b"", spoil: int = 0) -> Callable[[Link], None]:
    """Takes a CCR, then sends that, or an answer with the octet at `spoil` made 7."""

    def script(link: Link) -> None:
        link.welcome()
        frame = bytearray(encode_cca(decode_ccr(link.frame()), CcaAnswer(2001), SERVER))
        frame[spoil] = 7
        link.send(bytes(frame) if spoil else data)

    return script


def dpr(cause: int) -> bytes:
    return encode_request("DPR", 1, 1, [SERVER.encoded, ("Disconnect-Cause", cause)])


@pytest.mark.parametrize(
    ("script", "text"),
    [
        (lambda link: link.welcome(3010, "who are you?"), "3010 DIAMETER_UNKNOWN_PEER (who are you?)"),
        (lambda link: link.welcome(5010), "refused the connection of pgw.test: 5010 DIAMETER_NO_COMMON_APPLICATION"),
        (before_cea(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "what it sends is no DIAMETER"),
        (before_cea(b""), "closed the connection without an answer to the CER"),
        (before_cea(dpr(1)), "ended the connection (DPR, BUSY)"),
        (instead_of_cca(), "closed the connection without an answer to the CCR"),
        (instead_of_cca(dpr(0)), "ended the connection (DPR, REBOOTING)"),
        (instead_of_cca(spoil=20 + 7), "its CCA can't be read: 5014"),
        (instead_of_cca(bytes(20)), "what it sends is no DIAMETER"),
        (instead_of_cca(b"\x01\xff\xff\xfc" + bytes(16)), "what it sends is no DIAMETER: 5015"),
    ],
)
def test_what_goes_wrong_is_said(scripted: Scripted, script: Callable[[Link], None], text: str) -> None:
    scripted.play(script)
    with pytest.raises(ClientError) as caught, connect(scripted) as client:
        client.ask(initial())
    assert text in str(caught.value)
    assert f"127.0.0.1:{scripted.port}" in str(caught.value)


def test_a_cea_without_a_result_code_is_no_welcome(scripted: Scripted) -> None:
    def script(link: Link) -> None:
        cer = link.message()
        frame = bytearray(cer.answer(2001, SERVER))
        frame[20 + 3] = 11  # Result-Code (268) becomes an AVP that nobody knows
        link.send(bytes(frame))

    scripted.play(script)
    with pytest.raises(ClientError, match="its CEA has no Result-Code"):
        connect(scripted)


def test_silence_ends_in_time(scripted: Scripted) -> None:
    def script(link: Link) -> None:
        link.message()
        with pytest.raises(ConnectionError):
            link.message()  # until the client goes away

    scripted.play(script)
    with pytest.raises(ClientError, match=r"no answer to the CER within 0\.05 s; does it speak DIAMETER"):
        connect(scripted, timeout_s=0.05)
    scripted.check()


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(ClientError, match=f"127.0.0.1:{port}: nothing listens there"):
        GyClient("127.0.0.1", port, CLIENT)
    with pytest.raises(ClientError, match="can't be reached"):
        GyClient("no-such-host.invalid", 3868, CLIENT)


def test_goodbye_never_raises(scripted: Scripted) -> None:
    def script(link: Link) -> None:
        link.welcome()

    scripted.play(script)
    client = connect(scripted)
    scripted.check()  # the server has gone
    client.close()
    client.close()
