"""`mubss config`: what is configured."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from mubss.cli.command import Group, Invocation
from mubss.cli.output import print_json, print_table
from mubss.config import SECTIONS, Config, defaults_text
from mubss.options import mask


@click.group("config", cls=Group)
def config() -> None:
    """What is configured, and what could be."""


@config.command("show")
@click.pass_obj
def show(invocation: Invocation) -> None:
    """What is in force, and where each value came from."""
    values = _values(invocation.config)
    sources = invocation.config.sources
    if invocation.as_json:
        print_json({name: {"value": value, "source": sources[name]} for name, value in values.items()})
        return
    rows = [{"option": name, "value": _shown(value), "source": sources[name]} for name, value in values.items()]
    print_table(rows, {"option": "option", "value": "value", "source": "from"}, fold=("value", "source"))


@config.command("defaults")
@click.pass_obj
def defaults(invocation: Invocation) -> None:
    """The commented file with every option at its default, to start one's own from."""
    if invocation.as_json:
        print_json(_values(Config()))
    else:
        click.echo(defaults_text(), nl=False)


def _values(configuration: Config) -> dict[str, Any]:
    """{"gy.port": 3868, …} with secrets masked."""
    sections = asdict(configuration)
    return {f"{name}.{key}": mask(value) for name in SECTIONS for key, value in sections[name].items()}


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return " ".join(f"{key}={_shown(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(item) for item in value)
    return str(value)
