"""Secrets in files: there, good, and for their owner alone."""

from __future__ import annotations

from collections.abc import Iterator

from mubss.core.errors import ConfigError
from mubss.core.wording import counted
from mubss.services.doctor.scene import Finding, Scene, fail, ok, warn
from mubss.services.pepper import OPTION, read_pepper
from mubss.services.tokens import Keys
from mubss.storage.database import StoreError


def check(scene: Scene) -> Iterator[Finding]:
    """The keys of tokens, and the pepper of vouchers."""
    folder = scene.config.resolve(scene.config.crm.keys_folder)
    if not any(folder.glob("*.key")):
        do = "`mubss token key` makes one; with no management interface it isn't needed"
        yield warn(f"crm.keys_folder: no KID.key in {folder}", do)
    else:
        try:
            keys = Keys(folder)
            yield ok(f"crm.keys_folder: {folder}, {counted(len(keys.by_id), 'key')}; {keys.signing_id} signs")
        except ConfigError as error:
            yield fail(f"crm.keys_folder: {error}", "mend that file, or take it away; then `mubss reload mubss-crm`")
    yield _pepper(scene)


def _pepper(scene: Scene) -> Finding:
    file = scene.config.resolve(scene.config.vouchers.pepper_file)
    try:
        scene.look(lambda store: read_pepper(file, store))
    except ConfigError as error:
        return fail(str(error), "no voucher can be redeemed: put the file back from its copy, mode 600")
    except StoreError:
        return warn(f"{OPTION}: {file} can't be compared with the store", "see what is said of the store")
    return ok(f"{OPTION}: {file} is this store's")
