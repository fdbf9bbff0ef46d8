"""What comes back: the messages of one answer after another, gathered into replies, without IO.

The X Protocol answers in the order of the requests. An answer is Ok; or columns, rows and FetchDone before
StmtExecuteOk; or an Error in the place of any of these. Notices come between them at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mysqlx.protobuf.mysqlx_connection_pb2 import Capabilities
from mysqlx.protobuf.mysqlx_notice_pb2 import Frame as Notice
from mysqlx.protobuf.mysqlx_notice_pb2 import SessionStateChanged
from mysqlx.protobuf.mysqlx_notice_pb2 import Warning as WarningNotice
from mysqlx.protobuf.mysqlx_pb2 import Error, ServerMessages
from mysqlx.protobuf.mysqlx_session_pb2 import AuthenticateContinue

from mubss.xdev.mysql.errors import ServerError
from mubss.xdev.mysql.frames import BrokenStream
from mubss.xdev.mysql.messages import Answer

_OK, _ERROR, _CAPABILITIES = ServerMessages.OK, ServerMessages.ERROR, ServerMessages.CONN_CAPABILITIES
_AUTH_CONTINUE, _AUTH_OK = ServerMessages.SESS_AUTHENTICATE_CONTINUE, ServerMessages.SESS_AUTHENTICATE_OK
_NOTICE, _COLUMN = ServerMessages.NOTICE, ServerMessages.RESULTSET_COLUMN_META_DATA
_ROW, _DONE = ServerMessages.RESULTSET_ROW, ServerMessages.SQL_STMT_EXECUTE_OK
_BETWEEN = frozenset(
    {
        ServerMessages.RESULTSET_FETCH_DONE,
        ServerMessages.RESULTSET_FETCH_DONE_MORE_RESULTSETS,
        ServerMessages.RESULTSET_FETCH_DONE_MORE_OUT_PARAMS,
    }
)
_ENDS = {
    Answer.OK: frozenset({_OK}),
    Answer.RESULT: frozenset({_DONE}),
    Answer.CAPABILITIES: frozenset({_CAPABILITIES}),
    Answer.AUTHENTICATION: frozenset({_AUTH_CONTINUE, _AUTH_OK}),
}
_WARNING, _STATE = Notice.WARNING, Notice.SESSION_STATE_CHANGED
_ROWS_AFFECTED = SessionStateChanged.ROWS_AFFECTED
# What notices of a changed state mean, by their octets: rows affected, or None. The same few come again and again, and
# to parse two messages for each took 5 % of a busy server's CPU.
_changes: dict[bytes, int | None] = {}
_MOST_CHANGES, _SHORT_OCTETS, _UNKNOWN = 1024, 64, -1


class Reply:
    """The answer to one request."""

    __slots__ = ("affected", "capabilities", "challenge", "columns", "error", "rows", "warnings")

    def __init__(self) -> None:
        self.error: ServerError | None = None
        self.columns: list[bytes] = []  # ColumnMetaData, see `results`
        self.rows: list[bytes] = []  # Row
        self.affected = 0  # rows that a statement really changed
        self.warnings: list[str] = []
        self.challenge: bytes | None = None  # of a login that goes on
        self.capabilities: Any = None


class Replies:
    """The replies to a pipeline of requests."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._ends = [_ENDS[answer] for answer in answers]
        self.replies: list[Reply] = []
        self._current = Reply()

    @property
    def complete(self) -> bool:
        """Whether every request has its reply."""
        return len(self.replies) == len(self._ends)

    def take(self, messages: Iterable[tuple[int, bytes]]) -> None:
        """Takes messages in the order in which they came; ServerError for one that ends the connection."""
        reply = self._current
        for kind, payload in messages:
            if kind == _ROW:
                reply.rows.append(payload)
            elif kind == _COLUMN:
                reply.columns.append(payload)
            elif kind == _NOTICE:
                _notice(reply, payload)
            elif kind not in _BETWEEN:
                reply = self._end(reply, kind, payload)
        if self.complete and (reply.rows or reply.columns):
            raise BrokenStream("rows behind the last answer")
        self._current = reply

    def _end(self, reply: Reply, kind: int, payload: bytes) -> Reply:
        """A message that ends an answer; returns the reply that is next."""
        if kind == _ERROR:
            reply.error = _error(payload)
            if reply.error.is_fatal or self.complete:
                raise reply.error
        elif self.complete or kind not in self._ends[len(self.replies)]:
            raise BrokenStream(f"a message of type {kind} where it has no place")
        elif kind != _DONE and (reply.rows or reply.columns):
            raise BrokenStream(f"rows in front of a message of type {kind}")
        elif kind == _CAPABILITIES:
            reply.capabilities = parsed(Capabilities, payload)
        elif kind == _AUTH_CONTINUE:
            reply.challenge = bytes(parsed(AuthenticateContinue, payload).auth_data)
        self.replies.append(reply)
        return Reply()


def parsed(message: Any, payload: bytes) -> Any:
    """A protobuf message from its octets; BrokenStream where it is none."""
    try:
        found = message.FromString(payload)
        if found.IsInitialized():  # has the fields that are required
            return found
    except Exception:  # DecodeError, and what else the implementations of protobuf raise
        pass
    raise BrokenStream(f"{message.DESCRIPTOR.full_name}: {len(payload)} octets that can't be decoded")


def _error(payload: bytes) -> ServerError:
    message = parsed(Error, payload)
    is_fatal = message.severity == Error.FATAL
    return ServerError(message.code, _text(message.sql_state), _text(message.msg), is_fatal=is_fatal)


def _notice(reply: Reply, payload: bytes) -> None:
    if not payload:  # the server's hello
        return
    affected = _changes.get(payload, _UNKNOWN)
    if affected == _UNKNOWN:
        notice = parsed(Notice, payload)
        if notice.type == _WARNING:
            reply.warnings.append(_text(parsed(WarningNotice, notice.payload).msg))
        if notice.type != _STATE:
            return
        change = parsed(SessionStateChanged, notice.payload)
        affected = change.value[0].v_unsigned_int if change.param == _ROWS_AFFECTED and change.value else None
        if len(payload) <= _SHORT_OCTETS and len(_changes) < _MOST_CHANGES:
            _changes[payload] = affected
    if affected is not None:
        reply.affected = affected


def _text(value: str | bytes) -> str:
    """A protobuf string: it comes as octets where it isn't UTF-8, as a message is that was cut within a letter."""
    return value if isinstance(value, str) else value.decode(errors="replace")
