"""A program that stays waits for a store that is away when it starts: nobody has to start it again once it is back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mubss.config import Config
from mubss.core.errors import Stopped
from mubss.services.process import Process
from mubss.services.stores import open_made
from mubss.storage.database import Store, StoreAway, open_database

log = logging.getLogger(__name__)

RETRY_S = 1
TOLD_EVERY = 60  # tries

Wait = Callable[[float], bool]
Open = Callable[[str], Store]


def open_patiently(program: str, config: Config, wait: Wait | None, open_store: Open = open_database) -> Store:
    """`open_made`, again and again while the store's server is away; what else it raises people must mend.

    `wait` waits for so many seconds and says whether to stop, which raises Stopped; None: one try. A program that
    waits is in the list of `mubss status`.
    """
    try:
        return open_made(config.store_url, open_store)
    except StoreAway as error:
        if wait is None:
            raise
        reason = str(error)
    with Process(program, config, lambda: {"waiting": f"for the store: {reason}"}, lambda: False, has_port=False):
        tries = 0
        while True:
            if tries % TOLD_EVERY == 0:
                log.warning("waiting for the store: %s", reason)
            tries += 1
            if wait(RETRY_S):
                raise Stopped("told to stop while it waited for the store")
            try:
                store = open_made(config.store_url, open_store)
            except StoreAway as error:
                reason = str(error)
                continue
            log.info("the store is there")
            return store
