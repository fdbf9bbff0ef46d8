"""One live connection for each Origin-Host: who is asked, who is let in, who has to go."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gevent
import pytest

from mubss.gy import registry as module
from mubss.gy.registry import LocalRegistry, Tell

HOST = "pgw.example"


class Told:
    """What connections were told; `answers` says what a probed one does."""

    def __init__(self) -> None:
        self.told: list[tuple[int, str]] = []
        self.answers: Callable[[int], None] = lambda _connection: None
        self.registry = LocalRegistry(self.tell)

    def tell(self, connection: int, what: Tell) -> None:
        self.told.append((connection, what.value))
        if what is Tell.PROBE:
            gevent.spawn(self.answers, connection)

    def claim(self, connection: int, state_id: int = 0, host: str = HOST) -> bool:
        with gevent.Timeout(10):
            return self.registry.claim(connection, host, state_id)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.05)
    yield Told()


@pytest.mark.conforms("RFC 6733 §2.1", "one connection for each Origin-Host")
def test_each_host_has_one(told: Told) -> None:
    assert told.claim(1)
    assert told.claim(2, host="smf.example")
    assert told.told == []


@pytest.mark.conforms("RFC 6733 §5.6.4", "who lives keeps its connection")
def test_who_answers_keeps_its_place(told: Told) -> None:
    told.answers = told.registry.alive
    assert told.claim(1)
    for number in (2, 3):
        assert not told.claim(number)
    assert told.told == [(1, "probe"), (1, "probe")]


@pytest.mark.conforms("RFC 6733 §5.6.4", "who is silent loses it to who comes")
def test_who_is_silent_loses_it(told: Told) -> None:
    assert told.claim(1)
    assert told.claim(2)
    assert told.told == [(1, "probe"), (1, "close")]
    told.registry.release(1)  # it ends a moment later, and takes nobody's place with it
    told.answers = told.registry.alive
    assert not told.claim(3)


def test_who_ends_while_it_is_asked_loses_it_at_once(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROBE_SECONDS", 1_000)
    told.answers = told.registry.release
    assert told.claim(1)
    assert told.claim(2)
    assert (2, "close") not in told.told


@pytest.mark.conforms("RFC 6733 §8.16", "a higher Origin-State-Id says that the peer began anew")
@pytest.mark.conforms("Rule 15", "a higher Origin-State-Id takes the connection's place at once")
@pytest.mark.parametrize("old, new, asked", [(5, 6, False), (5, 5, True), (6, 5, True), (0, 6, True), (5, 0, True)])
def test_a_higher_state_id_needs_no_question(told: Told, old: int, new: int, asked: bool) -> None:
    told.answers = told.registry.alive
    assert told.claim(1, old)
    assert told.claim(2, new) is not asked
    assert told.told == ([(1, "probe")] if asked else [(1, "close")])


def test_several_may_ask_for_a_place_that_is_taken(told: Told) -> None:
    told.answers = lambda connection: (gevent.sleep(0.01), told.registry.alive(connection))[1]
    assert told.claim(1)
    claims = [gevent.spawn(told.claim, number) for number in range(2, 6)]
    gevent.joinall(claims, raise_error=True)
    assert [claim.value for claim in claims] == [False] * 4
    assert told.told == [(1, "probe")]


def test_of_several_one_gets_a_place_that_is_free(told: Told) -> None:
    assert told.claim(1)
    claims = [gevent.spawn(told.claim, number) for number in range(2, 6)]
    gevent.joinall(claims, raise_error=True)
    assert sorted(claim.value for claim in claims) == [False, False, False, True]
    assert told.told == [(1, "probe"), (1, "close")]


def test_a_place_is_free_again_after_its_release(told: Told) -> None:
    assert told.claim(1)
    told.registry.release(1)
    told.registry.release(1)
    told.registry.alive(1)
    assert told.claim(2)
    assert told.told == []
