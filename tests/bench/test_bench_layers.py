"""Which layer of mubss-gy a stack belongs to."""

from __future__ import annotations

import pytest

from benching.layers import CHARGE, DECODE, ENCODE, LAYERS, LOOP, READ, REST, RULES, STORE, WRITE, layer_of, profile_of

ROOT_FRAMES = "Connection.serve (mubss/gy/connection.py:101);Connection._take (mubss/gy/connection.py:133)"
WORKER = "_WorkerGreenlet.run (gevent/threadpool.py:199);SqliteStore._run_here (mubss/xdev/sqlite/engine.py:73)"


@pytest.mark.parametrize(
    ("stack", "layer"),
    [
        ("Connection.serve (mubss/gy/connection.py);SocketMixin.recv (gevent/_socketcommon.py)", READ),
        (f"{ROOT_FRAMES};Framer.feed (mubss/gy/message.py)", READ),
        (f"{ROOT_FRAMES};Connection._charge (mubss/gy/connection.py);decode_ccr (mubss/gy/ccr_decode.py:76)", DECODE),
        ("decode_ccr (mubss/gy/ccr_decode.py);avps (mubss/gy/avp.py)", DECODE),
        ("encode_cca (mubss/gy/cca_encode.py);octets (mubss/gy/avp.py)", ENCODE),
        ("Connection._done (mubss/gy/connection.py);to_answer (mubss/gy/credit_answer.py)", ENCODE),
        (f"{ROOT_FRAMES};Connection._charge (mubss/gy/connection.py);to_command (mubss/gy/credit.py)", CHARGE),
        (f"{WORKER};Batch.run (mubss/charging/batch.py);apply (mubss/core/ledger.py)", CHARGE),
        (f"{WORKER};Batch.run (mubss/charging/batch.py);begin (mubss/storage/accounts.py)", STORE),
        (f"{WORKER};Histogram.observe (mubss/metrics.py)", STORE),
        ("<lambda> (<string>:1);encode (mubss/xdev/documents.py:55)", STORE),
        ("Connection._write (mubss/gy/connection.py);SocketMixin.sendall (gevent/_socketcommon.py)", WRITE),
        ("Connection._answer (mubss/gy/connection.py);Connection.send (mubss/gy/connection.py)", WRITE),
        ("Connection._give_way (mubss/gy/connection.py);sleep (gevent/hub.py)", LOOP),
        ("Hub.run (gevent/hub.py:631)", LOOP),
        ("Thread.run (threading.py:971);wait (threading.py)", LOOP),
        ("every (mubss/gy/server.py);sleep (gevent/hub.py)", REST),
        ("main (elsewhere.py)", REST),
        ("no frame at all", REST),
    ],
)
def test_the_innermost_frame_with_a_rule_decides(stack: str, layer: str) -> None:
    assert layer_of(stack.split(";")) == layer


def test_shares_are_of_all_samples() -> None:
    lines = ["Hub.run (gevent/hub.py) 30", "apply (mubss/core/ledger.py:7) 60", "odd (x.py) 10", "", "half a line"]
    found = profile_of(lines)
    assert found.shares == dict.fromkeys(LAYERS, 0) | {LOOP: 0.3, CHARGE: 0.6, REST: 0.1}
    assert found.strangers == {"odd (x.py)": 10}


def test_nothing_sampled_is_no_fault() -> None:
    assert set(profile_of([]).shares.values()) == {0}


def test_every_rule_names_a_module_that_is_there() -> None:
    """A module that moves must not silently become unclassified."""
    from benching.gy import SCRIPTS

    root = SCRIPTS.parent
    for place, functions, _ in RULES:
        found = [root / place] if (root / place).exists() else list(root.glob(place + "*.py"))
        assert found, place
        text = "".join(one.read_text() for one in found if one.is_file())
        assert [name for name in functions if f"def {name}(" not in text] == [], place
