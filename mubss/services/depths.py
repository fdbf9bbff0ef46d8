"""What waits in the store for each program, counted for its gauges and for `mubss status` (watch.py calls these)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from mubss import metrics
from mubss.core import outbox as told
from mubss.core.model import OPEN
from mubss.core.settling import NEW
from mubss.services.cdr_pass import SUFFIX
from mubss.storage import activities, bill_documents, cdr, notifications, outbox, sessions, subscribers, suspense
from mubss.storage.database import Store


def of_gy(store: Store) -> Mapping[str, int]:
    """Open sessions, requests to clients, suspense, and what accounts with open sessions or debts stand for."""
    reserved: dict[metrics.Labels, int] = {}
    overdrawn: dict[metrics.Labels, int] = {}
    accounts = 0
    for account in subscribers.accounts_at_risk(store):
        currency = (str(account["currency"]),)
        reserved[currency] = reserved.get(currency, 0) + account["reserved_micros"]
        left_micros = account["balance_micros"] + account["credit_limit_micros"]
        if left_micros < 0:
            accounts += 1
            overdrawn[currency] = overdrawn.get(currency, 0) - left_micros
    metrics.GY_RESERVED.set_all(dict(reserved))
    metrics.GY_OVERDRAWN.set_all(dict(overdrawn))
    metrics.GY_OVERDRAWN_ACCOUNTS.set(accounts)
    found = {
        "sessions": sessions.count_open(store),
        "to_tell": outbox.count(store, told.WAITING),
        "suspense": suspense.count_open(store),
        "overdrawn": accounts,
    }
    metrics.GY_SESSIONS.set(found["sessions"])
    metrics.GY_OUTBOX.set(found["to_tell"])
    metrics.GY_SUSPENSE.set(found["suspense"])
    return found


def of_cdr(store: Store, folder: Path) -> Mapping[str, int]:
    """Files in the folder, and records in suspense."""
    try:
        files = sum(name.endswith(SUFFIX) and not name.startswith(".") for name in os.listdir(folder))
    except OSError:
        files = 0  # the pass says what is wrong with it
    found = {"files": files, "suspense": cdr.count_suspense(store, OPEN)}
    metrics.CDR_WAITING.set(files)
    metrics.CDR_SUSPENSE.set(found["suspense"])
    return found


def of_billing(store: Store, cycle: int, clock_s: Callable[[], int]) -> Mapping[str, int]:
    """Activities of a cycle."""
    found = activities.count_due(store, cycle, clock_s())
    metrics.BILLING_WAITING.set(found)
    return {"jobs": found}


def of_billfmt(store: Store) -> Mapping[str, int]:
    """Bills without their PDF."""
    found = {
        "bills": bill_documents.count(store, NEW),
        "without_pdf": bill_documents.count(store, bill_documents.FAILED),
    }
    metrics.BILLFMT_WAITING.set(found["bills"])
    metrics.BILLFMT_FAILED.set(found["without_pdf"])
    return found


def of_crm(store: Store, clock_s: Callable[[], int]) -> Mapping[str, int]:
    """Notifications."""
    now_s = clock_s()
    found = {
        "notifications": notifications.count(store, notifications.NEW, now_s),
        "dead": notifications.count(store, notifications.DEAD, now_s),
    }
    metrics.CRM_NOTIFICATIONS_WAITING.set(found["notifications"])
    metrics.CRM_NOTIFICATIONS_DEAD.set(found["dead"])
    return found
