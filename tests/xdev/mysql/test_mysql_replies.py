"""Replies: one answer after another, with notices between them, errors in the place of each, and what has no place."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mysqlx.protobuf.mysqlx_connection_pb2 import Capabilities
from mysqlx.protobuf.mysqlx_datatypes_pb2 import Scalar
from mysqlx.protobuf.mysqlx_notice_pb2 import Frame as Notice
from mysqlx.protobuf.mysqlx_notice_pb2 import SessionStateChanged
from mysqlx.protobuf.mysqlx_notice_pb2 import Warning as WarningNotice
from mysqlx.protobuf.mysqlx_pb2 import Error, ServerMessages
from mysqlx.protobuf.mysqlx_session_pb2 import AuthenticateContinue

from mubss.xdev.errors import StoreError
from mubss.xdev.mysql.errors import ServerError, store_error
from mubss.xdev.mysql.frames import BrokenStream
from mubss.xdev.mysql.messages import Answer
from mubss.xdev.mysql.replies import Replies, Reply

Came = tuple[int, bytes]

OK: Came = (0, b"")
AUTH_OK: Came = (4, b"")
CHALLENGE: Came = (3, AuthenticateContinue(auth_data=b"salt").SerializeToString())
CAPABILITIES: Came = (2, Capabilities().SerializeToString())
FETCH_DONE: Came = (14, b"")
MORE_RESULTS: Came = (16, b"")
MORE_OUT_PARAMS: Came = (18, b"")
DONE: Came = (17, b"")
HELLO: Came = (11, b"")
RESULT: list[Came] = [(12, b"column"), (13, b"row 1"), (13, b"row 2"), FETCH_DONE, DONE]


def error(code: int = 1062, text: str = "no", state: str = "23000", *, is_fatal: bool = False) -> Came:
    severity = Error.FATAL if is_fatal else Error.ERROR
    return 1, Error(severity=severity, code=code, sql_state=state, msg=text).SerializeToString()


def notice(kind: int, payload: Any) -> Came:
    return 11, Notice(type=kind, scope=Notice.LOCAL, payload=payload.SerializeToString()).SerializeToString()


def warning(text: str) -> Came:
    return notice(Notice.WARNING, WarningNotice(code=1365, msg=text))


def changed(param: int, *numbers: int) -> Came:
    values = [Scalar(type=Scalar.V_UINT, v_unsigned_int=number) for number in numbers]
    return notice(Notice.SESSION_STATE_CHANGED, SessionStateChanged(param=param, value=values))


def affected(rows: int) -> Came:
    return changed(SessionStateChanged.ROWS_AFFECTED, rows)


def taken(answers: list[Answer], came: list[Came]) -> list[Reply]:
    replies = Replies(answers)
    replies.take(came)
    assert replies.complete
    return replies.replies


def contents(reply: Reply) -> tuple[Any, ...]:
    found = reply.error
    shown = found and (found.code, found.sql_state, found.text, found.is_fatal)
    return (shown, reply.columns, reply.rows, reply.affected, reply.warnings, reply.challenge, reply.capabilities)


def test_the_types_are_the_protocols() -> None:
    numbers = [came[0] for came in (OK, error(), CAPABILITIES, CHALLENGE, AUTH_OK, HELLO, *RESULT)]
    names = "OK ERROR CONN_CAPABILITIES SESS_AUTHENTICATE_CONTINUE SESS_AUTHENTICATE_OK NOTICE "
    names += "RESULTSET_COLUMN_META_DATA RESULTSET_ROW RESULTSET_ROW RESULTSET_FETCH_DONE SQL_STMT_EXECUTE_OK"
    assert [ServerMessages.Type.Name(number) for number in numbers] == names.split()


# ── in order ───────────────────────────────────────────────────────────────────────────────────────

PIPELINE = [Answer.OK, Answer.RESULT, Answer.RESULT, Answer.CAPABILITIES, Answer.AUTHENTICATION, Answer.AUTHENTICATION]
ANSWERS = [OK, *RESULT, affected(3), DONE, CAPABILITIES, CHALLENGE, AUTH_OK]
NOTHING: tuple[Any, ...] = (None, [], [], 0, [], None, None)
CONTENTS = [
    NOTHING,
    (None, [b"column"], [b"row 1", b"row 2"], 0, [], None, None),
    (None, [], [], 3, [], None, None),
    (None, [], [], 0, [], None, Capabilities()),
    (None, [], [], 0, [], b"salt", None),
    NOTHING,
]


def test_each_request_has_its_reply() -> None:
    assert [contents(reply) for reply in taken(PIPELINE, ANSWERS)] == CONTENTS


@given(st.lists(st.integers(0, len(ANSWERS)), max_size=6))
def test_messages_come_in_any_pieces(cuts: list[int]) -> None:
    replies = Replies(PIPELINE)
    bounds = [0, *sorted(cuts), len(ANSWERS)]
    for start, end in pairwise(bounds):
        replies.take(ANSWERS[start:end])
        assert replies.complete == (end == len(ANSWERS))
    assert [contents(reply) for reply in replies.replies] == CONTENTS


NOTICES = [
    HELLO,
    notice(Notice.SERVER_HELLO, SessionStateChanged(param=SessionStateChanged.CLIENT_ID_ASSIGNED)),
    notice(Notice.GROUP_REPLICATION_STATE_CHANGED, WarningNotice(code=1, msg="not a warning")),
    changed(SessionStateChanged.CLIENT_ID_ASSIGNED, 77),
    changed(SessionStateChanged.ROWS_MATCHED, 78),
    changed(SessionStateChanged.ROWS_AFFECTED),
]


@given(st.lists(st.tuples(st.integers(0, len(ANSWERS)), st.sampled_from(NOTICES)), max_size=8))
def test_notices_that_say_nothing_here_change_nothing(notices: list[tuple[int, Came]]) -> None:
    came = list(ANSWERS)
    for at, one in sorted(notices, key=lambda pair: -pair[0]):
        came.insert(at, one)
    assert [contents(reply) for reply in taken(PIPELINE, came)] == CONTENTS


def test_a_notice_belongs_to_the_answer_under_way() -> None:
    first, second, third = taken(
        [Answer.RESULT] * 3,
        [warning("a"), RESULT[0], warning("b"), affected(2), DONE, affected(2**64 - 1), DONE, warning("c"), error()],
    )
    assert (first.affected, second.affected, third.affected) == (2, 2**64 - 1, 0)
    assert (first.warnings, second.warnings, third.warnings) == (["a", "b"], [], ["c"])
    assert third.error is not None


def test_notices_are_known_again_by_their_octets() -> None:
    """All of them, in any order, also where more come than are remembered."""
    counts = [*range(1, 1500), *range(1, 1500, 7), 2**40, 2**40]
    notices = [
        part for count in counts for part in (affected(count), changed(SessionStateChanged.ROWS_MATCHED, count), DONE)
    ]
    assert [reply.affected for reply in taken([Answer.RESULT] * len(counts), notices)] == counts


def test_a_notice_may_follow_the_last_answer() -> None:
    assert [contents(reply) for reply in taken([Answer.OK], [OK, warning("late"), affected(1)])] == [NOTHING]


def test_results_and_out_parameters_follow_one_another() -> None:
    [reply] = taken([Answer.RESULT], [*RESULT[:-2], MORE_RESULTS, RESULT[0], RESULT[1], MORE_OUT_PARAMS, *RESULT[3:]])
    assert reply.rows == [b"row 1", b"row 2", b"row 1"]


# ── errors ─────────────────────────────────────────────────────────────────────────────────────────

# what was asked, what came before the Error, and what follows it
PLACES = [
    (Answer.OK, []),
    (Answer.RESULT, []),
    (Answer.RESULT, RESULT[:1]),
    (Answer.RESULT, RESULT[:2]),
    (Answer.RESULT, RESULT[:4]),
    (Answer.CAPABILITIES, []),
    (Answer.AUTHENTICATION, []),
]


@pytest.mark.parametrize(("answer", "before"), PLACES)
def test_an_error_stands_in_the_place_of_an_answer(answer: Answer, before: list[Came]) -> None:
    first, failed, last = taken([Answer.OK, answer, Answer.RESULT], [OK, *before, error(1062, "no"), *RESULT])
    assert (contents(first), contents(last)) == (NOTHING, CONTENTS[1])
    assert contents(failed)[0] == (1062, "23000", "no", False)
    assert failed.rows == [payload for kind, payload in before if kind == 13]


@pytest.mark.parametrize(("answer", "before"), PLACES)
def test_a_fatal_error_is_raised(answer: Answer, before: list[Came]) -> None:
    with pytest.raises(ServerError) as caught:
        Replies([answer]).take([*before, error(3169, "killed", "HY000", is_fatal=True)])
    assert (caught.value.code, caught.value.is_fatal) == (3169, True)
    assert str(caught.value) == "killed (error 3169, SQLSTATE HY000)"


def test_an_error_behind_the_last_answer_is_raised() -> None:
    with pytest.raises(ServerError, match="shutdown"):
        Replies([Answer.OK]).take([OK, error(1053, "shutdown")])


def test_a_message_that_was_cut_within_a_letter_is_text() -> None:
    kind, payload = error(1062, "Duplicate entry 'q?' for key 't.PRIMARY'")
    late = warning("q?")
    came = [(kind, payload.replace(b"q?", b"q\xc2")), (late[0], late[1].replace(b"q?", b"q\xc2")), DONE]
    failed, warned = taken([Answer.RESULT] * 2, came)
    assert failed.error is not None
    assert failed.error.text == "Duplicate entry 'q\ufffd' for key 't.PRIMARY'"
    assert "'q\ufffd'" in str(store_error(failed.error, "db:33060", "t"))
    assert warned.warnings == ["q\ufffd"]


# ── no place ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "came"),
    [
        (Answer.OK, [DONE]),
        (Answer.OK, [CAPABILITIES]),
        (Answer.OK, [AUTH_OK]),
        (Answer.OK, [OK, OK]),
        (Answer.OK, [OK, DONE]),
        (Answer.OK, [RESULT[0], OK]),
        (Answer.OK, [RESULT[1], OK]),
        (Answer.OK, [OK, RESULT[0]]),
        (Answer.OK, [OK, RESULT[1]]),
        (Answer.RESULT, [OK]),
        (Answer.RESULT, [*RESULT[:2], OK]),
        (Answer.RESULT, [*RESULT, *RESULT]),
        (Answer.RESULT, [CHALLENGE]),
        (Answer.RESULT, [(15, b"")]),  # FetchSuspended: nobody opens cursors
        (Answer.RESULT, [(10, b"")]),
        (Answer.CAPABILITIES, [OK]),
        (Answer.CAPABILITIES, [RESULT[1], CAPABILITIES]),
        (Answer.AUTHENTICATION, [OK]),
        (Answer.AUTHENTICATION, [RESULT[0], AUTH_OK]),
        (Answer.AUTHENTICATION, [AUTH_OK, AUTH_OK]),
    ],
)
def test_a_message_without_a_place(answer: Answer, came: list[Came]) -> None:
    with pytest.raises(BrokenStream, match=r"^(a message of type \d+ where|rows (in front of|behind) )"):
        Replies([answer]).take(came)


@pytest.mark.parametrize(
    ("answer", "came", "name"),
    [
        (Answer.OK, (1, b""), "Mysqlx.Error"),
        (Answer.OK, (1, b"\xff"), "Mysqlx.Error"),
        (Answer.CAPABILITIES, (2, b"\x0a\x05a"), "Mysqlx.Connection.Capabilities"),
        (Answer.AUTHENTICATION, (3, b""), "Mysqlx.Session.AuthenticateContinue"),
        (Answer.OK, (11, b"\x08"), "Mysqlx.Notice.Frame"),
        (Answer.OK, (11, bytes.fromhex("1201")), "Mysqlx.Notice.Frame"),
        (Answer.OK, (11, bytes.fromhex("0801 1a01ff")), "Mysqlx.Notice.Warning"),
        (Answer.OK, (11, bytes.fromhex("0803 1a01ff")), "Mysqlx.Notice.SessionStateChanged"),
    ],
)
def test_a_message_that_cant_be_decoded(answer: Answer, came: Came, name: str) -> None:
    with pytest.raises(BrokenStream, match=rf"^{name}: \d octets that can't be decoded$"):
        Replies([answer]).take([came])


REAL = st.sampled_from([*ANSWERS, *NOTICES, error(), error(is_fatal=True), warning("w"), affected(1)])
DAMAGED = st.builds(
    lambda came, at, octet: (came[0], came[1][: at % (len(came[1]) + 1)] + octet + came[1][at % (len(came[1]) + 1) :]),
    REAL,
    st.integers(0, 40),
    st.binary(max_size=2),
)


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from(Answer), max_size=5),
    st.lists(REAL | DAMAGED | st.tuples(st.integers(0, 255), st.binary(max_size=20)), max_size=12),
)
def test_whatever_comes_is_replies_or_an_error_of_the_store(answers: list[Answer], came: list[Came]) -> None:
    replies = Replies(answers)
    try:
        replies.take(came)
    except StoreError as caught:
        assert isinstance(caught, (BrokenStream, ServerError))
    assert len(replies.replies) <= len(answers)
    for reply in replies.replies:
        assert all(type(text) is str for text in reply.warnings)
        if reply.error is not None:
            store_error(reply.error, "db:33060", "t")
