"""`mubss license`: what allows this system to run, and for who issues licences the making of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Group, Invocation
from mubss.cli.output import print_json, say
from mubss.core import licence as rules
from mubss.core.errors import InputError
from mubss.core.licence import Licence
from mubss.services import licence_files as files
from mubss.services.licensing import LicenseValidator, utc
from mubss.services.secret_files import private_file

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@click.group("license", cls=Group)
def license_() -> None:
    """The licence: show and verify it; make keys and issue one."""


@license_.command("machine-id")
@click.pass_obj
def machine_id(invocation: Invocation, /) -> None:
    """Prints what a licence names this machine by."""
    config = invocation.config
    found = files.read_machine_id(config.resolve(config.license.machine_id_file))
    if invocation.as_json:
        print_json({"machine_id": found})
    else:
        click.echo(found)


@license_.command("keygen")
@click.argument("key_id", metavar="KEY-ID")
@click.option("--dir", "folder", default=".", show_default=True, metavar="FOLDER", help="Where its two files go.")
@click.pass_obj
def keygen(invocation: Invocation, /, key_id: str, folder: str) -> None:
    """Makes a key that signs licences: KEY-ID.key stays with who issues them, KEY-ID.pub goes into the program."""
    private, public, octets = files.make_key_pair(Path(folder), key_id)
    if invocation.as_json:
        print_json({"key_id": key_id, "private": str(private), "public": str(public), "line": octets.hex()})
        return
    say(f"private key {private}: keep it apart, whoever has it issues licences")
    say(f"public key {public}; this line goes into {files.PINNED}:")
    click.echo(files.key_line(key_id, octets))


@license_.command("issue")
@click.option("--key", "key_file", required=True, metavar="FILE", help="The private key, KEY-ID.key.")
@click.option("--licensee", required=True, help="Whom it is for.")
@click.option("--serial", required=True, help="Its number; no two licences have the same.")
@click.option(
    "--machine", "machines", required=True, multiple=True, metavar="ID", help="By `mubss license machine-id`."
)
@click.option("--expires", required=True, metavar="YYYY-MM-DD", help="The first day, in UTC, that it is over.")
@click.option("--subscribers", required=True, type=int, help="The most there may be.")
@click.option("--feature", "names", multiple=True, metavar="NAME", help="What it allows; by default all there is.")
@click.option("--out", required=True, metavar="FILE", help="The licence file to make.")
@click.pass_obj
def issue(
    invocation: Invocation,
    /,
    key_file: str,
    licensee: str,
    serial: str,
    machines: tuple[str, ...],
    expires: str,
    subscribers: int,
    names: tuple[str, ...],
    out: str,
) -> None:
    """Signs a licence; an existing file is never replaced."""
    path = Path(key_file)
    key = files.read_private(path)
    licence = Licence(
        serial,
        licensee,
        tuple(sorted(machines)),
        wall_clock_ms() // 1000,
        _day(expires),
        subscribers,
        rules.mask_of(names) if names else rules.ALL_FEATURES,
        path.stem,
    )
    octets = files.signed(licence, key)
    with private_file(Path(out)) as file:
        file.write(octets)
    Path(out).chmod(0o644)  # it holds no secret, and every program must read it
    if invocation.as_json:
        print_json({"file": out, **_fields(licence)})
    else:
        say(f"{out}: {serial} for {licensee}, until {utc(licence.expires_s)}, signed by {licence.key_id}")


def _day(text: str) -> int:
    try:
        if _DATE.fullmatch(text) is None:
            raise ValueError
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise InputError(f"expires: {text[:40]!r}; expected a day like 2030-12-31") from None


@license_.command("show")
@click.argument("file", metavar="[FILE]", default="")
@click.pass_obj
def show(invocation: Invocation, /, file: str) -> None:
    """Prints what a licence says, by default license.file; whether it is true, `verify` tells."""
    config = invocation.config
    path = Path(file) if file else config.resolve(config.license.file)
    document, _ = files.split(files.read_file(path, files.MAX_FILE_OCTETS, "license.file"))
    _print(invocation, _fields(rules.parse(document)))


@license_.command("verify")
@click.pass_obj
def verify(invocation: Invocation, /) -> None:
    """Checks the licence as programs do at their start, and writes nothing; exit code 79 where none could start."""
    validator = LicenseValidator(invocation.config)
    standing = validator.verify("mubss", wall_clock_ms() // 1000)
    known = utc(standing.known_s)
    if validator.known_s() is None:
        known = f"none noted yet; the first start begins with {known}"
    programs = [name for name in rules.NEEDS if not rules.missing(name, standing.licence.features)]
    _print(
        invocation,
        {
            **_fields(standing.licence),
            "state": standing.state.value,
            "days_left": standing.days_left,
            "known_time": known,
            "programs": programs,
        },
    )


def _fields(licence: Licence) -> dict[str, Any]:
    return {
        "serial": licence.serial,
        "kind": licence.kind,
        "licensee": licence.licensee,
        "machine_ids": list(licence.machine_ids),
        "issued": utc(licence.issued_s),
        "expires": utc(licence.expires_s),
        "subscribers": licence.subscribers,
        "features": rules.feature_names(licence.features),
        "feature_mask": licence.features,
        "key_id": licence.key_id,
    }


def _print(invocation: Invocation, fields: dict[str, Any]) -> None:
    if invocation.as_json:
        print_json(fields)
        return
    for name, value in fields.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{name.replace('_', ' '):13} {shown}")
