"""A client of mubss-crm in Python: every call of proto/crm.proto by its name, with TLS, a token and deadlines.

crm = Crm("localhost:50051", token, ca=Path("ca.pem").read_bytes())
balance = crm.call("Balances/GetBalance", subscriber="999700000001")
for activity in crm.stream("Billing/WatchActivity", id=activity_id): ...
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from mubss.pb import crm_pb2

PACKAGE = crm_pb2.DESCRIPTOR.package


class Crm:
    """One connection, kept alive; any number of threads may call."""

    def __init__(self, address: str, token: str, ca: bytes | None = None, seconds: float = 10.0) -> None:
        self.address = address
        self._metadata = [("authorization", f"Bearer {token}")] if token else []
        self._seconds = seconds
        if ca is None:
            self._channel = grpc.insecure_channel(address)
        else:
            self._channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(ca))

    def call(self, name: str, /, **fields: Any) -> Any:
        """One answer to a request with these fields; grpc.RpcError says what is wrong."""
        method = _method(name)
        do = self._channel.unary_unary(*_path(name), **_forms(method))
        return do(_request(method, fields), metadata=self._metadata, timeout=self._seconds)

    def stream(self, name: str, /, **fields: Any) -> Iterator[Any]:
        """Answers as they come; whoever stops reading cancels the call."""
        method = _method(name)
        answers = self._channel.unary_stream(*_path(name), **_forms(method))(
            _request(method, fields), metadata=self._metadata
        )
        try:
            yield from answers
        finally:
            answers.cancel()

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()


def _method(name: str) -> Any:
    service, _, method = name.partition("/")
    return crm_pb2.DESCRIPTOR.services_by_name[service].methods_by_name[method]


def _path(name: str) -> tuple[str]:
    return (f"/{PACKAGE}.{name}",)


def _forms(method: Any) -> dict[str, Any]:
    return {
        "request_serializer": GetMessageClass(method.input_type).SerializeToString,
        "response_deserializer": GetMessageClass(method.output_type).FromString,
    }


def _request(method: Any, fields: dict[str, Any]) -> Message:
    return GetMessageClass(method.input_type)(**fields)
