"""What is sent: X Protocol messages as framed octets, each with the kind of answer that it gets.

All but one are made by the official connector's compiled protobuf modules. `Prepare.Execute` carries every charge,
and is written by hand: 128 documents of 1 KB take 40 µs instead of 190 µs (a test holds it to the compiled module).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from mysqlx.protobuf.mysqlx_connection_pb2 import CapabilitiesGet, CapabilitiesSet
from mysqlx.protobuf.mysqlx_datatypes_pb2 import Any as AnyValue
from mysqlx.protobuf.mysqlx_datatypes_pb2 import Scalar
from mysqlx.protobuf.mysqlx_expect_pb2 import Close as ExpectClose
from mysqlx.protobuf.mysqlx_expect_pb2 import Open as ExpectOpen
from mysqlx.protobuf.mysqlx_pb2 import ClientMessages
from mysqlx.protobuf.mysqlx_prepare_pb2 import Prepare
from mysqlx.protobuf.mysqlx_session_pb2 import AuthenticateContinue, AuthenticateStart
from mysqlx.protobuf.mysqlx_sql_pb2 import StmtExecute

from mubss.xdev.mysql.compression import varint
from mubss.xdev.mysql.frames import frame

Argument = None | bool | int | float | str | bytes
_JSON = 2  # Octets.content_type: JSON text, which a JSON column takes as it is


class Answer(Enum):
    """How the answer to a message ends, if it isn't an Error."""

    OK = "Ok"
    RESULT = "StmtExecuteOk"
    CAPABILITIES = "Capabilities"
    AUTHENTICATION = "AuthenticateContinue or AuthenticateOk"


class Request(NamedTuple):
    """One message."""

    octets: bytes
    answer: Answer


class Json(NamedTuple):
    """A document as an argument: JSON text in UTF-8."""

    text: bytes


def statement(sql: str, values: Sequence[Argument | Json] = (), *, namespace: str = "sql") -> Request:
    """An SQL statement that isn't prepared; a server that binds its `?` itself."""
    message = StmtExecute(namespace=namespace, stmt=sql.encode(), args=[_any(value) for value in values])
    return Request(frame(ClientMessages.SQL_STMT_EXECUTE, message.SerializeToString()), Answer.RESULT)


def admin(command: str, **fields: str) -> Request:
    """A command of the X plugin (`create_collection`, …) with its arguments as one object."""
    message = StmtExecute(namespace="mysqlx", stmt=command.encode())
    argument = message.args.add(type=AnyValue.OBJECT)
    for key, value in fields.items():
        argument.obj.fld.add(key=key).value.CopyFrom(_any(value))
    return Request(frame(ClientMessages.SQL_STMT_EXECUTE, message.SerializeToString()), Answer.RESULT)


def prepare(number: int, sql: str) -> Request:
    """Prepares a statement under a number of our own."""
    message = Prepare(stmt_id=number)
    message.stmt.type = Prepare.OneOfMessage.STMT
    message.stmt.stmt_execute.stmt = sql.encode()
    return Request(frame(ClientMessages.PREPARE_PREPARE, message.SerializeToString()), Answer.OK)


def execute(number: int, values: Sequence[bytes], *, are_json: bool = False) -> Request:
    """Executes a prepared statement, with ids as its arguments, or with documents as JSON text."""
    parts = [b"\x08" + varint(number)]
    tail = b"\x10\x02" if are_json else b""  # Octets.content_type
    for value in values:
        parts += (_argument_head(len(value), len(tail)), value, tail)
    parts.append(b"\x18\x01")  # compact_metadata
    return Request(frame(ClientMessages.PREPARE_EXECUTE, b"".join(parts)), Answer.RESULT)


@lru_cache(maxsize=8192)
def _argument_head(size: int, tail: int) -> bytes:
    """What stands before the octets of Any{type: SCALAR, scalar: Scalar{type: V_OCTETS, v_octets: Octets{value}}}."""
    head = b"\x0a" + varint(size)
    for start in (b"\x08\x04\x2a", b"\x08\x01\x12", b"\x12"):
        head = start + varint(len(head) + size + tail) + head
    return head


def _expect_no_error() -> Request:
    message = ExpectOpen(op=ExpectOpen.EXPECT_CTX_EMPTY)
    message.cond.add(condition_key=ExpectOpen.Condition.EXPECT_NO_ERROR)
    return Request(frame(ClientMessages.EXPECT_OPEN, message.SerializeToString()), Answer.OK)


# Between these two nothing happens after a message that failed: each of the rest is refused with error 5159.
OPEN_BLOCK = _expect_no_error()
CLOSE_BLOCK = Request(frame(ClientMessages.EXPECT_CLOSE, ExpectClose().SerializeToString()), Answer.OK)
BEGIN = statement("BEGIN")  # these three can't be prepared
COMMIT = statement("COMMIT")
ROLLBACK = statement("ROLLBACK")
GET_CAPABILITIES = Request(
    frame(ClientMessages.CON_CAPABILITIES_GET, CapabilitiesGet().SerializeToString()), Answer.CAPABILITIES
)
CLOSE_CONNECTION = frame(ClientMessages.CON_CLOSE, b"")


def set_capability(name: str, value: bool | Mapping[str, str]) -> Request:
    """Turns `tls` on, or names the compression's `algorithm`."""
    message = CapabilitiesSet()
    capability = message.capabilities.capabilities.add(name=name)
    if isinstance(value, Mapping):
        capability.value.type = AnyValue.OBJECT
        for key, text in value.items():
            capability.value.obj.fld.add(key=key).value.CopyFrom(_any(text))
    else:
        capability.value.CopyFrom(_any(value))
    return Request(frame(ClientMessages.CON_CAPABILITIES_SET, message.SerializeToString()), Answer.OK)


def start_authentication(mechanism: str, data: bytes) -> Request:
    """The first message of a login; PLAIN brings all of it."""
    message = AuthenticateStart(mech_name=mechanism)
    if data:
        message.auth_data = data
    return Request(frame(ClientMessages.SESS_AUTHENTICATE_START, message.SerializeToString()), Answer.AUTHENTICATION)


def continue_authentication(data: bytes) -> Request:
    """The answer to the server's challenge."""
    message = AuthenticateContinue(auth_data=data)
    return Request(frame(ClientMessages.SESS_AUTHENTICATE_CONTINUE, message.SerializeToString()), Answer.AUTHENTICATION)


def _any(value: Argument | Json) -> Any:
    scalar = Scalar()
    if value is None:
        scalar.type = Scalar.V_NULL
    elif isinstance(value, bool):
        scalar.type, scalar.v_bool = Scalar.V_BOOL, value
    elif isinstance(value, int):
        scalar.type, scalar.v_signed_int = Scalar.V_SINT, value
    elif isinstance(value, float):
        scalar.type, scalar.v_double = Scalar.V_DOUBLE, value
    elif isinstance(value, str):
        scalar.type, scalar.v_string.value = Scalar.V_STRING, value.encode()
    elif isinstance(value, Json):
        scalar.type, scalar.v_octets.value, scalar.v_octets.content_type = Scalar.V_OCTETS, value.text, _JSON
    else:
        scalar.type, scalar.v_octets.value = Scalar.V_OCTETS, value
    return AnyValue(type=AnyValue.SCALAR, scalar=scalar)
