"""What a call that can't be done is answered with: the gRPC status of an error, and details that name the field."""

from __future__ import annotations

import re

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2

from mubss.charging.order import GuardConflict
from mubss.core.errors import AccountChanged, Busy, InputError, LedgerError, LicenceError, MubssError, UnknownAccount
from mubss.storage.database import StoreError

DETAILS = "grpc-status-details-bin"
MAX_MESSAGE_LETTERS = 1000
_FIELD = re.compile(r"([a-z][a-z0-9_.\[\]]{0,60}): ")


class KeyTaken(LedgerError):
    """An idempotency key was used for another request."""


class TooMany(MubssError):
    """As many of such calls are under way as may be: a repeat is welcome."""


class NotFound(InputError):
    """There is no such thing."""


_CODES: tuple[tuple[type[Exception], grpc.StatusCode], ...] = (
    (UnknownAccount, grpc.StatusCode.NOT_FOUND),
    (NotFound, grpc.StatusCode.NOT_FOUND),
    (AccountChanged, grpc.StatusCode.ABORTED),
    (GuardConflict, grpc.StatusCode.ABORTED),
    (TooMany, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (LedgerError, grpc.StatusCode.FAILED_PRECONDITION),
    (LicenceError, grpc.StatusCode.FAILED_PRECONDITION),
    (InputError, grpc.StatusCode.INVALID_ARGUMENT),
    (Busy, grpc.StatusCode.UNAVAILABLE),
    (StoreError, grpc.StatusCode.UNAVAILABLE),
)


def code_of(error: Exception) -> grpc.StatusCode:
    """The status of an error; INTERNAL for what is a bug, whose text stays in the log."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def details_of(code: grpc.StatusCode, message: str) -> bytes:
    """`google.rpc.Status` with the field that is at fault, where the message names one ("field: what, expected …")."""
    status = status_pb2.Status(code=code_pb2.Code.Value(code.name), message=message)
    if code is grpc.StatusCode.INVALID_ARGUMENT and (found := _FIELD.match(message)):
        violation = error_details_pb2.BadRequest.FieldViolation(field=found[1], description=message[found.end() :])
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    return bytes(status.SerializeToString())
