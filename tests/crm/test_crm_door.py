"""Who gets through the door: every role at every RPC, tokens, TLS, what is refused and how little it says."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from mubss_crm import Crm

from crm_world import PREPAID, CrmWorld, refused
from mubss.core.roles import AGENT, ROLES, VIEWER
from mubss.crm.permissions import LEAST_ROLE
from mubss.pb import crm_pb2
from mubss.storage import tokens

UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
RPCS = {
    f"{service.name}/{method.name}": method
    for service in crm_pb2.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


def outcome(client: Crm, name: str) -> grpc.StatusCode | None:
    """What an empty request comes to; None where it is answered."""
    try:
        if RPCS[name].server_streaming:
            list(client.stream(name))
        else:
            client.call(name)
    except grpc.RpcError as error:
        return error.code()
    return None


def test_every_rpc_has_its_role() -> None:
    assert set(LEAST_ROLE) == set(RPCS) and set(LEAST_ROLE.values()) <= set(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_the_table_says(crm: CrmWorld, role: str) -> None:
    client = crm.client(role)
    for name, least in LEAST_ROLE.items():
        may = ROLES.index(role) >= ROLES.index(least)
        found = outcome(client, name)
        assert (found is not DENIED) == may and found is not UNAUTHENTICATED, (name, role, found)


def test_without_a_good_token_nothing_is_done(crm: CrmWorld) -> None:
    good = crm.token(VIEWER)
    head, body, _ = good.split(".")
    for token in ("", "x", f"{head}.{body}.", good + "x", "x" * 8192):
        client = crm.client(token=token)
        for name in LEAST_ROLE:
            assert outcome(client, name) is UNAUTHENTICATED, (name, token[:20])
        client.close()


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("authorization", "")],
        [("authorization", "Basic {}")],
        [("authorization", "bearer {}")],
        [("authorization", "Bearer  {}")],
        [("authorization", "Bearer {}"), ("authorization", "Bearer {}")],
        [("authorization-bin", b"Bearer")],
    ],
)
def test_headers_that_arent_taken(crm: CrmWorld, metadata: list[tuple[str, Any]]) -> None:
    token = crm.token()
    filled = [(name, value.format(token) if isinstance(value, str) else value) for name, value in metadata]
    with grpc.secure_channel(crm.address, grpc.ssl_channel_credentials(crm.ca)) as channel:
        do = channel.unary_unary("/mubss.crm.v1.System/GetSystem")
        code, message = refused(lambda: do(b"", metadata=filled, timeout=10))
    assert (code, message) == (UNAUTHENTICATED, "UNAUTHENTICATED")


def test_a_revoked_token_isnt_taken(crm: CrmWorld) -> None:
    token = crm.token(AGENT, "leaver")
    client = crm.client(token=token)
    assert client.call("Subscribers/GetSubscriber", subscriber=PREPAID).msisdn == PREPAID
    from jose import jwt

    now_s = int(time.time())
    tokens.revoke(crm.store, jwt.get_unverified_claims(token)["jti"], now_s, now_s + 999)
    crm.server.reload()
    assert refused(lambda: client.call("Subscribers/GetSubscriber", subscriber=PREPAID))[0] is UNAUTHENTICATED
    client.close()


def test_health_needs_no_token_and_says_little(crm: CrmWorld) -> None:
    with grpc.secure_channel(crm.address, grpc.ssl_channel_credentials(crm.ca)) as channel:
        do = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        assert do(health_pb2.HealthCheckRequest(), timeout=10).status == health_pb2.HealthCheckResponse.SERVING
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch", response_deserializer=bytes)
        assert refused(lambda: list(watch(b"", timeout=10)))[0] is UNAUTHENTICATED
        reflect = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        assert refused(lambda: list(reflect(iter([b""]), timeout=10)))[0] is UNAUTHENTICATED


def test_a_call_that_there_isnt(crm: CrmWorld) -> None:
    metadata = [("authorization", f"Bearer {crm.token()}")]
    with grpc.secure_channel(crm.address, grpc.ssl_channel_credentials(crm.ca)) as channel:
        for path in ("/mubss.crm.v1.Balances/Nope", "/x/y", "/Balances/TopUp"):
            do = channel.unary_unary(path)
            assert refused(lambda do=do: do(b"", metadata=metadata, timeout=10))[0] is grpc.StatusCode.UNIMPLEMENTED
            assert refused(lambda do=do: do(b"", timeout=10))[0] is UNAUTHENTICATED


def test_plain_text_and_strange_authorities_get_nowhere(crm: CrmWorld) -> None:
    other = crm.ca.replace(b"A", b"B", 0)
    for channel in (
        grpc.insecure_channel(crm.address),
        grpc.secure_channel(crm.address, grpc.ssl_channel_credentials()),
        grpc.secure_channel(crm.address.replace("localhost", "127.0.0.1"), grpc.ssl_channel_credentials(other)),
    ):
        do = channel.unary_unary("/grpc.health.v1.Health/Check")
        assert refused(lambda do=do: do(b"", timeout=10))[0] is grpc.StatusCode.UNAVAILABLE
        channel.close()


def test_each_call_has_an_id(crm: CrmWorld) -> None:
    metadata = [("authorization", f"Bearer {crm.token()}")]
    with grpc.secure_channel(crm.address, grpc.ssl_channel_credentials(crm.ca)) as channel:
        do = channel.unary_unary("/mubss.crm.v1.System/GetSystem")
        for given, kept in (("my-id.1", True), ("a b", False), ("x" * 65, False)):
            _, call = do.with_call(b"", metadata=[*metadata, ("x-request-id", given)], timeout=10)
            [found] = [value for name, value in call.trailing_metadata() if name == "request-id"]
            assert (found == given) == kept and found


@pytest.mark.parametrize("name", sorted(RPCS))
def test_noise_as_a_request_is_refused(crm: CrmWorld, name: str) -> None:
    metadata = [("authorization", f"Bearer {crm.token()}")]
    with grpc.secure_channel(crm.address, grpc.ssl_channel_credentials(crm.ca)) as channel:
        for noise in (b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x0f"):
            do = channel.unary_stream(f"/mubss.crm.v1.{name}")
            code, message = refused(lambda do=do, noise=noise: list(do(noise, metadata=metadata, timeout=10)))
            assert code is grpc.StatusCode.INVALID_ARGUMENT and message.startswith("request: ")
    assert crm.call("Subscribers/GetSubscriber", subscriber=PREPAID).msisdn == PREPAID


def test_gevent_stays_out() -> None:
    text = "import mubss.crm.main, sys; sys.exit('gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", text], check=False).returncode == 0
