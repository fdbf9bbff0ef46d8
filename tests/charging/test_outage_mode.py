"""The outage mode on a real store that goes away: who is granted how much, and what becomes of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charging_world import World
from core_builders import EVENT, INITIAL, MB, TERMINATE, UPDATE, mscc
from mubss.charging.order import Order
from mubss.charging.outage import PROBE_MS
from mubss.core.errors import Busy
from mubss.core.model import Movement, SetState
from mubss.services.audit_ledger import check
from mubss.services.outage import records, report
from outage_world import OutageWorld
from tiny_disk import tiny_disk

ALICE, BOB = "999700000001", "999700000002"
MB_MICROS, SMS_MICROS = 20_000, 80_000


@pytest.fixture
def made(world: World, tmp_path: Path) -> Iterator[OutageWorld]:
    office = OutageWorld(world, tmp_path / "outage")
    yield office
    office.outage.close()


def a_subscriber(made: OutageWorld, msisdn: str = ALICE, micros: int = 10_000_000, session: str = "") -> str:
    """Somebody who was served: with a session that is open, and 1 MB granted, where one is named."""
    account = made.world.account(msisdn, micros)
    if session:
        [outcome] = made.ask(made.request(msisdn, INITIAL, 0, mscc(1, asks=MB), session=session))
        assert units(outcome) == [MB]
    else:
        [outcome] = made.ask(made.request(msisdn, EVENT, 0, mscc(service="SMS"), session=f"known {msisdn}"))
        assert outcome.result == 2001
    return account


def units(outcome: Any) -> list[Any]:
    return [answer.granted_units for answer in outcome.answers]


def balance(made: OutageWorld, account: str) -> int:
    return int((made.world.get("accounts", account) or {})["balance_micros"])


def is_busy(answer: Any) -> bool:
    return isinstance(answer, Busy)


def test_sessions_begin_go_on_and_end_without_the_store_and_are_charged_once_it_is_back(made: OutageWorld) -> None:
    account = a_subscriber(made, session="old")
    made.store.is_away = True
    answers = made.ask(
        made.request(ALICE, UPDATE, 1, mscc(1, MB), session="old"),
        made.request(ALICE, INITIAL, 0, mscc(1), session="new"),
        made.request(ALICE, EVENT, 0, mscc(service="SMS"), session="sms"),
        made.request(ALICE, TERMINATE, 2, mscc(1, MB), session="old"),
    )
    assert [answer.result for answer in answers] == [2001] * 4
    assert units(answers[0]) == units(answers[1]) == [MB], "no more at once than the option says"
    assert made.outage.is_on and len(made.journals()) == 1
    asked = made.store.runs
    [repeated] = made.ask(made.request(ALICE, INITIAL, 0, mscc(1), session="new"))
    assert repeated == answers[1]
    [repeated] = made.ask(made.request(ALICE, TERMINATE, 2, mscc(1, MB), session="old"))
    assert repeated == answers[3]
    assert made.store.runs == asked, "nobody waits for a store that is away"
    made.back()
    assert balance(made, account) == 10_000_000 - 2 * MB_MICROS - SMS_MICROS
    stored = made.world.get("accounts", account) or {}
    [session] = stored["sessions"].values()
    assert session["id"] == "new" and stored["reserved_micros"] == MB_MICROS, "as much as its client holds"
    [repeated] = made.ask(made.request(ALICE, INITIAL, 0, mscc(1), session="new"))
    assert repeated == answers[1], "also from the store"
    [ended] = made.ask(made.request(ALICE, TERMINATE, 1, mscc(1, 1), session="new"))
    assert ended.result == 2001
    assert balance(made, account) == 10_000_000 - 3 * MB_MICROS - SMS_MICROS
    [row] = report(made.world.store)
    assert (row["requests"], row["charged"], row["refused"], row["repeat"]) == (4, 4, 0, 0)
    assert row["charged_micros"] == 2 * MB_MICROS + SMS_MICROS
    assert row["difference_micros"] == 0, "of what was granted, MB 1 of the old session was reserved before"
    assert made.journals() == [] and check(made.world.store) == (1, [])


@pytest.mark.parametrize(
    ("risk", "granted"),
    [
        ({}, [MB] * 8),
        ({"account_micros": 3 * MB_MICROS}, [MB] * 3 + [None] * 5),
        ({"account_micros": 3 * MB_MICROS, "units": {"octets": 2 * MB}}, [2 * MB, MB] + [None] * 6),
        ({"account_micros": 3 * MB_MICROS, "units": {"DATA": 2 * MB, "octets": 1}}, [2 * MB, MB] + [None] * 6),
        ({"all_micros": 2 * MB_MICROS}, [MB] * 2 + [None] * 6),
        ({"account_micros": 0}, [None] * 8),
        ({"all_micros": 0}, [None] * 8),
        ({"records": 4}, [MB] * 4 + [None] * 4),
        ({"currency": "EUR"}, [MB] * 8),
        ({"currency": "USD"}, [None] * 8),
    ],
)
def test_what_may_be_risked(world: World, tmp_path: Path, risk: Any, granted: list[int | None]) -> None:
    made = OutageWorld(world, tmp_path, **risk)
    a_subscriber(made)
    made.store.is_away = True
    answers = [made.ask(made.request(ALICE, INITIAL, 0, mscc(1), session=f"s{one}"))[0] for one in range(8)]
    assert [None if is_busy(answer) else units(answer)[0] for answer in answers] == granted
    assert made.outage.waiting.risk_micros == sum(one or 0 for one in granted) // MB * MB_MICROS
    made.crash()
    assert made.outage.waiting.risk_micros == sum(one or 0 for one in granted) // MB * MB_MICROS, "also after a restart"
    made.back()
    made.outage.close()


def test_everybodys_risk_is_shared(world: World, tmp_path: Path) -> None:
    made = OutageWorld(world, tmp_path, all_micros=3 * MB_MICROS)
    a_subscriber(made, ALICE), a_subscriber(made, BOB)
    made.store.is_away = True
    asked = [made.request((ALICE, BOB)[one % 2], INITIAL, 0, mscc(1), session=f"s{one}") for one in range(4)]
    assert [is_busy(answer) for answer in made.ask(*asked)] == [False, False, False, True]
    made.back()
    [answer] = made.ask(asked[3])
    assert units(answer) == [10 * MB], "the store is there: it may be as much as ever"
    made.outage.close()


@pytest.mark.parametrize(("later_ms", "knows"), [(3_600_000, True), (3_600_001, False)])
def test_nobody_is_known_for_ever(made: OutageWorld, later_ms: int, knows: bool) -> None:
    a_subscriber(made)
    made.world.clock.now_ms += later_ms
    made.store.is_away = True
    [answer] = made.ask(made.request(ALICE, INITIAL, 0, mscc(1)))
    assert is_busy(answer) is not knows


def test_of_many_the_last_ones_are_known(world: World, tmp_path: Path) -> None:
    made = OutageWorld(world, tmp_path, known_accounts=2)
    people = [f"99970000001{one}" for one in range(4)]
    for person in people:
        a_subscriber(made, person)
    made.store.is_away = True
    answers = made.ask(*(made.request(one, INITIAL, 0, mscc(1), session=one) for one in people))
    assert [is_busy(answer) for answer in answers] == [True, True, False, False]
    made.back()
    made.outage.close()


def test_what_is_never_granted(made: OutageWorld) -> None:
    a_subscriber(made, micros=SMS_MICROS + MB_MICROS // 2)
    made.store.is_away = True
    refused = [
        made.request(BOB, INITIAL, 0, mscc(1), session="a stranger"),
        made.request(ALICE, UPDATE, 1, mscc(1, MB), session="nobody's"),
        made.request(ALICE, TERMINATE, 1, mscc(1, MB), session="nobody's either"),
        made.request(ALICE, INITIAL, 0, mscc(1), session="more than the balance had"),
        made.request(ALICE, EVENT, 0, mscc(service="SMS"), session="refund", action=1),
        made.request(ALICE, EVENT, 0, mscc(service="SMS"), session="balance", action=2),
        made.request(ALICE, EVENT, 0, mscc(service="SMS"), session="price", action=3),
    ]
    assert [is_busy(answer) for answer in made.ask(*refused)] == [True] * 7
    assert made.journals() == [] and made.outage.waiting.risk_micros == 0
    made.back()


def test_a_journal_that_cannot_be_written_grants_nothing_and_forgets_nothing(
    made: OutageWorld, caplog: pytest.LogCaptureFixture
) -> None:
    a_subscriber(made)
    made.store.is_away = True
    made.risk.folder.write_text("no folder")
    for _ in range(3):
        [answer] = made.ask(made.request(ALICE, INITIAL, 0, mscc(1)))
        assert is_busy(answer), "also the repeat: it was never granted"
    assert len([one for one in caplog.records if "grants nothing" in one.message]) == 1
    made.risk.folder.unlink()
    [answer] = made.ask(made.request(ALICE, INITIAL, 0, mscc(1)))
    assert units(answer) == [MB]
    made.back()
    assert made.report()["requests"] == 1


def test_a_full_disk_grants_nothing(world: World, tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "outage", "size=8k") as disk:
        made = OutageWorld(world, disk)
        a_subscriber(made)
        made.store.is_away = True
        answers = [made.ask(made.request(ALICE, INITIAL, 0, mscc(1), session=f"s{one}"))[0] for one in range(40)]
        granted = sum(not is_busy(answer) for answer in answers)
        assert 0 < granted < 40
        made.crash()
        assert len(made.outage.waiting) == granted
        made.back()
        assert made.report()["charged"] == granted
        made.outage.close()


@pytest.mark.parametrize("crashes", [False, True])
def test_a_commit_nobody_heard_of_is_settled_by_the_replay(made: OutageWorld, crashes: bool) -> None:
    account = a_subscriber(made, session="s")
    made.store.loses = True
    [answer] = made.ask(made.request(ALICE, UPDATE, 1, mscc(1, MB), session="s"))
    assert made.store.is_away and units(answer) == [MB]
    [later] = made.ask(made.request(ALICE, UPDATE, 2, mscc(1, MB), session="s"))
    assert units(later) == [MB]
    assert balance(made, account) == 10_000_000 - MB_MICROS, "it had happened"
    if crashes:
        made.crash()
    made.back()
    assert balance(made, account) == 10_000_000 - 2 * MB_MICROS, "and happens once"
    assert [doc["state"] for doc in records(made.world.store)] == ["repeat", "charged"]
    assert check(made.world.store) == (1, [])


def test_replayed_twice_it_moves_once(made: OutageWorld) -> None:
    account = a_subscriber(made, session="s")
    made.store.is_away = True
    made.ask(made.request(ALICE, UPDATE, 1, mscc(1, MB), session="s"))
    made.ask(made.request(ALICE, EVENT, 0, mscc(service="SMS"), session="sms"))
    made.store.is_away = False
    before = made.replay._do(made.outage.waiting.first(10))
    assert before and balance(made, account) == 10_000_000 - MB_MICROS - SMS_MICROS
    made.crash()
    made.back()
    assert balance(made, account) == 10_000_000 - MB_MICROS - SMS_MICROS
    assert made.report()["requests"] == 2


def test_a_store_that_is_missed_once_costs_no_record(made: OutageWorld) -> None:
    account = a_subscriber(made, session="s")
    made.store.is_away = True
    for number in range(1, 4):
        made.ask(made.request(ALICE, UPDATE, number, mscc(1, MB), session="s"))
    made.store.is_away, made.store.misses = False, 1
    assert made.replay.run() == 0 and len(made.outage.waiting) == 3 and made.outage.is_on
    made.back()
    assert balance(made, account) == 10_000_000 - 3 * MB_MICROS
    assert [doc["state"] for doc in records(made.world.store)] == ["charged"] * 3


def test_records_of_one_session_are_never_done_together(made: OutageWorld) -> None:
    """A batch that is halved may do the second half though the first couldn't be done."""
    a_subscriber(made)
    made.store.is_away = True
    for session, number in [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("c", 0)]:
        type = UPDATE if number else INITIAL
        made.ask(made.request(ALICE, type, number, mscc(1, MB if number else None), session=session))
    waiting, found = made.outage.waiting, []
    while len(waiting):
        found.append(len(first := waiting.first(10)))
        waiting.done(len(first))
    assert found == [2, 3]
    made.store.is_away = False


def test_damage_between_two_tries_costs_only_what_is_damaged(
    made: OutageWorld, caplog: pytest.LogCaptureFixture
) -> None:
    account = a_subscriber(made, session="s")
    made.store.is_away = True
    for number in range(1, 6):
        made.ask(made.request(ALICE, UPDATE, number, mscc(1, MB), session="s"))
    made.store.is_away = False
    for _ in range(2):  # done, and the process dies before it can note so
        assert made.replay._do(made.outage.waiting.first(1))
        made.outage.finished(1)
    [path] = made.journals()
    data = bytearray(path.read_bytes())
    data[made.outage.waiting.records[1].place + 20] ^= 1  # in the request of number 4
    path.write_bytes(data)
    made.crash()
    made.back()
    assert balance(made, account) == 10_000_000 - 4 * MB_MICROS
    assert [doc["number"] for doc in records(made.world.store)] == [1, 2, 3, 5]
    assert made.journals() == [] and len(list(made.risk.folder.glob("*.damaged"))) == 1
    assert "octets damaged" in caplog.text
    made.outage.adopt()
    assert not len(made.outage.waiting), "it is done"


def test_a_journal_that_nothing_came_into_goes(made: OutageWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    a_subscriber(made)
    made.store.is_away = True

    def fails(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("mubss.charging.journal.os.fdatasync", fails)
        assert is_busy(made.ask(made.request(ALICE, INITIAL, 0, mscc(1)))[0])
    assert is_busy(made.ask(made.request(ALICE, INITIAL, 0, mscc(1)))[0]), "nobody knows what that disk has"
    assert len(made.journals()) == 1
    made.outage.adopt()
    assert made.journals() == []
    made.world.clock.now_ms -= 1  # no time for a look at the store
    assert units(made.ask(made.request(ALICE, INITIAL, 0, mscc(1)))[0]) == [MB], "in another one"
    made.back()
    assert made.journals() == []


def test_a_session_of_before_a_crash_waits_until_it_is_done(made: OutageWorld) -> None:
    account = a_subscriber(made)
    made.store.is_away = True
    made.ask(made.request(ALICE, INITIAL, 0, mscc(1), session="s"))
    made.crash()
    made.store.is_away = False
    next_one = made.request(ALICE, UPDATE, 1, mscc(1, MB), session="s")
    by_session = made.request(ALICE, UPDATE, 1, mscc(1, MB), session="s")
    by_session.identities = []
    other = made.request(ALICE, INITIAL, 0, mscc(1), session="of the same account")
    assert [is_busy(answer) for answer in made.ask(next_one, by_session, other)] == [True] * 3
    made.back()
    [answer] = made.ask(next_one)
    assert units(answer) == [10 * MB]
    assert balance(made, account) == 10_000_000 - SMS_MICROS - MB_MICROS


def test_what_another_process_has_granted_it_alone_goes_on_with(made: OutageWorld) -> None:
    account = a_subscriber(made)
    other = OutageWorld(made.world, made.risk.folder)
    known = other.request(ALICE, EVENT, 0, mscc(service="SMS"), session="known there, too")
    assert other.ask(known)[0].result == 2001
    made.store.is_away = True
    made.ask(made.request(ALICE, INITIAL, 0, mscc(1), session="s"))
    next_one = other.request(ALICE, UPDATE, 1, mscc(1, MB), session="s")
    other.outage.adopt()
    other.store.is_away = True
    assert is_busy(other.ask(other.request(BOB, INITIAL, 0, mscc(1), session="a stranger's"))[0])
    unheard_of = other.request(ALICE, INITIAL, 0, mscc(1), session="new, and not to be granted beside it")
    assert [is_busy(answer) for answer in other.ask(next_one, unheard_of)] == [True] * 2
    other.store.is_away = False
    made.world.clock.now_ms += PROBE_MS
    assert [is_busy(answer) for answer in other.ask(next_one)] == [True], "the store is there, the session isn't yet"
    made.ask(made.request(ALICE, INITIAL, 0, mscc(1), session="another"))
    made.outage.close()  # it ends
    other.outage.adopt()
    assert len(other.outage.waiting) == 2
    assert [is_busy(answer) for answer in other.ask(unheard_of)] == [True], "what it knew is no longer so"
    other.back()
    assert units(other.ask(next_one)[0]) == [10 * MB]
    assert balance(made, account) == 10_000_000 - 2 * SMS_MICROS - MB_MICROS
    other.outage.close()


def test_spent_elsewhere_meanwhile_it_is_charged_all_the_same(made: OutageWorld) -> None:
    account = a_subscriber(made, session="s")
    made.store.is_away = True
    made.ask(made.request(ALICE, UPDATE, 1, mscc(1, MB), session="s"))
    made.ask(made.request(ALICE, EVENT, 0, mscc(service="SMS"), session="sms"))
    made.world.engine().execute([Order(Movement("adjustment", -10_000_000), account=account)])
    made.back()
    assert balance(made, account) == -MB_MICROS - SMS_MICROS
    rows = records(made.world.store)
    assert [doc["state"] for doc in rows] == ["charged"] * 2
    # The session's grant of before was spent by the adjustment, and another 1 MB is reserved now.
    assert sum(doc["short_micros"] for doc in rows) == MB_MICROS + SMS_MICROS
    postings = made.world.all("postings")
    assert [one.get("overrun_micros") for one in postings][-2:] == [MB_MICROS, SMS_MICROS]
    assert check(made.world.store) == (1, [])


def test_who_was_suspended_meanwhile_has_what_began_refused_and_kept_in_suspense(made: OutageWorld) -> None:
    account = a_subscriber(made, session="old")
    made.store.is_away = True
    made.ask(made.request(ALICE, UPDATE, 1, mscc(1, MB), session="old"))
    made.ask(made.request(ALICE, INITIAL, 0, mscc(1), session="new"))
    made.ask(made.request(ALICE, UPDATE, 1, mscc(1, MB), session="new"))
    made.world.engine().execute([Order(SetState("suspended"), account=account)])
    made.back()
    assert balance(made, account) == 10_000_000 - MB_MICROS, "what was open is charged"
    rows = records(made.world.store)
    assert [(doc["state"], doc["result"], doc["suspended"]) for doc in rows] == [
        ("refused", 4010, 0),
        ("refused", 4010, 0),
        ("refused", 5002, 1),
    ]
    assert [doc["charged_micros"] for doc in rows] == [MB_MICROS, 0, 0]
    [kept] = made.world.all("suspense")
    assert kept["units"] == MB


def test_a_number_that_is_nobodys_any_more_is_in_the_report_too(made: OutageWorld) -> None:
    account = a_subscriber(made)
    made.store.is_away = True
    made.ask(made.request(ALICE, INITIAL, 0, mscc(1), session="s"))
    made.world.store.run(lambda session: session.collection("identities").remove_many([f"e164:{ALICE}"]))
    doc = made.world.get("accounts", account)
    assert doc is not None
    made.world.store.run(lambda session: session.collection("accounts").put_many([{**doc, "identities": []}]))
    made.back()
    [row] = records(made.world.store)
    assert (row["state"], row["result"], row["account"]) == ("refused", 5030, account)


def test_it_is_priced_by_the_time_of_its_answer_and_supervised_from_the_replay_on(made: OutageWorld) -> None:
    account = a_subscriber(made)
    made.store.is_away = True
    asked_ms = made.world.clock.now_ms
    made.ask(made.request(ALICE, INITIAL, 0, mscc(1), session="s"))
    made.ask(made.request(ALICE, UPDATE, 1, mscc(1, MB), session="s"))
    made.world.clock.now_ms += 3 * 3_600_000
    replayed_s = made.world.clock.now_ms // 1000
    made.back()
    [session] = (made.world.get("accounts", account) or {})["sessions"].values()
    assert session["opened_s"] == asked_ms // 1000
    assert session["expires_s"] == replayed_s + 7200
    assert made.world.all("postings")[-1]["at_ms"] == asked_ms


_runs = count(1)
step = st.tuples(
    st.sampled_from(["I", "U", "T", "E", "again", "away", "back", "lose", "crash", "replay one"]),
    st.integers(0, 1),  # subscriber
    st.integers(0, 1),  # session
)


@pytest.fixture(scope="module")
def module_world(module_store_url: str) -> World:
    return World(module_store_url)


class Clients:
    """Number their requests, ask again until they are answered, and count what they reported."""

    def __init__(self, made: OutageWorld, run: int) -> None:
        self._made, self._run = made, run
        self._people = [f"9996{run:06d}{one}" for one in range(2)]
        self.accounts = [made.world.account(one, 100_000_000) for one in self._people]
        self.spent = [0, 0]
        self._number = 0
        self._open: list[set[str]] = [set(), set()]
        self._last: Any = None  # order, who, what it costs, whether its session stays open

    def send(self, kind: str, who: int, session: int) -> None:
        """A request that fits the session as it is, if there is one."""
        name = f"{self._run};{who};{session}"
        person, is_open = self._people[who], name in self._open[who]
        self._number += 1
        number, request = self._number, self._made.request
        if kind == "I" and not is_open:
            self._last = request(person, INITIAL, number, mscc(1), session=name), who, 0, (True, name)
        elif kind in ("U", "T") and is_open:
            order = request(person, UPDATE if kind == "U" else TERMINATE, number, mscc(1, MB), session=name)
            self._last = order, who, MB_MICROS, (kind == "U", name)
        elif kind == "E":
            order = request(person, EVENT, 0, mscc(service="SMS"), session=f"{self._run};event;{number}")
            self._last = order, who, SMS_MICROS, (False, "")
        else:
            return
        self._deliver()

    def _deliver(self) -> None:
        """Until it is answered; who gets no answer asks again, and in the end with the store there."""
        made = self._made
        order, who, micros, (stays_open, name) = self._last
        for attempt in range(4):
            made.world.clock.now_ms += PROBE_MS
            if attempt == 2:
                made.store.is_away = made.store.loses = False
                made.replay.run()
            order.account, order.redirects = "", 0
            [answer] = made.ask(order)
            if not is_busy(answer):
                break
        assert answer.result == 2001, answer
        self.spent[who] += micros
        (self._open[who].add if stays_open else self._open[who].discard)(name)

    def send_again(self) -> None:
        """The last one once more: whatever is answered, it is not counted."""
        if self._last is not None:
            order = self._last[0]
            order.account, order.redirects = "", 0
            self._made.ask(order)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(step, max_size=40))
def test_whatever_goes_away_when_all_that_was_answered_is_charged_once(
    module_world: World, tmp_path_factory: pytest.TempPathFactory, steps: list[Any]
) -> None:
    made = OutageWorld(module_world, tmp_path_factory.mktemp("outage"), account_micros=10_000_000, all_micros=10**9)
    clients = Clients(made, next(_runs))
    for kind, who, session in steps:
        if kind == "away":
            made.store.is_away = True
        elif kind == "back":
            made.store.is_away = False
            made.replay.run()
        elif kind == "lose":
            made.store.loses = not made.store.is_away
        elif kind == "crash":
            made.crash()
        elif kind == "replay one" and not made.store.is_away:
            made.store.loses = False
            if found := made.outage.waiting.first(1):
                made.replay._do(found)
        elif kind == "again":
            clients.send_again()
        elif kind in "IUTE":
            clients.send(kind, who, session)
    made.store.loses = False
    made.back()
    for account, spent in zip(clients.accounts, clients.spent, strict=True):
        assert balance(made, account) == 100_000_000 - spent
    assert check(made.world.store)[1] == []
    assert made.journals() == []
    made.outage.close()
