"""The frame of every command: `--config` and `--json` wherever they are written, and what a command is handed.

A command is a function under `@group.command("name")` or `@click.command("name", cls=Command)` that takes
`@click.pass_obj`: an Invocation. It returns None or an exit code; a MubssError it raises becomes one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from typing import Any

import click

from mubss.config import Config, load
from mubss.core.errors import InputError
from mubss.services.stores import open_made
from mubss.storage.database import Store


class Invocation:
    """One call of the program: the options that every command takes, and what they lead to."""

    def __init__(self) -> None:
        self.config_file: str | None = None
        self.as_json = False

    @cached_property
    def config(self) -> Config:
        """The configuration in force, read when a command first asks for it."""
        return load(self.config_file)

    def open_store(self) -> Store:
        """The configured store; the caller closes it. StoreUnavailable names `mubss init` where there is none yet."""
        return open_made(self.config.store_url)


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
        return super().invoke(context)


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
