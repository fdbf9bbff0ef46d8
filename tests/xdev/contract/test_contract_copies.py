"""A copy of the whole store: the embedded engine makes one, a server says that its own tools do."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from mubss.xdev.api import Store
from mubss.xdev.errors import NotOffered
from mubss.xdev.store import open_store


def test_a_copy_holds_what_was_committed(store: Store, tmp_path: Path) -> None:
    store.run(lambda session: session.create_collection("t").add({"_id": "a", "n": 1}))
    copy = tmp_path / "copy.db"
    if store.url.startswith("mysqlx:"):
        with pytest.raises(NotOffered, match="its own tools"):
            store.copy_to(str(copy))
        assert not copy.exists()
        return
    store.copy_to(str(copy))
    with closing(open_store(f"sqlite:///{copy}")) as copied:
        assert copied.run(lambda session: session.collection("t").get_one("a")) == {"_id": "a", "n": 1}
