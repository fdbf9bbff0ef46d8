"""What a MySQL server, or who poses as one, may send: X Protocol frames, replies, rows, compressed ones."""

from __future__ import annotations

from mysqlx.protobuf.mysqlx_connection_pb2 import Capabilities, Compression
from mysqlx.protobuf.mysqlx_notice_pb2 import Frame, SessionStateChanged
from mysqlx.protobuf.mysqlx_pb2 import Error, ServerMessages
from mysqlx.protobuf.mysqlx_resultset_pb2 import ColumnMetaData, Row

from mubss.xdev.errors import StoreUnavailable
from mubss.xdev.mysql import results
from mubss.xdev.mysql.compression import ALGORITHMS, choose
from mubss.xdev.mysql.compression import Compression as Packed
from mubss.xdev.mysql.errors import ServerError
from mubss.xdev.mysql.frames import FrameReader, frame
from mubss.xdev.mysql.messages import Answer
from mubss.xdev.mysql.replies import Replies

ALL = list(Answer)
PIECE = 5  # octets at a time
HAVE = [name for name in ALGORITHMS if choose([name], [name])]


def _row(kind: int, *fields: bytes) -> bytes:
    column = ColumnMetaData(type=kind, name=b"doc").SerializeToString()
    parts = [frame(ServerMessages.RESULTSET_COLUMN_META_DATA, column) * len(fields)]
    parts.append(frame(ServerMessages.RESULTSET_ROW, Row(field=fields).SerializeToString()))
    return (
        b"".join(parts)
        + frame(ServerMessages.RESULTSET_FETCH_DONE, b"")
        + frame(ServerMessages.SQL_STMT_EXECUTE_OK, b"")
    )


def seeds() -> dict[str, bytes]:
    """Two octets: which answers are waited for, which compression; then frames."""
    error = Error(severity=Error.ERROR, code=1062, sql_state="23000", msg="Duplicate entry 'x' for key 'PRIMARY'")
    change = SessionStateChanged(param=SessionStateChanged.ROWS_AFFECTED)
    change.value.add(type=2, v_unsigned_int=3)
    notice = Frame(type=Frame.SESSION_STATE_CHANGED, scope=Frame.LOCAL, payload=change.SerializeToString())
    told = frame(ServerMessages.NOTICE, notice.SerializeToString())
    named = dict(ColumnMetaData.FieldType.items())
    values = {
        "SINT": b"\x05",
        "UINT": b"\x80\x01",
        "DOUBLE": bytes(8),
        "FLOAT": bytes(4),
        "BYTES": b'{"a":1}\0',
        "TIME": b"\0\x01\x02\x03",
        "DATETIME": b"\xea\x0f\x0b\x1d",
        "SET": b"\x01a",
        "ENUM": b"a\0",
        "BIT": b"\x01",
        "DECIMAL": b"\x02\x12\x34\xc0",
    }
    found = {f"row-{name}": b"\1\0" + told + _row(number, values[name]) for name, number in named.items()}
    found["ok"] = b"\0\0" + frame(ServerMessages.OK, b"")
    found["error"] = b"\1\0" + frame(ServerMessages.ERROR, error.SerializeToString())
    capabilities = Capabilities()
    capabilities.capabilities.add(name="tls").value.type = 1
    found["capabilities"] = b"\2\0" + frame(ServerMessages.CONN_CAPABILITIES, capabilities.SerializePartialToString())
    found["authentication"] = b"\3\0" + frame(ServerMessages.SESS_AUTHENTICATE_CONTINUE, b"\x0a\x14" + b"c" * 20)
    found["classic"] = b"\1\0\x4a\0\0\0\x0a9.7.4\0" + bytes(70)
    for number, name in enumerate(HAVE):
        inner = _row(named["BYTES"], b'{"a":1}\0') * 20
        packed = Packed(name).pack(inner)
        Compression.FromString(packed)
        found[f"packed-{name}"] = bytes([1, number + 1]) + frame(ServerMessages.COMPRESSION, packed)
    return found


def read(stream: bytes, answers: list[Answer], algorithm: str, piece: int) -> object:
    """What comes of a stream: values, or the kind of error that ends the connection."""
    reader, replies = FrameReader(), Replies(answers)
    reader.compression = Packed(algorithm) if algorithm else None
    try:
        for at in range(0, len(stream), piece):
            replies.take(reader.feed(stream[at : at + piece]))
            if replies.complete:
                break
        shown: list[object] = []
        for reply in replies.replies:
            shown.append((reply.error and reply.error.code, reply.affected, reply.warnings, reply.challenge))
            for look in (results.rows, results.json_texts):
                try:
                    shown.append(repr(look(reply)))
                except StoreUnavailable:
                    shown.append("broken")
        return shown
    except (StoreUnavailable, ServerError) as error:
        return type(error).__name__


def one_input(data: bytes) -> None:
    """A stream ends in values, or in an error that closes the connection, at once and in pieces."""
    if len(data) < 2:
        return
    answers = [ALL[data[0] % len(ALL)]] * (1 + data[0] // 128)
    algorithm = ([""] + HAVE)[data[1] % (1 + len(HAVE))]
    read(data[2:], answers, algorithm, len(data))
    read(data[2:], answers, algorithm, PIECE)
