"""The audit of RPCs: what a call writes by these brings its entry, in the same transaction.

Every call that isn't named as one that reads is held to it by a test.
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from mubss.charging.engine import Engine
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.services.auditing import Act, AuditedEngine, AuditedStore
from mubss.storage.database import Store

# A method whose name begins otherwise writes, as far as anybody knows: a new one is audited unless it says it reads.
_READS = re.compile(r"[A-Za-z]+/(Get|List|Search|Explain|Watch|Look[Uu]p|Validate|Diff|Preview|Download|Find)[A-Z]?")


def writes(method: str) -> bool:
    """Whether a call ("Balances/TopUp") is audited."""
    return not _READS.match(method)


def begin(office: Office, call: Call, request: Message) -> None:
    """From now on the call's writes are audited."""
    principal = call.principal
    fields = {field.name: _plain(value) for field, value in request.ListFields()}
    call.act = Act(
        principal.subject, principal.role, call.peer, call.method, fields, lambda: office.now_ms, call.request_id
    )


def audited_engine(office: Office, call: Call) -> Engine:
    """The office's engine, whose orders bring the call's entry."""
    return office.engine if call.act is None else AuditedEngine(office.engine, call.act)


def audited_store(office: Office, call: Call) -> Store:
    """The office's store, whose write transactions bring the call's entry."""
    return office.store if call.act is None else AuditedStore(office.store, call.act)


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return MessageToDict(value, preserving_proto_field_name=True)
    return value if isinstance(value, str | int | bytes) else [_plain(one) for one in value]
