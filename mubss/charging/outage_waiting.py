"""What was granted while the store was away and isn't in it yet: records in their order, and the risk they are.

The risk of an account is what its grants and charges may come to beyond what the store knows of; it stands until all
of the account's records are done.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from mubss.charging.journal import Journal
from mubss.charging.outage_record import Entry


class Record(NamedTuple):
    """One record of a journal that this process has."""

    journal: Journal
    place: int  # in it, in octets: whatever becomes of other records, this one's stays
    account: str
    session: str  # hash
    payload: bytes

    @property
    def id(self) -> str:
        """Of the document that is kept of it in the store: 32 letters."""
        return f"{self.journal.name}{self.place:08x}"


@dataclass(slots=True)
class _Account:
    records: int = 0
    risk_micros: int = 0


class Waiting:
    """The records that wait, and the accounts that they are for."""

    def __init__(self) -> None:
        self.records: deque[Record] = deque()
        self.accounts: dict[str, _Account] = {}
        self.risk_micros = 0  # of all accounts
        self._by_identity: dict[str, str] = {}
        self._by_session: dict[str, str] = {}
        self._left: dict[str, int] = {}  # journal → its records that wait

    def __len__(self) -> int:
        return len(self.records)

    def risk_of(self, account: str) -> int:
        """Of one account, in micros."""
        found = self.accounts.get(account)
        return found.risk_micros if found else 0

    def account_of(self, identities: list[str], session: str) -> str:
        """The account that waits and has the session or an identity; "" if none does."""
        found = self._by_session.get(session, "")
        for identity in identities:
            found = found or self._by_identity.get(identity, "")
        return found if found in self.accounts else ""

    def has(self, journal: Journal) -> bool:
        """Whether any of a journal waits."""
        return journal.name in self._left

    def add(self, journal: Journal, place: int, entry: Entry, payload: bytes) -> None:
        """One more, behind those of its journal."""
        command = entry.command
        self.records.append(Record(journal, place, entry.account, command.session_hash, payload))
        self._left[journal.name] = self._left.get(journal.name, 0) + 1
        account = self.accounts.setdefault(entry.account, _Account())
        account.records += 1
        self.risk_micros += max(0, entry.risk_micros) - account.risk_micros
        account.risk_micros = max(0, entry.risk_micros)
        self._by_session[command.session_hash] = entry.account
        for identity in command.identities:
            self._by_identity[identity] = entry.account

    def first(self, limit: int) -> list[Record]:
        """The first ones, up to the second of a session: so that none is done before the one that it follows."""
        found: list[Record] = []
        sessions: set[str] = set()
        for record in self.records:
            if len(found) >= limit or record.session in sessions:
                break
            found.append(record)
            sessions.add(record.session)
        return found

    def done(self, count: int) -> tuple[list[str], list[Journal]]:
        """The first ones are in the store: the accounts, and the journals, of which nothing waits any more."""
        accounts: list[str] = []
        journals: list[Journal] = []
        for _ in range(count):
            record = self.records.popleft()
            account = self.accounts[record.account]
            account.records -= 1
            if not account.records:
                self.risk_micros -= account.risk_micros
                del self.accounts[record.account]
                accounts.append(record.account)
            name = record.journal.name
            self._left[name] -= 1
            if not self._left[name]:
                del self._left[name]
                journals.append(record.journal)
        if not self.accounts:
            self._by_identity.clear()
            self._by_session.clear()
        return accounts, journals
