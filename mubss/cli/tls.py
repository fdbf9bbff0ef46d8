"""`mubss tls`: certificates for a start."""

from __future__ import annotations

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Group, Invocation
from mubss.cli.output import print_json
from mubss.core.errors import InputError
from mubss.services.private_ca import make_client, make_server


@click.group("tls", cls=Group)
def tls() -> None:
    """Certificates of the management interface."""


@tls.command("init")
@click.option(
    "--name",
    "names",
    multiple=True,
    default=("localhost", "127.0.0.1", "::1"),
    show_default=True,
    metavar="NAME",
    help="Host names and addresses that clients call the server by.",
)
@click.option("--again", is_flag=True, help="Another certificate of the same authority, in place of the one there is.")
@click.pass_obj
def init(invocation: Invocation, /, names: tuple[str, ...], again: bool) -> None:
    """Makes a private authority and a certificate for mubss-crm, where crm.tls_certificate names it."""
    config = invocation.config
    folder = config.resolve(config.crm.tls_certificate).parent
    wanted = folder / "crm.pem"
    if config.resolve(config.crm.tls_certificate) != wanted:
        raise InputError(
            f"crm.tls_certificate: {config.crm.tls_certificate}; expected a file crm.pem: it is made there"
        )
    if wanted.exists() and not again:
        raise InputError(f"{wanted}: there is one; --again makes another of the same authority")
    made = make_server(folder, list(names), wall_clock_ms() // 1000)
    if invocation.as_json:
        print_json({name: str(path) for name, path in made._asdict().items()})
    else:
        click.echo(f"certificate {made.certificate}, key {made.key}")
        click.echo(f"clients trust it by the authority {made.ca}")


@tls.command("client")
@click.argument("name")
@click.pass_obj
def client(invocation: Invocation, /, name: str) -> None:
    """Makes a certificate that a client shows where crm.tls_client_ca asks for one."""
    config = invocation.config
    made = make_client(config.resolve(config.crm.tls_certificate).parent, name, wall_clock_ms() // 1000)
    if invocation.as_json:
        print_json({name: str(path) for name, path in made._asdict().items()})
    else:
        click.echo(f"certificate {made.certificate}, key {made.key}; authority {made.ca}")
