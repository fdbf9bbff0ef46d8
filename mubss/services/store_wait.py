"""A program that stays waits for a store that is away when it starts: nobody has to start it again once it is back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mubss.core.errors import Stopped
from mubss.services.stores import open_made
from mubss.storage.database import Store, StoreAway, open_database

log = logging.getLogger(__name__)

RETRY_S = 1
TOLD_EVERY = 60  # tries

Wait = Callable[[float], bool]


def open_patiently(url: str, wait: Wait | None, open_store: Callable[[str], Store] = open_database) -> Store:
    """`open_made`, again and again while the store's server is away; what else it raises people must mend.

    `wait` waits for so many seconds and says whether to stop, which raises Stopped; None: one try.
    """
    tries = 0
    while True:
        try:
            store = open_made(url, open_store)
        except StoreAway as error:
            if wait is None:
                raise
            if tries % TOLD_EVERY == 0:
                log.warning("waiting for the store: %s", error)
            tries += 1
            if wait(RETRY_S):
                raise Stopped("told to stop while it waited for the store") from None
            continue
        if tries:
            log.info("the store is there")
        return store
