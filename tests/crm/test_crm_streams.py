"""Streams: who reads slowly, or not at all, keeps nobody else from being served."""

from __future__ import annotations

import grpc

from crm_world import PREPAID, CrmWorld, refused


def test_readers_that_dont_read_leave_threads_for_others(crm: CrmWorld) -> None:
    queued = crm.call("Billing/QueueBilling", cycle=15, dry_run=True)
    places = crm.config.crm.threads // 2
    watching = [crm.client().stream("Billing/WatchActivity", id=queued.id) for _ in range(places)]
    assert [next(one).state for one in watching] == ["NEW"] * places
    code, text = refused(lambda: next(crm.client().stream("Billing/WatchActivity", id=queued.id)))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED and "try again" in text
    assert crm.call("Subscribers/GetSubscriber", subscriber=PREPAID).msisdn == PREPAID
    assert crm.call("Billing/CancelActivity", id=queued.id).state == "CANCELLED"
    assert [[one.state for one in rest] for rest in watching] == [["CANCELLED"]] * places
    assert list(crm.client().stream("Billing/WatchActivity", id=queued.id))[-1].state == "CANCELLED"
