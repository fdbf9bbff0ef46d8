"""The archive: what makes it is installed, no run broke off, its files are there."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

from mubss.core.wording import counted
from mubss.services.doctor.scene import Finding, Scene, fail, ok, warn
from mubss.storage import archives
from mubss.storage.database import StoreError


def check(scene: Scene) -> Iterator[Finding]:
    """Where retention is set, or something was archived; `mubss archive verify` reads the files, too."""
    options = scene.config.retention
    try:
        known = scene.look(archives.manifests)
    except StoreError as error:
        yield warn(f"the archive's files aren't known: {error}", "see what is said of the store")
        return
    if not known and not options.usage_months and not options.postings_months:
        yield ok("nothing is archived: [retention] keeps all for ever")
        return
    if find_spec("pyarrow") is None:
        yield fail("pyarrow isn't installed: nothing can be archived", "pip install 'mubss[parquet]'")
    folder = scene.config.resolve(options.folder)
    broken = [one["_id"] for one in known if one["state"] == archives.WRITTEN]
    gone = [one["path"] for one in known if one["state"] != archives.WRITTEN and not (folder / one["path"]).is_file()]
    if broken:
        yield warn(f"a run broke off, or is under way: {', '.join(broken[:3])}", "`mubss archive run` ends it")
    if gone:
        text = f"{folder}: {counted(len(gone), 'file is', 'files are')} gone: {', '.join(gone[:3])}"
        yield fail(text, "put back what is gone from its copy")
    if not broken and not gone:
        yield ok(f"{folder}: {counted(len(known), 'file')}, all there")
