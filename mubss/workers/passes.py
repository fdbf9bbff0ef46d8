"""Pass after pass until told to stop: what every worker does with a store that goes away, and with what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger

from mubss.core.errors import MubssError
from mubss.storage.database import StoreError


def repeat(
    work: Callable[[], object],
    wait: Callable[[], object],
    is_stopping: Callable[[], bool],
    log: Logger,
    what: str,
) -> None:
    """Calls `work`, then `wait`, again and again. `what` waits ("bills") while the store is away or something is amiss.

    What doesn't change is logged once, a bug with its traceback each time.
    """
    told = ""
    while not is_stopping():
        try:
            work()
            if told:
                log.info("%s go on", what)
            told = ""
        except MubssError as error:
            text = "the store is away" if isinstance(error, StoreError) else str(error)
            if text != told:
                level = log.warning if isinstance(error, StoreError) else log.error
                level("%s wait: %s", what, error)
            told = text
        except Exception:
            log.exception("a pass over %s failed", what)
        wait()
    log.info("stopped")
