"""The error tree of the domain, sorted by who must act.

An error's text names the field, the shape of the value and what was expected; it never holds a secret.
"""

from __future__ import annotations


class MubssError(Exception):
    """Anything this system raises on purpose."""


class InputError(MubssError):
    """The caller sent something that can't be taken: mend it, a repeat as it is will fail again."""


class RefdataError(InputError):
    """Reference data that can't be used; `faults` lists every one found, each naming file, table and key."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class LedgerError(InputError):
    """A command that the rules of the ledger refuse; nothing moved."""


class AccountChanged(LedgerError):
    """The account isn't what a command was reckoned from any more: it must be reckoned anew."""


class UnknownAccount(LedgerError):
    """No account, or no identity, of that name."""


class ConfigError(MubssError):
    """The operator must change the configuration: names the key, the value and what is allowed."""


class PortInUse(ConfigError):
    """Somebody listens where this process is to: another one of its kind, say, that nobody asked it to follow."""


class Busy(MubssError):
    """Nothing moved and a repeat is welcome: queues are full, or the store is away."""


class Stopped(MubssError):
    """The process was told to stop before it could begin: no fault."""


class LicenceError(MubssError):
    """The licence doesn't allow it, or can't be relied on: the operator, or who issues licences, must act."""
