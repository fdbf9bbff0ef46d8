"""What is handed to the charging engine: a command, the account it is for, and what must commit with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from mubss.core.cdr import Verdict
from mubss.core.errors import LedgerError
from mubss.core.model import Account, Command, CreditControl, Outcome


class Change(NamedTuple):
    """What an order finds and leaves: its account, and the documents that it is guarded by, by collection and id."""

    before: Account
    after: Account
    found: Mapping[tuple[str, str], dict[str, Any]]  # those that were there
    written: Mapping[tuple[str, str], dict[str, Any]]  # as far as they stand before the guard that asks


class Guard(NamedTuple):
    """A document that commits with a movement of money, or the movement doesn't happen.

    `version` None: it must be new. Else the stored document must have that `version` (0: or none); `doc` brings the
    next, to which the ledger may add what came of the command (`Applied.settled`), and whoever ordered it (`fill`).
    `removes`: it is taken away; then `doc` is but its `_id`.
    """

    collection: str
    doc: dict[str, Any]
    version: int | None = None
    fill: Callable[[Order, Change], dict[str, Any]] | None = None  # more fields, known once the order is done
    removes: bool = False


class GuardConflict(LedgerError):
    """A guarded document is there already, or isn't as it was read; `stored` is what is there, None if nothing."""

    def __init__(self, guard: Guard, stored: dict[str, Any] | None) -> None:
        wanted = "none" if guard.version is None else f"version {guard.version}"
        super().__init__(f"{guard.collection}/{guard.doc['_id']}: expected {wanted}; another came first")
        self.collection, self.stored = guard.collection, stored


@dataclass(slots=True)
class Stages:
    """When an order was where, in seconds of `time.perf_counter`; 0: it didn't come so far. For who traces it."""

    queued_s: float
    begun_s: float = 0.0  # its batch's transaction
    read_s: float = 0.0  # what the batch needs is read and locked
    applied_s: float = 0.0  # and reckoned
    committed_s: float = 0.0
    batch_size: int = 0


@dataclass(slots=True, eq=False)
class Order:
    """One command on its way through the engine. `account` is its id, or "" where identities lead to it.

    When it is done, `outcome` (of a credit-control request), `verdicts` or `account_after` hold what came of it, or
    `error` says why nothing did.
    """

    command: Command
    account: str = ""
    identities: list[str] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    done: Callable[[Order], None] | None = None
    queued_ms: int = 0
    skipped_ms: int = 0  # when its account was first found locked by another batch
    redirects: int = 0
    outcome: Outcome | None = None
    account_after: Account | None = None
    verdicts: Sequence[Verdict] = ()  # on CDRs, in their order
    error: Exception | None = None
    stages: Stages | None = None  # noted where somebody wants to know

    @property
    def credit(self) -> CreditControl | None:
        """The command, if it is a credit-control request."""
        return self.command if isinstance(self.command, CreditControl) else None

    @property
    def session(self) -> str:
        """The hash of the session whose orders must be done in their order; "" where there is none."""
        return self.command.session_hash if isinstance(self.command, CreditControl) else ""

    def fail(self, error: Exception) -> None:
        """Nothing of it happened."""
        self.outcome, self.account_after, self.verdicts, self.error = None, None, (), error
