"""The Notifications service of proto/crm.proto, and their delivery beside it, in a thread."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Sequence
from typing import Any

from mubss import metrics
from mubss.core.errors import Busy, InputError
from mubss.core.notice_kinds import DUNNING, KINDS
from mubss.core.notice_texts import FIELDS
from mubss.crm import fields
from mubss.crm.audited import audited_store
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.statuses import NotFound
from mubss.pb import crm_pb2 as pb
from mubss.services import lifecycle, notifying
from mubss.services.notice_sinks import open_sinks
from mubss.services.notice_texts import load_texts
from mubss.storage import notifications as storage
from mubss.storage.database import Doc, Store, StoreError

log = logging.getLogger("mubss.notifications")

MAX_IDS = 500
MAX_OFFSET = 100_000  # of a page: what lies before it is read, too
FORGET_S = 3600
_ID = re.compile(r"[0-9a-f]{32}")
_testing = threading.Lock()  # one test at a time: its sinks may take their time


def post_of(office: Office) -> notifying.Post:
    """What delivery works with; ConfigError where texts or sinks can't be used."""
    config = office.config
    return notifying.Post(
        office.store,
        lambda: office.tables,
        load_texts(config),
        open_sinks(config),
        config.notifications,
        lambda: office.now_s,
    )


class Delivery:
    """Delivers what is due, in a thread, until stopped; the one that is on its way then is finished."""

    def __init__(self, office: Office) -> None:
        self._post = post_of(office)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="delivery", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; what a sink takes too long for is due again when its lease is over."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(self._post.options.timeout_seconds + 5)

    def _work(self) -> None:
        post, forgot_s, is_away = self._post, 0, False
        while not self._stopping.is_set():
            try:
                _count(notifying.deliver(post, self._stopping.is_set))
                if post.clock_s() - forgot_s >= FORGET_S:
                    forgot_s = post.clock_s()
                    notifying.forget_old(post.store, post.options, forgot_s)
                is_away = False
            except StoreError as error:
                if not is_away:
                    log.warning("the store is away, notifications wait: %s", error)
                is_away = True
            except Exception:
                log.exception("delivering notifications failed")
            self._stopping.wait(post.options.poll_seconds)


def _count(done: notifying.Delivered) -> None:
    for outcome, count in done._asdict().items():
        metrics.CRM_NOTIFICATIONS.inc(outcome, by=count)


class Notifications:
    """What subscribers are told."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def list_notifications(self, request: Any, _call: Call) -> pb.ListNotificationsResponse:
        """Notifications in pages."""
        for name, known in (("state", storage.STATES), ("kind", (*KINDS, *DUNNING))):
            if (value := getattr(request, name)) and value not in known:
                raise InputError(f"{name}: {value[:40]!r}; expected one of {', '.join(known)}")
        store = self._office.store
        size, offset = fields.page_size(request), fields.page_number(request)
        if offset > MAX_OFFSET:
            raise InputError(f"page_token: behind {offset}; expected up to {MAX_OFFSET}: ask by state or subscriber")
        whose = ""
        if request.subscriber:
            whose = lifecycle.find_subscriber(store, fields.subscriber(request))["_id"]
        found = storage.find(store, storage.Wanted(request.state, request.kind, whose), size, offset)
        token = fields.page_token(str(offset + size)) if len(found) == size else ""
        return pb.ListNotificationsResponse(notifications=map(_message, found), next_page_token=token)

    def retry_notifications(self, request: Any, call: Call) -> pb.NotificationsResponse:
        """Dead ones are tried anew."""
        return self._change(request, call, notifying.retry)

    def acknowledge_notifications(self, request: Any, call: Call) -> pb.NotificationsResponse:
        """Dead ones are off the list."""
        return self._change(request, call, notifying.acknowledge)

    def _change(
        self, request: Any, call: Call, change: Callable[[Store, Sequence[str], int], list[Doc]]
    ) -> pb.NotificationsResponse:
        ids = list(dict.fromkeys(request.ids))
        if not 1 <= len(request.ids) <= MAX_IDS:
            raise InputError(f"ids: {len(request.ids)} of them; expected 1 to {MAX_IDS}")
        for one in ids:
            if not _ID.fullmatch(one):
                raise InputError(f"ids: {one[:40]!r}; expected 32 hexadecimal digits")
        there = storage.existing(self._office.store, ids)
        for one in ids:
            if one not in there:
                raise NotFound(f"ids: {one!r}; expected that of a notification")
        changed = change(audited_store(self._office, call), ids, self._office.now_s)
        return pb.NotificationsResponse(notifications=map(_message, changed))

    def list_templates(self, request: Any, _call: Call) -> pb.ListTemplatesResponse:
        """The texts in force."""
        texts = load_texts(self._office.config)
        if request.language and request.language not in texts.languages:
            known = ", ".join(texts.languages)
            raise InputError(f"language: {request.language[:20]!r}; expected one of {known}")
        found = []
        for language in [request.language] if request.language else texts.languages:
            for kind, text in sorted(texts.of(language).items()):
                known_fields = ("msisdn", *FIELDS[kind])
                found.append(
                    pb.NotificationTemplate(
                        language=language, kind=kind, subject=text.subject, text=text.text, fields=known_fields
                    )
                )
        return pb.ListTemplatesResponse(templates=found)

    def test_notification(self, request: Any, call: Call) -> pb.TestNotificationResponse:
        """Sends a test message; the entry of the audit comes before it, since no transaction holds both."""
        identity, act = fields.subscriber(request), call.act
        assert act is not None
        if not _testing.acquire(blocking=False):
            raise Busy("another test message is on its way; try again")
        try:
            store = self._office.store
            found = notifying.send_test(post_of(self._office), identity, lambda person: act.write(store, person))
        finally:
            _testing.release()
        return pb.TestNotificationResponse(results=[pb.SinkResult(sink=sink, fault=fault) for sink, fault in found])


def _message(doc: Doc) -> pb.Notification:
    names = ("kind", "subscriber", "state", "made_s", "due_s", "tries", "done", "why")
    values = {name: str(value) for name, value in doc["values"].items()}
    return pb.Notification(id=doc["_id"], values=values, **{name: doc[name] for name in names if name in doc})
