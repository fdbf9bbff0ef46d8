"""`mubss init`: makes the store, and with --demo something in it to try."""

from __future__ import annotations

import json
import os
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import click

from mubss.cli.command import Command, Invocation
from mubss.cli.output import counted, print_json
from mubss.config import FILE_NAME, LOGS, Config, data_path
from mubss.core.errors import ConfigError
from mubss.refdata.form import read_files
from mubss.refdata.live import Refdata, operator_calendar
from mubss.refdata.load import load
from mubss.refdata.next_version import Maker
from mubss.services import demo, stores
from mubss.services.control import FOLDER
from mubss.services.licensing import make_demo
from mubss.services.pepper import make_pepper
from mubss.storage.database import open_database
from mubss.storage.refdata import read_version


@dataclass(frozen=True, slots=True)
class SetUp:
    """What `set_up` did."""

    store: str
    collections: list[str]  # that it added
    pepper: str = ""  # the file it made
    refdata_version: int | None = None
    refdata_changed: bool = False
    made: demo.Made | None = None
    licence: str = ""  # the demo licence that it made


def set_up(config: Config, *, with_demo: bool) -> SetUp:
    """Makes the configured store as far as it isn't there, and fills it with the demo's data if that is wanted."""
    url = config.store_url
    added = stores.make(url)
    for name, mode in ((FOLDER, 0o700), (LOGS, 0o750)):
        _make_folder(config.resolve(name), mode)
    pepper_file = config.resolve(config.vouchers.pepper_file)
    with closing(open_database(url)) as store:
        pepper = str(pepper_file) if make_pepper(pepper_file, store) else ""
    if not with_demo:
        return SetUp(stores.place(url), added, pepper)
    now_s = int(time.time())
    calendar = operator_calendar(config.general.timezone)
    with closing(open_database(url)) as store:
        version, is_changed = store.run(read_version).number, False
        if not version:  # tariffs that are there stay as they are
            maker = Maker(what="init", keep=config.refdata.keep_versions)
            loaded = load(store, read_files([data_path("conf/refdata/demo.toml")]), calendar, now_s, maker=maker)
            version, is_changed = loaded.version.number, loaded.changed
        made = demo.make(store, Refdata(store, config.general.timezone).load(), now_s)
    licence = make_demo(config, now_s)
    return SetUp(
        stores.place(url),
        added,
        pepper,
        version,
        is_changed,
        made,
        licence.serial if licence else "",
    )


def _make_folder(folder: Path, mode: int) -> None:
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: can't be made: {error.strerror}") from None


@click.command("init", cls=Command)
@click.option("--demo", "with_demo", is_flag=True, help="Load sample tariffs, subscribers and usage to try things on.")
@click.option("--store", metavar="URL", help="Where the store is to be; store.url by default.")
@click.pass_obj
def init(invocation: Invocation, /, with_demo: bool, store: str | None) -> None:
    """Makes the store; what is there already stays as it is."""
    config = invocation.config
    if store is not None:
        config = replace(config, store=replace(config.store, url=store))
    done = set_up(config, with_demo=with_demo)
    if done.collections or done.pepper or done.refdata_changed or (done.made is not None and any(done.made)):
        invocation.note_outside(config.store_url)
    note = ""
    if store is not None and config.store_url != invocation.config.store_url:
        note = _remember(invocation, config, store)
    if invocation.as_json:
        print_json(
            {
                "store": done.store,
                "collections_added": done.collections,
                "pepper_made": done.pepper or None,
                "refdata_version": done.refdata_version,
                "refdata_changed": done.refdata_changed,
                "licence_made": done.licence or None,
                "demo": None if done.made is None else done.made._asdict(),
            }
        )
        return
    for line in summary(done):
        click.echo(line)
    if note:
        click.echo(note)


def summary(done: SetUp) -> list[str]:
    """What was done, a line each."""
    made = counted(len(done.collections), "collection") + " made" if done.collections else "the store is there already"
    lines = [f"{done.store}: {made}"]
    if done.pepper:
        lines += [f"{done.pepper}: made", "PINs of vouchers are hashed with that secret: keep a copy of it"]
    if done.made is not None:
        was = "loaded" if done.refdata_changed else "has the demo's tariffs already"
        lines.append(f"reference data: version {done.refdata_version} {was}")
        if done.licence:
            lines.append(f"licence: {done.licence}, for this machine alone, on loopback, for 30 days")
        prepaid, postpaid, sessions = done.made
        if any(done.made):
            people = f"{prepaid} prepaid and {postpaid} postpaid subscribers"
            lines.append(f"demo: {people} added, {counted(sessions, 'session')} of last period's usage charged")
        else:
            lines.append("demo: subscribers and usage are there already, nothing was added")
    return lines


def _remember(invocation: Invocation, config: Config, url: str) -> str:
    """Notes another store in a configuration file of its own, if there is none; else what the operator must do."""
    file = config.resolve(FILE_NAME)
    if invocation.config_file is not None or file.exists():
        named = invocation.config_file or file
        return f"{named} names another store: set store.url there, or MUBSS_STORE__URL, to use this one"
    write_file(
        file, f"# Made by `mubss init`; `mubss config defaults` shows every option.\n[store]\nurl = {text(url)}\n"
    )
    return f"{file}: names this store"


def write_file(file: Path, content: str) -> None:
    """Writes a small file, in a folder that is made if it isn't there."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file, "w", encoding="utf-8", opener=_private) as out:
            out.write(content)
    except OSError as error:
        raise ConfigError(f"{file}: can't be written: {error.strerror}") from None


def _private(path: str, flags: int) -> int:
    """A new file that nobody else reads: a store's URL may hold a password."""
    return os.open(path, flags, 0o600)


def text(value: str) -> str:
    """Text as TOML writes it: JSON's escapes are TOML's."""
    return json.dumps(value, ensure_ascii=False)
