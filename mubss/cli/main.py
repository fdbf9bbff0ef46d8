"""`mubss`: the operator's command line."""

from __future__ import annotations

import logging
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec

import click

from mubss import __version__
from mubss.cli.command import LazyGroup
from mubss.runtime import ExitCode, run_main

PROGRAM = "mubss"
HOT = find_spec("mubss.core.ledger")  # one of the modules that setup.py can compile
COMPILED = " (compiled)" if HOT and HOT.origin and HOT.origin.endswith(tuple(EXTENSION_SUFFIXES)) else ""

# Each command's module is loaded only when it is called, so that all of them start fast.
COMMANDS = {
    "adjust": "mubss.cli.money:adjust",
    "archive": "mubss.cli.archive:archive",
    "audit": "mubss.cli.audit:audit",
    "backup": "mubss.cli.backup:backup",
    "balance": "mubss.cli.money:balance",
    "billing": "mubss.cli.billing:billing",
    "bills": "mubss.cli.bills:bills",
    "ccr": "mubss.cli.ccr:ccr",
    "cdr": "mubss.cli.cdr:cdr",
    "config": "mubss.cli.config_cmd:config",
    "demo": "mubss.cli.demo:demo",
    "doctor": "mubss.cli.doctor:doctor",
    "drain": "mubss.cli.group:drain",
    "gy": "mubss.cli.gy:gy",
    "init": "mubss.cli.init:init",
    "ledger": "mubss.cli.ledger:ledger",
    "license": "mubss.cli.license:license_",
    "migrate": "mubss.cli.migrate:migrate",
    "notifications": "mubss.cli.notifications:notifications",
    "outage": "mubss.cli.outage:outage",
    "peers": "mubss.cli.peers:peers",
    "rate": "mubss.cli.rate:rate",
    "reload": "mubss.cli.group:reload",
    "rerate": "mubss.cli.rerate:rerate",
    "ref": "mubss.cli.ref:ref",
    "restore": "mubss.cli.backup:restore",
    "sessions": "mubss.cli.sessions:sessions",
    "stats": "mubss.cli.stats:stats",
    "status": "mubss.cli.status:status",
    "subscriber": "mubss.cli.subscriber:subscriber",
    "tls": "mubss.cli.tls:tls",
    "token": "mubss.cli.token:token",
    "topup": "mubss.cli.money:topup",
    "usage": "mubss.cli.ledger:usage",
    "vouchers": "mubss.cli.vouchers:vouchers",
}


@click.group(cls=LazyGroup, modules=COMMANDS, context_settings={"max_content_width": 120})
@click.version_option(__version__, prog_name=PROGRAM, message=f"%(prog)s %(version)s{COMPILED}")
def cli() -> None:
    """µBSS: subscribers, balances, tariffs and the DIAMETER charging server."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command and gives its exit code; every error is one line on stderr."""

    def work() -> int | None:
        try:
            result: int | None = cli.main(arguments, prog_name=PROGRAM, standalone_mode=False)
        except click.Abort:
            return ExitCode.INTERRUPTED
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            return ExitCode.USAGE
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            path = context.command_path if context is not None else PROGRAM
            text = " ".join(error.format_message().split()).rstrip(".")
            click.echo(f"{path}: {text}. Try {path} --help.", err=True)
            return ExitCode.USAGE if isinstance(error, click.UsageError) else ExitCode.FAILURE
        return result

    if logging.lastResort is not None:  # what it warns of comes as the command's error too, and once is enough
        logging.lastResort.setLevel(logging.ERROR)
    return run_main(PROGRAM, work)


if __name__ == "__main__":
    sys.exit(main())
