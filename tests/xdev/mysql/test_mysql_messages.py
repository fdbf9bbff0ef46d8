"""What is sent, byte by byte; the message that is written by hand is the one that the compiled module makes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mysqlx.protobuf.mysqlx_datatypes_pb2 import Any as AnyValue
from mysqlx.protobuf.mysqlx_datatypes_pb2 import Scalar
from mysqlx.protobuf.mysqlx_prepare_pb2 import Execute
from mysqlx.protobuf.mysqlx_sql_pb2 import StmtExecute

from mubss.xdev.mysql import messages
from mubss.xdev.mysql.messages import Answer, Argument, Json, Request

# name: (request, length and type, protobuf message, answer)
VECTORS: dict[str, tuple[Request, str, str, Answer]] = {
    "open a block": (messages.OPEN_BLOCK, "07000000 18", "0801 1202 0801", Answer.OK),
    "close a block": (messages.CLOSE_BLOCK, "01000000 19", "", Answer.OK),
    "BEGIN": (messages.BEGIN, "0d000000 0c", "0a05 424547494e 1a03 73716c", Answer.RESULT),
    "COMMIT": (messages.COMMIT, "0e000000 0c", "0a06 434f4d4d4954 1a03 73716c", Answer.RESULT),
    "ROLLBACK": (messages.ROLLBACK, "10000000 0c", "0a08 524f4c4c4241434b 1a03 73716c", Answer.RESULT),
    "get capabilities": (messages.GET_CAPABILITIES, "01000000 01", "", Answer.CAPABILITIES),
    "set tls": (
        messages.set_capability("tls", True),
        "14000000 02",
        "0a11 0a0f 0a03 746c73 1208 0801 1204 0807 4001",
        Answer.OK,
    ),
    "set compression": (
        messages.set_capability("compression", {"algorithm": "zstd_stream"}),
        "3c000000 02",
        "0a39 0a37 0a0b 636f6d7072657373696f6e 1228 0802 1a24 0a22 0a09 616c676f726974686d"
        "1215 0801 1211 0808 4a0d 0a0b 7a7374645f73747265616d",
        Answer.OK,
    ),
    "start MYSQL41": (
        messages.start_authentication("MYSQL41", b""),
        "0a000000 04",
        "0a07 4d5953514c3431",
        Answer.AUTHENTICATION,
    ),
    "start PLAIN": (
        messages.start_authentication("PLAIN", b"\0u\0p"),
        "0e000000 04",
        "0a05 504c41494e 1204 00750070",
        Answer.AUTHENTICATION,
    ),
    "answer a challenge": (
        messages.continue_authentication(b"\0u\0"),
        "06000000 05",
        "0a03 007500",
        Answer.AUTHENTICATION,
    ),
    "prepare": (messages.prepare(1, "SELECT ?"), "13000000 28", "0801 120e 0805 320a 0a08 53454c454354203f", Answer.OK),
    "prepare 300": (messages.prepare(300, "DO 1"), "10000000 28", "08ac02 120a 0805 3206 0a04 444f2031", Answer.OK),
    "execute with ids": (
        messages.execute(1, [b"a", b"bc"]),
        "20000000 29",
        "0801 120b 0801 1207 0804 2a03 0a01 61 120c 0801 1208 0804 2a04 0a02 6263 1801",
        Answer.RESULT,
    ),
    "execute with a document": (
        messages.execute(1, [b"{}"], are_json=True),
        "15000000 29",
        "0801 120e 0801 120a 0804 2a06 0a02 7b7d 1002 1801",
        Answer.RESULT,
    ),
    "execute 300": (messages.execute(300, []), "06000000 29", "08ac02 1801", Answer.RESULT),
    "a statement": (
        messages.statement("SELECT ?", [None, True, -1, 1.5, "a", b"b", Json(b"{}")]),
        "67000000 0c",
        "0a08 53454c454354203f 1206 0801 1202 0803 1208 0801 1204 0807 4001 1208 0801 1204 0801 1001"
        "120f 0801 120b 0805 31 000000000000f83f 120b 0801 1207 0808 4a03 0a01 61 120b 0801 1207 0804 2a03 0a01 62"
        "120e 0801 120a 0804 2a06 0a02 7b7d 1002 1a03 73716c",
        Answer.RESULT,
    ),
    "a command": (
        messages.admin("create_collection", schema="s", name="t"),
        "4e000000 0c",
        "0a11 6372656174655f636f6c6c656374696f6e 1230 0802 1a2c"
        "0a15 0a06 736368656d61 120b 0801 1207 0808 4a03 0a01 73"
        "0a13 0a04 6e616d65 120b 0801 1207 0808 4a03 0a01 74 1a06 6d7973716c78",
        Answer.RESULT,
    ),
}


@pytest.mark.parametrize(("request_", "header", "payload", "answer"), VECTORS.values(), ids=VECTORS)
def test_messages_byte_by_byte(request_: Request, header: str, payload: str, answer: Answer) -> None:
    assert request_.octets.hex() == bytes.fromhex(header + payload).hex()
    assert request_.answer is answer


def test_the_end_is_said_in_five_octets() -> None:
    assert messages.CLOSE_CONNECTION.hex() == "0100000003"


# ── Prepare.Execute, by hand ───────────────────────────────────────────────────────────────────────

# Lengths take one octet to 127, two to 16,383, and there are four of them within one another.
OCTETS = st.binary(max_size=40) | st.builds(
    lambda length, octet: bytes([octet]) * length,
    st.integers(100, 140) | st.integers(16_360, 16_400) | st.integers(2_097_130, 2_097_160),
    st.integers(0, 255),
)
VALUES = st.lists(OCTETS, max_size=8)


def compiled(number: int, values: list[bytes], are_json: bool) -> Any:
    message = Execute(stmt_id=number, compact_metadata=True)
    for value in values:
        scalar = message.args.add(type=AnyValue.SCALAR).scalar
        scalar.type = Scalar.V_OCTETS
        scalar.v_octets.value = value
        if are_json:
            scalar.v_octets.content_type = 2
    return message


@given(st.integers(0, 2**32 - 1), VALUES, st.booleans())
@example(127, [b"", b""], True)
@example(128, [bytes(127), bytes(128), bytes(16_383), bytes(16_384)], False)
@example(16_384, ['{"_id": "µ"}'.encode()] * 128, True)
def test_execute_by_hand_is_the_compiled_modules(number: int, values: list[bytes], are_json: bool) -> None:
    octets = messages.execute(number, values, are_json=are_json).octets
    expected = compiled(number, values, are_json)
    assert octets[5:] == expected.SerializeToString()
    assert Execute.FromString(octets[5:]) == expected
    assert int.from_bytes(octets[:4], "little") == len(octets) - 4
    assert octets[4] == 41  # PREPARE_EXECUTE


# ── arguments ──────────────────────────────────────────────────────────────────────────────────────

ARGUMENTS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.binary().map(Json)
)


def plain(scalar: Any) -> Argument | Json:
    """What a server makes of a scalar."""
    match scalar.type:
        case Scalar.V_NULL:
            return None
        case Scalar.V_BOOL:
            return bool(scalar.v_bool)
        case Scalar.V_SINT:
            return int(scalar.v_signed_int)
        case Scalar.V_DOUBLE:
            return float(scalar.v_double)
        case Scalar.V_STRING:
            return bytes(scalar.v_string.value).decode()
    assert scalar.type == Scalar.V_OCTETS
    octets = bytes(scalar.v_octets.value)
    return Json(octets) if scalar.v_octets.content_type == 2 else octets


@given(st.text(st.characters(exclude_categories=["Cs"])), st.lists(ARGUMENTS, max_size=6))
def test_a_statement_and_its_arguments(sql: str, values: list[Argument | Json]) -> None:
    octets, answer = messages.statement(sql, values)
    message = StmtExecute.FromString(octets[5:])
    assert (message.stmt.decode(), message.namespace, answer) == (sql, "sql", Answer.RESULT)
    assert all(argument.type == AnyValue.SCALAR for argument in message.args)
    found = [plain(argument.scalar) for argument in message.args]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]  # 1 == True == 1.0


@given(st.dictionaries(st.text("abcdef", min_size=1), st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_a_command_and_its_fields(fields: dict[str, str]) -> None:
    message = StmtExecute.FromString(messages.admin("ensure_collection", **fields).octets[5:])
    assert (message.stmt, message.namespace) == (b"ensure_collection", "mysqlx")
    [argument] = message.args
    assert argument.type == AnyValue.OBJECT
    assert {field.key: plain(field.value.scalar) for field in argument.obj.fld} == fields
