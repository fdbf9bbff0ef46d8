"""Requests of every RPC as octets, into the real handlers on the demo's data: what they do, or how they refuse it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from itertools import islice
from types import SimpleNamespace
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from crm_examples import fields_of
from mubss.cli.init import set_up
from mubss.config import load
from mubss.core.roles import ADMIN, Principal
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.server import SERVICES, handlers
from mubss.crm.statuses import code_of, details_of
from mubss.pb import crm_pb2
from mubss.storage.database import open_database

FOLDER = tempfile.TemporaryDirectory(prefix="mubss-fuzz-rpc-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
METHODS = [
    (f"{service.name}/{method.name}", method)
    for service in crm_pb2.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
MOST_STREAMED = 50
WHO = Principal("fuzz", ADMIN, "jti", 1 << 40)


class Caller:
    """Who calls, and has hung up: a stream that would wait ends."""

    def peer(self) -> str:
        """Where the call comes from."""
        return "ipv4:127.0.0.1:1"

    def add_callback(self, _callback: Callable[[], None]) -> bool:
        """Nothing is called: it is over."""
        return False


def _open() -> tuple[Office, list[Any]]:
    variables = {
        "MUBSS_GENERAL__DATA_DIR": FOLDER.name,
        "MUBSS_LICENSE__FILE": f"{FOLDER.name}/platform.lic",
        "MUBSS_LICENSE__STATE_FILE": f"{FOLDER.name}/licence.state",
        "MUBSS_CRM__DELIVERS": "false",
    }
    config = load(None, variables)
    set_up(config, with_demo=True)
    office = Office(config, open_database(config.store_url))
    office.refdata.load()
    office.engine.start()
    return office, [handlers(office, service(office)) for service in SERVICES]


OFFICE, HANDLERS = _open()


def seeds() -> dict[str, bytes]:
    """Which RPC, by the first octet; then its request."""
    found = {}
    for number, (name, method) in enumerate(METHODS):
        request = GetMessageClass(method.input_type)(**fields_of(name, method))
        if "idempotency_key" in method.input_type.fields_by_name:
            request.idempotency_key = f"seed-{number}"
        found[name] = bytes([number]) + request.SerializeToString()
    toml = next(number for number, (name, _) in enumerate(METHODS) if name == "Refdata/ValidateRefdata")
    form = GetMessageClass(METHODS[toml][1].input_type)
    found["deep-toml"] = bytes([toml]) + form(toml="[[zones]]\ncode = " + "[" * 3000).SerializeToString()
    return found


def one_input(data: bytes) -> None:
    """The call is answered, or refused with a status other than INTERNAL and a message that is bounded."""
    if not data:
        return
    name, method = METHODS[data[0] % len(METHODS)]
    path = f"/{crm_pb2.DESCRIPTOR.package}.{name}"
    handler = next(filter(None, (one.service(SimpleNamespace(method=path)) for one in HANDLERS)))
    call = Call(name, WHO, "fuzz", Caller())
    try:
        if method.server_streaming:
            for answer in islice(handler.unary_stream(data[1:], call), MOST_STREAMED):
                handler.response_serializer(answer)
        else:
            handler.response_serializer(handler.unary_unary(data[1:], call))
    except Exception as error:
        code = code_of(error)
        if code is grpc.StatusCode.INTERNAL:
            raise
        details_of(code, str(error))
