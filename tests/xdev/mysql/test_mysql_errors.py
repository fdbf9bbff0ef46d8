"""MySQL's errors as the store's: the class that tells callers what to do, and whether the connection is kept."""

from __future__ import annotations

import pytest
from mysqlx import errorcode

from mubss.xdev.errors import (
    DuplicateId,
    InvalidDocument,
    InvalidExpression,
    NoSuchCollection,
    StoreAway,
    StoreConflict,
    StoreError,
    StoreUnavailable,
    UnknownCommit,
)
from mubss.xdev.mysql import errors
from mubss.xdev.mysql.errors import ServerError, store_error

KEEPS, ENDS = False, True

# (name in mysqld_error.h, SQLSTATE, class, is the connection to be given up?)
TABLE: list[tuple[str, str, type[StoreError], bool]] = [
    ("ER_DUP_ENTRY", "23000", DuplicateId, KEEPS),
    ("ER_LOCK_DEADLOCK", "40001", StoreConflict, KEEPS),
    ("ER_LOCK_WAIT_TIMEOUT", "HY000", StoreConflict, KEEPS),
    ("ER_LOCK_NOWAIT", "HY000", StoreConflict, KEEPS),
    ("ER_USER_LOCK_DEADLOCK", "HY000", StoreConflict, KEEPS),
    ("ER_TRANSACTION_ROLLBACK_DURING_COMMIT", "40000", StoreConflict, KEEPS),
    ("ER_XA_RBDEADLOCK", "XA102", StoreError, KEEPS),
    ("ER_XA_RBROLLBACK", "40001", StoreConflict, KEEPS),  # any SQLSTATE of serialization failure
    ("ER_NO_SUCH_TABLE", "42S02", NoSuchCollection, KEEPS),
    ("ER_BAD_DB_ERROR", "42000", NoSuchCollection, KEEPS),
    ("ER_INVALID_JSON_TEXT", "22032", InvalidDocument, KEEPS),
    ("ER_INVALID_JSON_CHARSET", "22032", InvalidDocument, KEEPS),
    ("ER_JSON_DOCUMENT_TOO_DEEP", "22032", InvalidDocument, KEEPS),
    ("ER_JSON_DOCUMENT_NULL_KEY", "22032", InvalidDocument, KEEPS),
    ("ER_NET_PACKET_TOO_LARGE", "08S01", InvalidDocument, KEEPS),
    ("ER_PS_MANY_PARAM", "HY000", InvalidExpression, KEEPS),
    ("ER_STACK_OVERRUN_NEED_MORE", "HY000", InvalidExpression, KEEPS),
    ("ER_CAPACITY_EXCEEDED", "HY000", InvalidExpression, KEEPS),
    ("ER_TOO_MANY_TABLES", "HY000", InvalidExpression, KEEPS),
    ("ER_PARSE_ERROR", "42000", StoreError, KEEPS),
    ("ER_TABLE_EXISTS_ERROR", "42S01", StoreError, KEEPS),
    ("ER_BAD_TABLE_ERROR", "42S02", StoreError, KEEPS),
    ("ER_MAX_PREPARED_STMT_COUNT_REACHED", "42000", StoreError, KEEPS),
    ("ER_X_EXPECT_NO_ERROR_FAILED", "HY000", StoreError, KEEPS),
    ("ER_X_BAD_STATEMENT_ID", "HY000", StoreError, KEEPS),
    ("ER_ACCESS_DENIED_ERROR", "28000", StoreUnavailable, ENDS),
    ("ER_ACCESS_DENIED_NO_PASSWORD_ERROR", "28000", StoreUnavailable, ENDS),
    ("ER_DBACCESS_DENIED_ERROR", "42000", StoreUnavailable, ENDS),
    ("ER_TABLEACCESS_DENIED_ERROR", "42000", StoreUnavailable, ENDS),
    ("ER_SPECIFIC_ACCESS_DENIED_ERROR", "42000", StoreUnavailable, ENDS),
    ("ER_ACCOUNT_HAS_BEEN_LOCKED", "HY000", StoreUnavailable, ENDS),
    ("ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK", "HY000", StoreUnavailable, ENDS),
    ("ER_MUST_CHANGE_PASSWORD", "HY000", StoreUnavailable, ENDS),
    ("ER_MUST_CHANGE_PASSWORD_LOGIN", "HY000", StoreUnavailable, ENDS),
    ("ER_SECURE_TRANSPORT_REQUIRED", "HY000", StoreUnavailable, ENDS),
    ("ER_HOST_NOT_PRIVILEGED", "HY000", StoreUnavailable, ENDS),
    ("ER_CON_COUNT_ERROR", "08004", StoreAway, ENDS),
    ("ER_TOO_MANY_USER_CONNECTIONS", "42000", StoreAway, ENDS),
    ("ER_USER_LIMIT_REACHED", "42000", StoreUnavailable, ENDS),
    ("ER_SERVER_SHUTDOWN", "08S01", StoreAway, ENDS),
    ("ER_SERVER_ISNT_AVAILABLE", "HY000", StoreAway, ENDS),
    ("ER_SERVER_OFFLINE_MODE", "HY000", StoreAway, ENDS),
    ("ER_SESSION_WAS_KILLED", "HY000", StoreUnavailable, ENDS),
    ("ER_QUERY_INTERRUPTED", "70100", StoreUnavailable, ENDS),
    ("ER_OPTION_PREVENTS_STATEMENT", "HY000", StoreUnavailable, ENDS),
    ("ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION", "25006", StoreUnavailable, ENDS),
    ("ER_READ_ONLY_MODE", "HY000", StoreUnavailable, ENDS),
    ("ER_BEFORE_DML_VALIDATION_ERROR", "HY000", StoreUnavailable, ENDS),
    ("ER_RUN_HOOK_ERROR", "HY000", StoreUnavailable, ENDS),
    ("ER_ERROR_DURING_COMMIT", "HY000", StoreUnavailable, ENDS),
    ("ER_RECORD_FILE_FULL", "HY000", StoreUnavailable, ENDS),
    ("ER_GET_ERRNO", "HY000", StoreUnavailable, ENDS),
    ("ER_OUTOFMEMORY", "HY001", StoreUnavailable, ENDS),
    ("ER_OUT_OF_RESOURCES", "HY000", StoreUnavailable, ENDS),
    ("ER_DA_OOM", "HY000", StoreUnavailable, ENDS),
    ("ER_NET_READ_INTERRUPTED", "08S01", StoreUnavailable, ENDS),  # any SQLSTATE of connections
    ("ER_UNKNOWN_COM_ERROR", "08S01", StoreUnavailable, ENDS),
]


def server_error(name: str, state: str, text: str = "the server's words", *, is_fatal: bool = False) -> ServerError:
    return ServerError(getattr(errorcode, name), state, text, is_fatal=is_fatal)


@pytest.mark.parametrize(("name", "state", "kind", "ends"), TABLE)
def test_each_error_is_one_of_the_stores(name: str, state: str, kind: type[StoreError], ends: bool) -> None:
    error = server_error(name, state)
    found = store_error(error, "db:33060/mubss", "accounts")
    assert type(found) is kind
    assert error.ends_link is ends
    assert "\n" not in str(found)
    if kind in (StoreError, StoreUnavailable, StoreAway, StoreConflict):
        assert str(found).startswith("db:33060/mubss: ")
        assert f"the server's words (error {error.code}, SQLSTATE {state})" in str(found)


@pytest.mark.parametrize("state", ["HY000", "08S01"])
def test_a_server_that_is_unavailable_is_left_and_no_other(state: str) -> None:
    found = [ServerError(code, state, "text") for code in range(1, 6000)]
    kept = [error.code for error in found if not error.ends_link]
    assert kept == [error.code for error in found if not isinstance(store_error(error, "db"), StoreUnavailable)]
    assert 20 < len(kept) < 100 if state == "08S01" else len(kept) > 5900


@pytest.mark.parametrize("name", ["ER_PARSE_ERROR", "ER_UNKNOWN_ERROR", "ER_INTERNAL_ERROR"])
def test_a_fatal_error_is_the_end_of_the_connection(name: str) -> None:
    error = server_error(name, "HY000", is_fatal=True)
    assert error.ends_link
    assert type(store_error(error, "db")) is StoreUnavailable
    assert str(store_error(error, "db")).startswith("db: the connection ended (the server's words (error ")


@pytest.mark.parametrize(("name", "state", "kind", "ends"), TABLE)
def test_a_fatal_error_ends_the_connection_and_stays_what_it_is(
    name: str, state: str, kind: type[StoreError], ends: bool
) -> None:
    error = server_error(name, state, is_fatal=True)
    assert error.ends_link
    assert type(store_error(error, "db")) is (StoreUnavailable if kind is StoreError else kind)


@pytest.mark.parametrize(
    ("text", "document_id"),
    [
        ("Duplicate entry '4917@x' for key 'accounts.PRIMARY'", "4917@x"),
        ("Duplicate entry '4917' for key 'PRIMARY'", "4917"),
        ("Duplicate entry 'it's' for key 'accounts.PRIMARY'", "it's"),
        ("Duplicate entry 'a' for key 'b' for key 'accounts.PRIMARY'", "a' for key 'b"),
        ("Duplicate entry 'two\nlines' for key 'accounts.PRIMARY'", "two\nlines"),
        ("Duplicate entry '' for key 'accounts.PRIMARY'", ""),
        ("Doppelter Eintrag '4917' für Schlüssel 'accounts.PRIMARY'", ""),
    ],
)
def test_a_duplicate_names_its_document(text: str, document_id: str) -> None:
    found = store_error(server_error("ER_DUP_ENTRY", "23000", text), "db", "accounts")
    assert isinstance(found, DuplicateId)
    assert (found.collection, found.document_id) == ("accounts", document_id)
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("name", "collection", "text"),
    [
        ("ER_NO_SUCH_TABLE", "accounts", "accounts: there is no such collection at db"),
        ("ER_NO_SUCH_TABLE", "", "the server's words: there is no such collection at db"),
        ("ER_INVALID_JSON_TEXT", "accounts", "accounts: the server's words (error 3140)"),
        ("ER_ACCESS_DENIED_ERROR", "", "db: access is denied: wrong user or password (the server's words"),
        ("ER_SECURE_TRANSPORT_REQUIRED", "", "db: it takes no connection without TLS (require_secure_transport): "),
        ("ER_READ_ONLY_MODE", "", "db: it is read-only (the server's words"),
        ("ER_LOCK_DEADLOCK", "", "db: a deadlock (the server's words"),
    ],
)
def test_what_is_said(name: str, collection: str, text: str) -> None:
    assert str(store_error(server_error(name, "HY000"), "db", collection)).startswith(text)


def test_the_numbers_that_others_go_by() -> None:
    assert errors.EXPECTATION_FAILED == errorcode.ER_X_EXPECT_NO_ERROR_FAILED
    assert errors.NO_SUCH_STATEMENT == errorcode.ER_X_BAD_STATEMENT_ID
    assert errors.TOO_MANY_STATEMENTS == errorcode.ER_MAX_PREPARED_STMT_COUNT_REACHED
    assert errors.ACCESS_DENIED == errorcode.ER_ACCESS_DENIED_ERROR
    assert errors.COLLECTION_EXISTS == errorcode.ER_TABLE_EXISTS_ERROR
    assert errors.NO_SUCH_COLLECTION == errorcode.ER_BAD_TABLE_ERROR


def test_an_unknown_commit_is_never_read_out_of_an_error() -> None:
    """Only who sent COMMIT knows that it was under way."""
    assert not any(isinstance(store_error(server_error(*row[:2]), "db"), UnknownCommit) for row in TABLE)
