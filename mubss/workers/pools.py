"""Greenlet pools: one for groups of subscribers under way, and native threads that wait for the embedded store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

from gevent.pool import Pool
from gevent.threadpool import ThreadPool

from mubss.config import Config
from mubss.services.control import BILLING
from mubss.services.store_wait import Wait, open_patiently
from mubss.storage.database import Store, open_database

T = TypeVar("T")
R = TypeVar("R")


def open_pooled(config: Config, wait: Wait | None) -> Store:
    """The store of bill runs, see `open_patiently`: native threads work for SQLite, greenlets wait for MySQL."""
    offload = offloader(config.billing.store_threads)
    return open_patiently(BILLING, config, wait, partial(open_database, offload=offload))


def offloader(threads: int) -> Callable[[Callable[[], Any]], Any]:
    """Has blocking work done by so many native threads."""
    pool = ThreadPool(threads)

    def offload(work: Callable[[], Any]) -> Any:
        return pool.apply(work)

    return offload


def spread(size: int, work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Calls `work` for each item by so many greenlets; results as they come. What is begun is finished."""
    pool = Pool(size)
    try:
        yield from pool.imap_unordered(work, items, maxsize=size)
    finally:
        pool.join()
