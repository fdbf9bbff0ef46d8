"""RPCs as monitoring sees them: counted by method and status, and as spans of who called."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

from crm_world import PREPAID, CrmWorld, refused
from mubss import metrics
from mubss.core.roles import VIEWER
from mubss.services.control import CRM
from otlp import Receiver, Span

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def crm(module_store_url: str, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[CrmWorld]:
    """A server that is traced."""
    world = CrmWorld(module_store_url, tmp_path_factory.mktemp("crm"), tracing__url=receiver.url)
    yield world
    world.close()


def spans_of(receiver: Receiver, method: str, status: str) -> list[Span]:
    """Those that have come, once one has."""
    return receiver.wait_for(lambda one: one.name == f"rpc {method}" and one.attributes["rpc.grpc.status"] == status)


def test_calls_are_spans_of_who_called(crm: CrmWorld, receiver: Receiver) -> None:
    client = crm.client(token=crm.token(subject="clerk"))
    client._metadata += [("traceparent", f"00-{TRACE}-00f067aa0ba902b7-01"), ("x-request-id", "r-1")]
    client.call("Balances/GetBalance", subscriber=PREPAID)
    [span] = spans_of(receiver, "Balances/GetBalance", "OK")
    assert (span.service, span.trace.hex(), span.parent.hex()) == (CRM, TRACE, "00f067aa0ba902b7")
    assert span.attributes == {
        "rpc.method": "Balances/GetBalance",
        "mubss.request_id": "r-1",
        "enduser.id": "clerk",
        "rpc.grpc.status": "OK",
    }
    assert not span.error and span.begin_ns < span.end_ns
    client.close()

    assert refused(lambda: crm.call("Balances/GetBalance", subscriber="x"))[0] is grpc.StatusCode.INVALID_ARGUMENT
    [span] = spans_of(receiver, "Balances/GetBalance", "INVALID_ARGUMENT")
    assert not span.error and not span.parent  # the caller's fault, not ours


def test_streams_are_spans_too(crm: CrmWorld, receiver: Receiver) -> None:
    with pytest.raises(grpc.RpcError):
        list(crm.client().stream("Billing/WatchActivity", id="0" * 32))
    [span] = receiver.wait_for(lambda one: one.name == "rpc Billing/WatchActivity")
    assert span.attributes["rpc.grpc.status"] == "NOT_FOUND"


def test_calls_are_counted_by_method_and_status(crm: CrmWorld) -> None:
    def count(code: str) -> int:
        return int(metrics.CRM_CALLS.values.get(("Subscribers/GetSubscriber", code), 0))

    before = count("OK"), count("NOT_FOUND"), metrics.CRM_REFUSED.total
    took = metrics.CRM_SECONDS.values.get(("Subscribers/GetSubscriber",), [0, 0])[1:]
    crm.call("Subscribers/GetSubscriber", subscriber=PREPAID)
    assert refused(lambda: crm.call("Subscribers/GetSubscriber", subscriber="999799999999"))[0] is (
        grpc.StatusCode.NOT_FOUND
    )
    assert refused(lambda: crm.client(token="x").call("Subscribers/GetSubscriber", subscriber=PREPAID))[0] is (
        grpc.StatusCode.UNAUTHENTICATED
    )
    reader = crm.client(VIEWER)
    assert refused(lambda: reader.call("Balances/TopUp", subscriber=PREPAID, amount_micros=1, idempotency_key="k"))[
        0
    ] is (grpc.StatusCode.PERMISSION_DENIED)
    assert (count("OK"), count("NOT_FOUND")) == (before[0] + 1, before[1] + 1)
    assert metrics.CRM_REFUSED.total == before[2] + 2
    assert sum(metrics.CRM_SECONDS.values["Subscribers/GetSubscriber",][1:]) == sum(took) + 2
    assert metrics.CRM_UNDER_WAY.values[()] == 0
