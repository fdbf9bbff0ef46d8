"""The gRPC server: its services out of proto/crm.proto, the door before them, limits, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from mubss import metrics
from mubss.core.errors import ConfigError, InputError, LicenceError
from mubss.core.wording import counted
from mubss.crm import audited
from mubss.crm.auth import AuthInterceptor, Revoked
from mubss.crm.balances import Balances
from mubss.crm.billing import Billing
from mubss.crm.bills import Bills
from mubss.crm.call import Call
from mubss.crm.notifications import Delivery, Notifications
from mubss.crm.office import Office
from mubss.crm.permissions import LEAST_ROLE
from mubss.crm.refdata import Refdata
from mubss.crm.sessions import Sessions
from mubss.crm.statistics import Statistics
from mubss.crm.subscribers import Subscribers
from mubss.crm.system import System
from mubss.crm.usage import Usage
from mubss.crm.vouchers import Vouchers
from mubss.pb import crm_pb2
from mubss.services.control import CRM
from mubss.services.depths import of_crm
from mubss.services.process import Process
from mubss.services.spans import open_spans
from mubss.services.tokens import Keys, terms_of
from mubss.services.watch import Watch

SERVICES = (
    Subscribers,
    Balances,
    Usage,
    Bills,
    Vouchers,
    Notifications,
    Billing,
    Refdata,
    Sessions,
    Statistics,
    System,
)
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class CrmServer:
    """Serves until it is drained."""

    def __init__(self, office: Office) -> None:
        self._office = office
        options = office.config.crm
        self.keys = Keys(office.config.resolve(options.keys_folder))
        self._revoked = Revoked(office.store, lambda: office.now_s)
        self._spans = open_spans(CRM, office.config)
        auth = AuthInterceptor(
            self.keys,
            terms_of(options),
            lambda: office.now_s,
            self._revoked,
            max(1, options.threads // 2),
            self._spans,
        )
        self._server = grpc.server(
            ThreadPoolExecutor(options.threads, thread_name_prefix="crm"),
            interceptors=[auth],
            maximum_concurrent_rpcs=options.max_calls,
            options=[
                ("grpc.max_receive_message_length", options.max_message_octets),
                ("grpc.max_send_message_length", options.max_message_octets),
                ("grpc.max_metadata_size", 16_384),
                ("grpc.max_concurrent_streams", options.max_calls),
                ("grpc.keepalive_time_ms", options.keepalive_seconds * 1000),
                ("grpc.keepalive_timeout_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
                ("grpc.server_handshake_timeout_ms", options.handshake_seconds * 1000),  # 120 s without
                ("grpc.so_reuseport", 0),  # a second server is refused: the port is in use
            ],
        )
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for service in SERVICES:
            self._server.add_generic_rpc_handlers((handlers(office, service(office)),))
        if options.reflection:
            names = [one.full_name for one in crm_pb2.DESCRIPTOR.services_by_name.values()]
            reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], self._server)
        self._delivery = Delivery(office) if options.delivers else None
        self.port = 0
        self._is_draining = False
        watch = Watch(
            office.store,
            office.config,
            lambda counting: of_crm(counting, lambda: office.now_s),
            calls=lambda: metrics.CRM_CALLS.total,
        )
        self._process = Process(CRM, office.config, self._facts, lambda: self._is_draining, watch=watch)

    def _facts(self) -> dict[str, object]:
        gate = self._office.gate
        return {"port": self.port, **(gate.facts() if gate else {})}

    def listen(self, address: str, credentials: grpc.ServerCredentials | None) -> None:
        """Takes a port, with TLS unless there are no credentials; ConfigError where it can't be had."""
        try:
            if credentials is None:
                self.port = self._server.add_insecure_port(address)
            else:
                self.port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            self.port = 0
        if not self.port:
            raise ConfigError(f"crm.host, crm.port: {address} can't be listened on; expected a free port of ours")

    def start(self) -> None:
        """Answers calls from now on."""
        self._process.start()
        self._office.refdata.load()
        self._office.engine.start()
        self._office.nudge.start()
        self._revoked.start()
        if self._delivery is not None:
            self._delivery.start()
        self._server.start()
        self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        self._process.is_ready = True

    def reload(self) -> None:
        """Reads the keys again; ConfigError, with all as it was, where they can't be used."""
        self.keys.load()
        self._revoked.look()

    def drain(self, seconds: int) -> None:
        """Takes no more calls, ends those under way, at most so long, and stops."""
        self._is_draining = True
        self._health.enter_graceful_shutdown()
        self._server.stop(seconds).wait()
        self._revoked.stop()
        if self._delivery is not None:
            self._delivery.stop()
        self._office.engine.stop()
        self._office.nudge.stop()
        if self._spans is not None:
            self._spans.close()
        self._process.stop()


def handlers(office: Office, service: Any) -> grpc.GenericRpcHandler:
    """What calls of a service go to; each RPC must have its method, and its role in permissions.py."""
    name = type(service).__name__
    descriptor = crm_pb2.DESCRIPTOR.services_by_name[name]
    methods = {}
    for method in descriptor.methods:
        if f"{name}/{method.name}" not in LEAST_ROLE:
            raise LookupError(f"{name}/{method.name}: no role in permissions.py")
        do = getattr(service, _CAPITAL.sub("_", method.name).lower())
        if audited.writes(f"{name}/{method.name}"):
            do = _audited(office, do)
        make = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        methods[method.name] = make(
            _parsed(do, GetMessageClass(method.input_type)),
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
    return grpc.method_handlers_generic_handler(descriptor.full_name, methods)


def _audited(office: Office, do: Callable[[Any, Call], Any]) -> Callable[[Any, Call], Any]:
    """A call that writes: what it writes brings an entry."""

    def handler(request: Any, call: Call) -> Any:
        if office.gate is not None and not office.gate.is_open:
            raise LicenceError("licence: over; expected one in force for calls that write")
        audited.begin(office, call, request)
        return do(request, call)

    return handler


def _parsed(do: Callable[[Any, Call], Any], form: type[Message]) -> Callable[[bytes, Call], Any]:
    """Reads the request as part of the call, so that noise is the caller's fault; grpc would call it ours."""

    def handler(octets: bytes, call: Call) -> Any:
        request = form()
        try:
            request.ParseFromString(octets)
        except DecodeError:
            raise InputError(
                f"request: {counted(len(octets), 'octet')}; expected a {form.DESCRIPTOR.full_name} in UTF-8"
            ) from None
        return do(request, call)

    return handler
