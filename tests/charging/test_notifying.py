"""Notifications on their way, on both stores: leases, languages, tries, the dead, real servers that refuse first."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

import bill_office
from core_builders import NOW_S
from mubss.core.errors import InputError
from mubss.core.model import BuyBundle, Movement, StopBundle
from mubss.services.billing import bill_run
from mubss.services.notice_sinks import Message, NotTaken, Undeliverable
from mubss.services.notifying import (
    Delivered,
    acknowledge,
    backoff_s,
    deliver,
    forget_old,
    retry,
    take,
)
from mubss.storage import notifications as storage
from mubss.storage.database import open_database
from notice_office import DAY_S, Office, Shelf
from test_bill_run import PERIOD, RUN, people
from test_dunning import LADDER, ONE, a_pass


def test_a_notification_is_delivered_once_in_the_subscribers_language(office: Office) -> None:
    others = [office.subscriber(f"49170000001{number}", language=one) for number, one in enumerate(("de-AT", "xx"))]
    for account in (office.account, *others):
        office.do(Movement("topup", 5_000_000, "shop"), account=account)
    shelf = Shelf()
    post = office.post(shelf)
    assert deliver(post) == Delivered(sent=3)
    texts = {message.subscriber: (message.language, message.text) for message in shelf.taken}
    english = "We received 5.00 EUR. Your balance is 15.00 EUR."
    assert texts[office.account] == ("en", english)
    assert texts[others[0]] == ("de", "Wir haben 5.00 EUR erhalten. Ihr Guthaben beträgt 15.00 EUR.")
    assert texts[others[1]] == ("en", english)
    office.pass_time(10 * DAY_S)
    assert deliver(post) == Delivered() and len(shelf.offered) == 3
    assert {(doc["state"], doc["tries"], tuple(doc["done"])) for doc in office.docs()} == {("sent", 1, ("shelf",))}


def test_one_that_isn_t_taken_is_tried_later_and_later_and_then_is_dead(office: Office) -> None:
    office.top_up()
    shelf = Shelf("shelf", *[NotTaken("shelf: full")] * 9)
    post = office.post(shelf)
    for wait_s in (30, 60, 100):
        assert deliver(post) == Delivered(waiting=1)
        assert office.docs()[0]["why"] == "shelf: full"
        office.pass_time(wait_s - 1)
        assert deliver(post) == Delivered()
        office.pass_time(1)
    assert deliver(post) == Delivered(dead=1)
    [dead] = storage.find(office.world.store, storage.Wanted("dead"), 10)
    assert (dead["tries"], dead["why"]) == (4, "shelf: full")
    office.pass_time(100 * DAY_S)
    assert deliver(post) == Delivered()
    shelf.faults.clear()
    retry(office.world.store, [dead["_id"]], NOW_S)
    assert deliver(post) == Delivered(sent=1)
    assert shelf.offered == [dead["_id"]] * 5, "always under the same id"
    assert "why" not in office.docs()[0]


def test_the_waits_are_bounded(small_office: Office) -> None:
    options = small_office.config().notifications
    assert [backoff_s(options, tries) for tries in (0, 1, 2, 3, 4, 100)] == [30, 30, 60, 100, 100, 100]


def test_a_sink_that_took_it_isn_t_asked_again(small_office: Office) -> None:
    small_office.top_up()
    good, bad = Shelf("good"), Shelf("bad", NotTaken("bad: full"), NotTaken("bad: full"))
    post = small_office.post(good, bad)
    for result in (Delivered(waiting=1), Delivered(waiting=1), Delivered(sent=1)):
        assert deliver(post) == result
        small_office.pass_time(DAY_S)
    assert (len(good.offered), len(bad.offered)) == (1, 3)


def test_what_no_try_will_deliver_is_dead_at_once(small_office: Office) -> None:
    small_office.top_up()
    assert deliver(small_office.post(Shelf("shelf", Undeliverable("shelf: no address")))) == Delivered(dead=1)
    [dead] = small_office.docs()
    assert (dead["state"], dead["tries"], dead["why"]) == ("dead", 1, "shelf: no address")


def test_a_process_that_dies_leaves_it_to_the_next(office: Office) -> None:
    office.top_up(3)
    store = office.world.store
    lost = take(store, NOW_S, 120)  # and nobody hears of that process again
    assert len(lost) == 3 and take(store, NOW_S, 120) == [] and take(store, NOW_S + 119, 120) == []
    shelf = Shelf()
    office.pass_time(120)
    assert deliver(office.post(shelf)) == Delivered(sent=3)
    assert {doc["tries"] for doc in office.docs()} == {2}


def test_who_comes_back_after_its_lease_changes_nothing(office: Office) -> None:
    office.top_up()

    class Slow(Shelf):
        def send(self, message: Message, now_s: int) -> None:
            office.pass_time(500)  # another process takes and delivers it meanwhile
            assert deliver(office.post(Shelf("slow"))) == Delivered(sent=1)
            raise NotTaken("slow: it took too long")

    deliver(office.post(Slow("slow")))
    [doc] = office.docs()
    assert (doc["state"], doc["tries"]) == ("sent", 2) and "why" not in doc


def test_what_a_lease_has_no_time_for_is_given_back(small_office: Office) -> None:
    small_office.top_up(3)

    class Slow(Shelf):
        def send(self, message: Message, now_s: int) -> None:
            super().send(message, now_s)
            small_office.pass_time(100)

    shelf = Slow()
    assert deliver(small_office.post(shelf)) == Delivered(sent=3)
    assert len(shelf.offered) == 3 == len(set(shelf.offered)), "two of the first lease, the third of another"
    assert {doc["tries"] for doc in small_office.docs()} == {1}


def test_a_stop_gives_back_what_was_taken(office: Office) -> None:
    office.top_up(3)
    shelf = Shelf()
    assert deliver(office.post(shelf), lambda: bool(shelf.offered)) == Delivered(sent=1)
    assert sorted((doc["state"], doc["tries"]) for doc in office.docs()) == [("new", 0), ("new", 0), ("sent", 1)]
    assert deliver(office.post(shelf)) == Delivered(sent=2)


def test_two_at_once_deliver_each_once(office: Office) -> None:
    office.top_up(120)
    shelves = [Shelf(), Shelf()]
    together = threading.Barrier(2)
    faults: list[Exception] = []

    def work(shelf: Shelf) -> None:
        store = open_database(office.world.url)
        try:
            together.wait()
            deliver(replace(office.post(shelf), store=store))
        except Exception as error:
            faults.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work, args=(shelf,)) for shelf in shelves]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    offered = shelves[0].offered + shelves[1].offered
    assert len(offered) == 120 == len(set(offered))
    assert {doc["state"] for doc in office.docs()} == {"sent"}


def test_the_end_of_a_bundle_is_told_only_if_something_is_left(office: Office) -> None:
    shelf = Shelf()
    post = office.post(shelf)
    office.do(BuyBundle("TALK"))
    office.do(BuyBundle("TALK"))  # the one before doesn't renew any more, this one does
    office.pass_time(28 * DAY_S + 1800)
    assert deliver(post) == Delivered(sent=1, dropped=1)
    assert shelf.taken[0].text.startswith("Your bundle TALK ends on 2026-12-16 13:00; 1 kB are left.")
    assert {doc.get("why") for doc in office.docs()} == {None, "the bundle renews"}


def test_a_bundle_that_was_stopped_is_told_of(small_office: Office) -> None:
    shelf = Shelf()
    small_office.do(BuyBundle("TALK"), StopBundle("TALK"))
    assert deliver(small_office.post(shelf)) == Delivered()
    small_office.pass_time(29 * DAY_S)
    assert deliver(small_office.post(shelf)) == Delivered(sent=1)
    small_office.do(BuyBundle("TALK"), StopBundle("TALK"))
    small_office.pass_time(60 * DAY_S)
    assert deliver(small_office.post(shelf)) == Delivered(dropped=1), "nobody delivered it while it was of use"


def test_a_bill_is_told_with_its_number(office: Office) -> None:
    office.world.clock.now_ms = PERIOD.start_s * 1000
    people(office.world, 1)
    [billed] = bill_run(office.world.store, office.engine, office.world.tables, RUN, PERIOD.end_s + 3600)
    assert billed.bill is not None
    shelf = Shelf()
    office.world.clock.now_ms = (PERIOD.end_s + DAY_S) * 1000
    assert deliver(office.post(shelf)) == Delivered(sent=1)
    number, day = billed.bill["number"], billed.bill["due_day"]
    assert shelf.taken[0].text == f"Your bill {number} is ready: 15.00 EUR, to be paid by {day}."
    now_s = PERIOD.end_s + DAY_S
    lost = storage.make("bill_ready", billed.account, "en", "bill 2", {"bill": "0" * 32}, now_s)
    gone = storage.make("suspended", "nobody", "en", "x", {}, now_s)
    poor = storage.make("dunning_remind", billed.account, "en", "bill 3", {}, now_s)
    office.world.store.run(lambda session: session.collection("notifications").add_many([lost, gone, poor]))
    assert deliver(office.post(shelf)) == Delivered(dropped=2, dead=1)
    whys = {doc["why"] for doc in office.docs() if "why" in doc}
    assert {"there is no such bill, or it was taken back", "there is no such subscriber any more"} < whys
    assert any("its text can't be made" in why for why in whys)


def test_each_step_of_dunning_is_told(small_office: Office) -> None:
    world = small_office.world
    world.tables = replace(world.tables, dunning=LADDER)
    accounts = bill_office.people(world, 1)
    bill_office.run(world)
    bill_office.format_all(world)
    for days in (3, 12, 25):
        assert len(a_pass(world, days)) == 1
    shelf = Shelf()
    assert deliver(small_office.post(shelf)) == Delivered(sent=3)
    texts = {message.kind: message.text for message in shelf.taken}
    assert (
        texts["dunning_remind"]
        == f"Your bill {ONE} was to be paid by 2026-11-18; 15.00 EUR are open. Please pay them now."
    )
    assert texts["dunning_warn"].startswith(f"Your bill {ONE} is 12 days overdue; 15.00 EUR are open.")
    assert f"15.00 EUR of your bill {ONE} are open" in texts["dunning_suspend"]
    assert {message.subscriber for message in shelf.taken} == set(accounts)


def test_the_dead_are_retried_or_acknowledged_by_their_ids(office: Office) -> None:
    office.top_up(3)
    deliver(office.post(Shelf("shelf", *[Undeliverable("shelf: no")] * 2)))
    dead = [doc["_id"] for doc in office.docs() if doc["state"] == "dead"]
    [sent] = [doc["_id"] for doc in office.docs() if doc["state"] == "sent"]
    store = office.world.store
    for change in (retry, acknowledge):
        for ids, fault in (
            ([dead[0], sent], f"id: {sent} is sent; expected a dead one"),
            ([dead[0], "nothing"], "id: 'nothing'; expected that of a notification"),
            (["x" * 5000], "id: 'xxx"),
        ):
            with pytest.raises(InputError) as caught:
                change(store, ids, NOW_S)
            assert str(caught.value).startswith(fault)
            assert len(storage.find(store, storage.Wanted("dead"), 9)) == 2
    retry(store, [dead[0]], NOW_S)
    acknowledge(store, [dead[1]], NOW_S)
    assert {doc["_id"]: doc["state"] for doc in office.docs()}[dead[0]] == "new"
    assert {doc["_id"]: doc["state"] for doc in office.docs()}[dead[1]] == "acknowledged"


def test_what_is_settled_is_forgotten_the_dead_are_not(office: Office) -> None:
    office.top_up(3)
    deliver(office.post(Shelf("shelf", Undeliverable("no"))))
    store, options = office.world.store, office.config().notifications
    forget_old(store, options, NOW_S + 30 * DAY_S)
    assert len(office.docs()) == 3
    forget_old(store, options, NOW_S + 30 * DAY_S + 1)
    assert [doc["state"] for doc in office.docs()] == ["dead"]
