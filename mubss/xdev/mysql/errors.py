"""MySQL's errors as the store's own, by error code and SQLSTATE."""

from __future__ import annotations

import re

from mubss.xdev.errors import (
    DuplicateId,
    InvalidDocument,
    InvalidExpression,
    NoSuchCollection,
    StoreAway,
    StoreConflict,
    StoreError,
    StoreUnavailable,
)

EXPECTATION_FAILED = 5159  # a message behind one that failed, within a block
NO_SUCH_STATEMENT = 5110
TOO_MANY_STATEMENTS = 1461
ACCESS_DENIED = 1045
COLLECTION_EXISTS = 1050
NO_SUCH_COLLECTION = 1051

_DEADLOCK, _LOCK_WAIT, _GROUP_ROLLED_BACK = 1213, 1205, 3101
CONFLICTS = {
    _DEADLOCK: "a deadlock",
    _LOCK_WAIT: "a lock wasn't to be had in time",
    _GROUP_ROLLED_BACK: "another member of the group wrote the same document",
    3572: "a lock is held by another",
    3058: "a deadlock of user locks",
}
# What tells that this server, or this connection to it, is no good for now.
_AWAY = {
    1021: "its disk is full",
    1030: "its storage engine reports an error",
    1037: "it is out of memory",
    1040: "it has too many connections (max_connections, mysqlx_max_connections)",
    1041: "it is out of memory",
    1044: "access is denied: GRANT the user what docs/MYSQL.md lists",
    1045: "access is denied: wrong user or password",
    1053: "it is shutting down",
    1114: "a table is full",
    1130: "this machine may not connect (the user's host part)",
    1142: "access is denied: GRANT the user what docs/MYSQL.md lists",
    1143: "access is denied: GRANT the user what docs/MYSQL.md lists",
    1180: "its COMMIT failed",
    1203: "the user has too many connections (max_user_connections)",
    1226: "the user has used up a limit of the account",
    1227: "access is denied: GRANT the user what docs/MYSQL.md lists",
    1290: "it is read-only",
    1317: "the statement was killed",
    1410: "access is denied: GRANT the user what docs/MYSQL.md lists",
    1698: "access is denied: wrong user or password",
    1792: "it is read-only",
    1820: "the user's password has expired: ALTER USER sets a new one",
    1836: "it is read-only",
    1862: "the user's password has expired: ALTER USER sets a new one",
    3032: "it is offline (offline_mode)",
    3098: "the table doesn't meet what the group requires",
    3100: "the group can't take the transaction now",
    3118: "the user is locked",
    3159: "it takes no connection without TLS (require_secure_transport): ssl-mode=required",
    3168: "it is shutting down",
    3169: "the session was killed",
    3950: "it is out of memory",
    3955: "the user is locked after too many wrong passwords",
}
_PASSES = {1040, 1053, 1203, 3032, 3168}  # of these: what passes without anybody's doing, or is meant to
_JSON_ERRORS = range(3140, 3159)
_TOO_MUCH = {1436, 1390, 3170, 1116}  # stack overrun, placeholders, memory of a range, tables


class ServerError(StoreError):
    """An Error message as it came."""

    def __init__(self, code: int, sql_state: str, text: str, *, is_fatal: bool = False) -> None:
        super().__init__(f"{text} (error {code}, SQLSTATE {sql_state})")
        self.code = code
        self.sql_state = sql_state
        self.text = text
        self.is_fatal = is_fatal

    @property
    def ends_link(self) -> bool:
        """Whether another connection, perhaps to another server, has to be made before anything else is done."""
        return self.is_fatal or isinstance(store_error(self, ""), StoreUnavailable)


def store_error(error: ServerError, where: str, collection: str = "") -> StoreError:
    """What `error` is to the callers of a store; `where` names the server, `collection` what was worked on."""
    code, text = error.code, error.text
    if code == 1062:
        return DuplicateId(collection, _duplicate(text))
    if code in CONFLICTS or error.sql_state == "40001":
        return StoreConflict(f"{where}: {CONFLICTS.get(code, 'a conflict')} ({error})")
    if code in _AWAY:
        kind = StoreAway if code in _PASSES else StoreUnavailable
        return kind(f"{where}: {_AWAY[code]} ({error})")
    if code == 1146:
        return NoSuchCollection(f"{collection or text}: there is no such collection at {where}")
    if code == 1049:
        return NoSuchCollection(f"{where}: there is no such schema; `mubss init` makes it ({error})")
    if code in _JSON_ERRORS or code in (1153, 5108):
        return InvalidDocument(f"{collection}: {text} (error {code})")
    if code in _TOO_MUCH:
        return InvalidExpression(f"an expression too large for MySQL ({error})")
    if error.is_fatal or error.sql_state.startswith("08"):
        return StoreUnavailable(f"{where}: the connection ended ({error})")
    return StoreError(f"{where}: {error}")


def _duplicate(text: str) -> str:
    """The `_id` in "Duplicate entry 'x' for key 't.PRIMARY'": MySQL cuts long ones, ours are short enough."""
    found = re.fullmatch(r"Duplicate entry '(.*)' for key '[^']*'", text, re.DOTALL)
    return found[1] if found else ""
