"""The frame of every command: `--config` and `--json` wherever they are written, and what a command is handed.

A command is a function under `@group.command("name")` or `@click.command("name", cls=Command)` that takes
`@click.pass_obj`: an Invocation. It returns None or an exit code; a MubssError it raises becomes one line.
"""

from __future__ import annotations

import getpass
import os
import platform
from collections.abc import Mapping
from contextlib import closing
from functools import cached_property
from importlib import import_module
from typing import Any

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.acts import KINDS, OUTSIDE
from mubss.config import Config, load
from mubss.core.errors import InputError
from mubss.services import auditing
from mubss.services.audit_chain import seal
from mubss.services.stores import open_made, reader_of
from mubss.storage.database import Doc, Store, StoreError, StoreUnavailable


class Invocation:
    """One call of the program: the options that every command takes, and what they lead to."""

    def __init__(self) -> None:
        self.config_file: str | None = None
        self.as_json = False
        self.act: auditing.Act | None = None  # where the command is one that writes

    @cached_property
    def config(self) -> Config:
        """The configuration in force, read when a command first asks for it."""
        return load(self.config_file)

    def open_store(self) -> Store:
        """The configured store; the caller closes it. StoreUnavailable names `mubss init` where there is none yet."""
        url = self.config.store_url
        if self.act is None:
            return open_made(url, reader_of(url))
        return _SealingStore(open_made(url), self.act)

    def note(self, store: Store, about: Doc | None = None) -> None:
        """Audits what this command does outside the store, or in several steps; `about` is a subscriber."""
        if self.act is not None:
            self.act.write(store, about)

    def begin_act(self, what: str, fields: Mapping[str, Any]) -> None:
        """From now on what is written is audited, as done by this command."""
        self.act = auditing.Act(_user(), "cli", platform.node(), what, fields, wall_clock_ms)

    def note_outside(self, url: str = "") -> None:
        """Audits what this command did to files, where there is a store yet; the configured one unless told."""
        try:
            store = open_made(url or self.config.store_url)
        except StoreUnavailable:
            return
        with closing(store):
            self.note(store)
            seal(store)


class _SealingStore(auditing.AuditedStore):
    """The store of a command that writes: its entries have their place in the chain when it is closed."""

    def __init__(self, store: Store, act: auditing.Act) -> None:
        super().__init__(store, act)
        self._written_by = act

    def close(self) -> None:
        """Seals, and closes the store; what can't be sealed now will be by who comes next."""
        try:
            if self._written_by.written:
                seal(auditing.plain(self))
        except StoreError:
            pass
        super().close()


def _user() -> str:
    """Whom the system knows the operator by."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        return f"uid {os.getuid()}"


def _keep_config(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.ensure_object(Invocation).config_file = value


def _keep_json(context: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Invocation).as_json = True


def _common_options() -> list[click.Parameter]:
    return [
        click.Option(
            ["--config"],
            metavar="FILE",
            expose_value=False,
            callback=_keep_config,
            help="Configuration file; by default mubss.toml in $MUBSS_GENERAL__DATA_DIR, or in the current folder.",
        ),
        click.Option(["--json"], is_flag=True, expose_value=False, callback=_keep_json, help="Print JSON."),
    ]


def _check_text(parameter: click.Parameter, value: Any) -> None:
    """InputError where a text isn't UTF-8: Python has each such octet as a lone surrogate, which nothing can encode.

    A file's name may be any octets.
    """
    if (parameter.metavar or "").startswith(("FILE", "FOLDER")):
        return
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
            name = max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.name
            raise InputError(f"{name}: {text[:40]!r}; expected text in UTF-8")


class Command(click.Command):
    """A command with the options that all have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options()

    def invoke(self, context: click.Context) -> Any:
        context.ensure_object(Invocation)
        for parameter in self.params:
            _check_text(parameter, context.params.get(parameter.name or ""))
        what = context.command_path.partition(" ")[2]
        kind = KINDS.get(what)
        if kind is None:
            return super().invoke(context)
        invocation = context.find_object(Invocation)
        assert invocation is not None
        invocation.begin_act(what, context.params)
        done = super().invoke(context)
        if kind is OUTSIDE:
            invocation.note_outside()
        return done


class Group(click.Group):
    """A group of such commands, whose options may stand before or behind the command's name."""

    command_class = Command

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _common_options()


class LazyGroup(Group):
    """A group whose commands are loaded when they are called: `modules` is {name: "module:attribute"}."""

    def __init__(self, *args: Any, modules: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted([*super().list_commands(context), *self._modules])

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self._modules:
            return super().get_command(context, name)
        module, _, attribute = self._modules[name].partition(":")
        found: click.Command = getattr(import_module(module), attribute)
        return found
