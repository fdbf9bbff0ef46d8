"""Traces of Gy requests, as a receiver of OTLP gets them from a real mubss-gy; and that nobody pays who has none."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gy_wire import Raw
from gy_world import EVENT, INITIAL, SMS, GyServer, World, data
from licensed import without_options
from mubss.gy.codec import Mscc
from mubss.services.spans import MAX_LETTERS, Child, Spans
from otlp import Receiver, Span


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Spans:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Spans(provider)


def test_a_request_is_a_span_with_its_parts(world: World) -> None:
    person = world.person()
    with Receiver() as receiver:
        before_ns = time.time_ns()
        with GyServer(world, tracing__url=receiver.url) as server, Raw(server.port).open() as peer:
            session = world.session_id()
            ccr = data(EVENT, 0, session, person, Mscc(None, [1]), service_context_id=SMS)
            assert peer.charge(ccr).answer.result_code == 2001
            nobody, unfit = world.session_id(), world.session_id()
            assert peer.charge(data(INITIAL, 0, nobody, None)).answer.result_code == 5030
            assert peer.charge(data(9, 0, unfit, person)).answer.result_code == 5004
        # the server has ended by now: what waited was sent before
        after_ns = time.time_ns()
        roots = {one.attributes["diameter.session_id"]: one for one in receiver.spans if one.name == "gy.ccr"}
        assert roots.keys() == {session, nobody, unfit}
        root = roots[session]
        assert root.service == "mubss-gy" and not root.parent and not root.error
        assert root.attributes == {
            "diameter.session_id": session,
            "diameter.cc_request_type": EVENT,
            "diameter.cc_request_number": 0,
            "diameter.peer": peer.host,
            "diameter.result_code": 2001,
        }
        parts = receiver.children(root)
        assert parts.keys() == {"decode", "charge"}
        below = receiver.children(parts["charge"])
        assert below.keys() == {"store"} and below["store"].attributes == {"mubss.batch_size": 1}
        [ledger] = receiver.children(below["store"]).values()
        assert ledger.name == "ledger"
        for outer, inner in ((root, parts["decode"]), (root, parts["charge"]), (parts["charge"], below["store"])):
            assert within(outer, inner), (outer, inner)
        assert within(below["store"], ledger) and parts["decode"].end_ns <= parts["charge"].begin_ns
        assert before_ns - 10**9 < root.begin_ns < root.end_ns < after_ns + 10**9
        assert receiver.children(roots[unfit]).keys() == {"decode"}
        assert roots[unfit].attributes["diameter.result_code"] == 5004
        assert roots[nobody].attributes["diameter.result_code"] == 5030
        assert len({one.trace for one in roots.values()}) == 3


def within(outer: Span, inner: Span) -> bool:
    """Whether a part is inside of its whole, but for the rounding of two clocks' difference."""
    return outer.begin_ns - 10_000 <= inner.begin_ns <= inner.end_ns <= outer.end_ns + 10_000


def test_a_receiver_that_is_away_keeps_nobody_waiting(world: World) -> None:
    with Receiver() as gone:
        url = gone.url
    person = world.person()
    with GyServer(world, tracing__url=url, tracing__per_mille=500) as server:
        with Raw(server.port).open() as peer:
            for _ in range(20):
                ccr = data(EVENT, 0, world.session_id(), person, Mscc(None, [1]), service_context_id=SMS)
                assert peer.charge(ccr).answer.result_code == 2001
        assert server.terminate() == 0


def test_what_is_recorded(spans: Spans, exporter: InMemorySpanExporter) -> None:
    parts = [Child("a", 1.0, 1.5, {"n": 1}, [Child("b", 1.25, 1.5)])]
    about = {"who": "e164:491700000001", "long": "x" * 1000, "broken": "a\nb", "n": 7}
    spans.record("root", 1.0, 2.0, about, parts, error="e164:491700000001 is away")
    b, a, root = exporter.get_finished_spans()
    assert (root.name, a.name, b.name) == ("root", "a", "b")
    assert root.attributes == {"who": "e164:*********001", "long": "x" * MAX_LETTERS, "broken": "a\\nb", "n": 7}
    assert root.status.description == "e164:*********001 is away" and not root.status.is_ok
    assert root.parent is None and a.parent is not None and b.parent is not None
    assert (a.parent.span_id, b.parent.span_id) == (root.context.span_id, a.context.span_id)
    assert root.end_time is not None and root.start_time is not None
    assert root.end_time - root.start_time == 10**9


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", 0x4BF92F3577B34DA6A3CE929D0E0E4736),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", None),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", None),
        ("x" * 55, None),
    ],
)
def test_a_caller_that_is_traced_is_the_parent(
    spans: Spans, exporter: InMemorySpanExporter, traceparent: str, trace: int | None
) -> None:
    spans.record("root", 1.0, 2.0, {}, traceparent=traceparent)
    [root] = exporter.get_finished_spans()
    assert (root.parent.trace_id if root.parent is not None else None) == trace


def test_what_nobody_wants_is_not_loaded() -> None:
    program = "import sys, mubss.gy.main, mubss.services.spans; sys.exit('opentelemetry' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_extra_that_is_missing_is_named(world: World) -> None:
    program = "import sys; sys.modules['opentelemetry.sdk.trace'] = None; import mubss.gy.main; mubss.gy.main.main()"
    environment = without_options() | {
        "MUBSS_STORE__URL": world.url,
        "MUBSS_GENERAL__DATA_DIR": str(world.folder),
        "MUBSS_TRACING__URL": "http://127.0.0.1:1/v1/traces",
        "MUBSS_GY__PORT": "0",
    }
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 78, done.stderr
    assert "tracing.url: http://127.0.0.1:1/v1/traces: there is no opentelemetry" in done.stderr
    assert "pip install mubss[otel]" in done.stderr
