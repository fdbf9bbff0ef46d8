"""Rule 12 on a real connection: numbers in any order, repeats that replay, sessions nobody opened; and restarts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gy_wire import Raw, find, split
from gy_world import EVENT, INITIAL, SMS, TERMINATION, UPDATE, GyServer, Person, World, data, octets
from mubss.gy.codec import CcaAnswer, Ccr, Mscc, MsccAnswer, Units, decode_cca, encode_ccr
from mubss.gy.message import decode_header

MEGABYTE_MICROS = 20_000  # per started 1,000,000 octets


@pytest.fixture(scope="module")
def other(server: GyServer) -> Iterator[Raw]:
    """Another peer than `pgw`."""
    with Raw(server.port).open("other.example") as peer:
        yield peer


def frame_of(ccr: Ccr, *, end_to_end: int = 0x5000, again: bool = False, hop_by_hop: int = 1) -> bytes:
    """A request as it goes out; `again` sets the T flag."""
    ccr.origin_host, ccr.origin_realm = "pgw.example", "example"
    ccr.hop_by_hop, ccr.end_to_end = hop_by_hop, end_to_end
    ccr.flags = 0xD0 if again else 0xC0
    return encode_ccr(ccr)


def with_t(frame: bytes) -> bytes:
    """The same request, sent again over another link."""
    return frame[:4] + bytes((frame[4] | 0x10,)) + frame[5:]


def update(number: int, session_id: str, person: Person, used: int) -> Ccr:
    asked = Mscc(1, requested=Units(total_octets=1_000_000), used=octets(used))
    return data(UPDATE, number, session_id, person, asked)


def a_session(session_id: str, person: Person) -> list[bytes]:
    """I, U, U, T: 2,500,000 octets, 60,000 micros."""
    return [
        frame_of(data(INITIAL, 0, session_id, person, Mscc(1, requested=Units(1_000_000))), end_to_end=0x5000),
        frame_of(update(1, session_id, person, 1_000_000), end_to_end=0x5001),
        frame_of(update(2, session_id, person, 1_000_000), end_to_end=0x5002),
        frame_of(data(TERMINATION, 3, session_id, person, Mscc(1, used=octets(500_000))), end_to_end=0x5003),
    ]


# ── numbers ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 8506 §8.2", "CC-Request-Number begins anywhere")
@pytest.mark.conforms("Client xk6", "CC-Request-Number begins at 1000")
@pytest.mark.parametrize(
    "numbers",
    [[0, 1, 2, 3], [1, 2, 3, 4], [1000, 1001, 1002, 1003], [0xFFFFFFFC + one for one in range(4)], [5, 9, 100, 7_000]],
    ids=str,
)
def test_rule_12_numbers_begin_anywhere_and_may_leave_gaps(world: World, pgw: Raw, numbers: list[int]) -> None:
    person, session_id = world.person(), world.session_id()
    first, second, third, last = numbers
    requests = [
        data(INITIAL, first, session_id, person, Mscc(1)),
        update(second, session_id, person, 600_000),
        update(third, session_id, person, 600_000),
        data(TERMINATION, last, session_id, person, Mscc(1, used=octets(600_000))),
    ]
    assert [pgw.charge(one).answer.result_code for one in requests] == [2001] * 4
    assert world.spent(person) == 2 * MEGABYTE_MICROS


@pytest.mark.parametrize("order", [[3, 1, 2], [2, 3, 1], [1, 3, 2], [7, 5, 6], [100, 1, 50]], ids=str)
def test_rule_12_updates_come_in_any_order(world: World, pgw: Raw, order: list[int]) -> None:
    person, session_id = world.person(), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
    for number in order:
        answer = pgw.charge(update(number, session_id, person, number * 1_000)).answer
        assert answer.result_code == 2001
        assert answer.msccs[0].granted == Units(1_000_000)
    pgw.charge(data(TERMINATION, 200, session_id, person, Mscc(1, used=octets(1_000_000))))
    assert world.spent(person) == 2 * MEGABYTE_MICROS
    [record] = world.usage(person)
    assert record["units"] == 1_000_000 + 1_000 * sum(order)


@pytest.mark.conforms("Client open5gs", "parallel CCR-Us of one session")
def test_rule_12_parallel_updates_are_all_done(world: World, pgw: Raw) -> None:
    person, session_id = world.person(100), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
    numbers = [30, *range(1, 30)]
    requests = [frame_of(update(one, session_id, person, 1_000_000), end_to_end=one, hop_by_hop=one) for one in numbers]
    pgw.send(b"".join(requests))
    answers = [pgw.receive() for _ in numbers]
    assert sorted(decode_header(one).hop_by_hop for one in answers) == sorted(numbers)
    for one in answers:
        assert find(one, "CC-Request-Number") == decode_header(one).hop_by_hop
        assert decode_cca(one).answer.msccs == [MsccAnswer(1, [], 2001, Units(1_000_000), validity_time_s=3600)]
    pgw.charge(data(TERMINATION, 31, session_id, person))
    assert world.spent(person, 100) == 30 * MEGABYTE_MICROS


def test_rule_12_a_whole_session_in_one_segment(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    pgw.send(b"".join(a_session(session_id, person)))
    assert [find(pgw.receive(), "Result-Code") for _ in range(4)] == [2001] * 4
    assert world.spent(person) == 3 * MEGABYTE_MICROS
    assert world.account(person)["sessions"] == {}


# ── repeats ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 8506 §5.7", "a repeat gets its answer again, on another connection too")
def test_rule_12_a_repeat_replays_the_answer_and_moves_nothing(world: World, pgw: Raw, other: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    answers = {}
    for frame in a_session(session_id, person):
        answers[frame] = pgw.ask(frame)
        before = world.account(person)
        assert pgw.ask(frame) == answers[frame], "by its number"
        assert pgw.ask(with_t(frame)) == answers[frame], "by its number, under the T flag"
        assert other.ask(with_t(frame)) == answers[frame], "over another link"
        assert world.account(person) == before
    for frame, answer in answers.items():
        assert pgw.ask(frame) == answer, "after the session's end"
        assert other.ask(with_t(frame)) == answer
    assert world.spent(person) == 3 * MEGABYTE_MICROS
    assert (len(world.postings(person)), len(world.usage(person))) == (3, 1)


def test_rule_12_a_repeat_in_the_same_segment_is_one(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    for frame in a_session(session_id, person):
        pgw.send(frame + with_t(frame) + frame)
        one, two, three = (pgw.receive() for _ in range(3))
        assert one == two == three
        assert find(one, "Result-Code") == 2001
    assert world.spent(person) == 3 * MEGABYTE_MICROS


@pytest.mark.conforms("RFC 8506 §6.5", "an event that comes again is debited once")
def test_rule_12_an_event_is_debited_once(world: World, pgw: Raw, other: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    frame = frame_of(data(EVENT, 0, session_id, person, Mscc(None, [1]), service_context_id=SMS))
    answer = pgw.ask(frame)
    assert find(answer, "Result-Code") == 2001
    assert [pgw.ask(frame), pgw.ask(with_t(frame)), other.ask(with_t(frame))] == [answer] * 3
    assert world.spent(person) == 80_000


def test_rule_12_an_event_that_failed_may_be_tried_again(world: World, pgw: Raw) -> None:
    person, session_id = world.person(0), world.session_id()
    frame = frame_of(data(EVENT, 0, session_id, person, Mscc(None, [1]), service_context_id=SMS))
    assert decode_cca(pgw.ask(frame)).answer.msccs[0].result_code == 4012
    world.top_up(person, 80_000)
    assert decode_cca(pgw.ask(frame)).answer.msccs[0].result_code == 2001
    assert decode_cca(pgw.ask(frame)).answer.msccs[0].result_code == 2001
    assert world.balance(person) == 0


@pytest.mark.conforms("RFC 6733 §3", "under the T flag End-to-End Identifier and Origin-Host tell a repeat")
def test_rule_12_the_end_to_end_identifier_counts_under_the_t_flag_alone(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    first, second, *_ = a_session(session_id, person)
    pgw.ask(first)
    answer = pgw.ask(second)
    renumbered = frame_of(update(9, session_id, person, 1_000_000), end_to_end=0x5001)
    replayed = pgw.ask(with_t(renumbered))
    assert decode_cca(replayed).answer == decode_cca(answer).answer
    assert world.spent(person) == MEGABYTE_MICROS, "it was done under another number"
    assert find(pgw.ask(renumbered), "Result-Code") == 2001
    assert world.spent(person) == 2 * MEGABYTE_MICROS, "a new request, that happens to have the same identifier"


def test_rule_12_a_repeat_says_the_same_whatever_it_reports(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
    first = pgw.charge(update(1, session_id, person, 5)).answer
    assert pgw.charge(update(1, session_id, person, 900_000_000)).answer == first
    assert world.spent(person) == MEGABYTE_MICROS


def test_rule_12_a_repeat_from_long_ago_moves_nothing(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
    for number in range(1, 20):
        assert pgw.charge(update(number, session_id, person, 10)).answer.result_code == 2001
    again = pgw.charge(update(1, session_id, person, 10)).answer
    assert (again.result_code, again.msccs[0].result_code) == (2001, 2001)
    assert pgw.charge(update(19, session_id, person, 10)).answer.result_code == 2001
    pgw.charge(data(TERMINATION, 20, session_id, person, Mscc(1)))
    [record] = world.usage(person)
    assert record["units"] == 190


# ── sessions that nobody opened ────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 6733 §7.1.5", "5002 for an unknown session")
@pytest.mark.parametrize("kind", [UPDATE, TERMINATION])
def test_rule_12_a_session_never_seen_is_5002_and_its_units_arent_lost(world: World, pgw: Raw, kind: int) -> None:
    person, session_id = world.person(), world.session_id()
    msccs = [Mscc(1, [7], used=octets(4_711)), Mscc(2, used=[]), Mscc(500, used=octets(12))]
    frame = frame_of(data(kind, 5, session_id, person, *msccs))
    for _ in range(2):
        answer = pgw.ask(frame)
        assert decode_cca(answer).answer == CcaAnswer(5002)
    kept = world.suspense(session_id)
    assert sorted(one["units"] for one in kept) == [12, 4_711], "a repeat falls on the same ones"
    [one] = [one for one in kept if one["units"] == 4_711]
    assert one | {"_id": "", "at_s": 0, "at_ms": 0, "session": ""} == {
        "_id": "",
        "version": 2,
        "kind": "gy",
        "state": "open",
        "reason": "UNKNOWN_SESSION_ID",
        "taken": False,
        "at_s": 0,
        "at_ms": 0,
        "session": "",
        "session_id": session_id,
        "peer": "pgw.example",
        "type": kind,
        "number": 5,
        "identities": [f"e164:{person.msisdn}"],
        "service": "DATA",
        "rating_group": 1,
        "service_identifiers": [7],
        "units": 4_711,
    }
    assert world.spent(person) == 0


def test_rule_12_a_session_never_seen_without_units_keeps_nothing(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    assert pgw.charge(data(TERMINATION, 5, session_id, person)).answer == CcaAnswer(5002)
    assert world.suspense(session_id) == []


def test_rule_12_a_session_may_be_opened_after_it_was_unknown(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    assert pgw.charge(update(3, session_id, person, 5)).answer == CcaAnswer(5002)
    assert pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1))).answer.result_code == 2001
    last = data(TERMINATION, 4, session_id, person, Mscc(1, used=octets(6)))
    assert pgw.charge(last).answer.result_code == 2001
    assert world.spent(person) == MEGABYTE_MICROS
    assert [one["units"] for one in world.suspense(session_id)] == [5]


def test_rule_12_usage_of_a_session_that_ended_is_kept(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    for frame in a_session(session_id, person):
        pgw.ask(frame)
    assert pgw.charge(update(9, session_id, person, 77)).answer == CcaAnswer(5002)
    assert [one["units"] for one in world.suspense(session_id)] == [77]
    assert world.spent(person) == 3 * MEGABYTE_MICROS


# ── restarts ───────────────────────────────────────────────────────────────────────────────────────


def without_state(answer: bytes) -> list[object]:
    """An answer but for the Origin-State-Id, which says that the server is another one."""
    return [decode_header(answer), [avp for avp in split(answer, 20) if avp.name != "Origin-State-Id"]]


@pytest.mark.parametrize("ending", ["SIGTERM", "kill -9"])
def test_rule_12_a_restart_forgets_nothing(world: World, ending: str) -> None:
    person, session_id, sms = world.person(), world.session_id(), world.session_id()
    frames = a_session(session_id, person)
    frames.insert(2, frame_of(data(EVENT, 0, sms, person, Mscc(None, [1]), service_context_id=SMS)))
    answers = []
    with GyServer(world) as first, Raw(first.port).open() as peer:
        answers += [peer.ask(frame) for frame in frames[:3]]
        if ending == "SIGTERM":
            first.process.terminate()
            assert find(peer.receive(), "Disconnect-Cause") == 0
        else:
            first.kill()
    with GyServer(world, port=first.port) as second, Raw(second.port).open() as peer:
        for frame, answer in zip(frames, answers, strict=False):
            assert without_state(peer.ask(with_t(frame))) == without_state(answer)
        answers += [peer.ask(frame) for frame in frames[3:]]
        second.kill()
    with GyServer(world, port=first.port) as third, Raw(third.port).open() as peer:
        for frame, answer in zip(frames, answers, strict=True):
            assert without_state(peer.ask(with_t(frame))) == without_state(answer)
    assert world.spent(person) == 3 * MEGABYTE_MICROS + 80_000
    assert world.account(person)["reserved_micros"] == 0


def test_rule_12_what_a_crash_left_unanswered_is_charged_once(world: World) -> None:
    people = [world.person() for _ in range(40)]
    sessions = [a_session(world.session_id(), person) for person in people]
    answered: list[bytes] = []
    with GyServer(world) as first, Raw(first.port).open() as peer:
        for frames in sessions:
            assert find(peer.ask(frames[0]), "Result-Code") == 2001
        peer.send(b"".join(frame for frames in sessions for frame in frames[1:]))
        answered += [peer.receive() for _ in range(20)]
        first.kill()
    with GyServer(world) as second, Raw(second.port).open() as peer:
        for frames in sessions:
            for frame in frames[1:]:
                assert find(peer.ask(with_t(frame)), "Result-Code") == 2001
    assert [world.spent(person) for person in people] == [3 * MEGABYTE_MICROS] * 40
    assert all(find(one, "Result-Code") == 2001 for one in answered)
