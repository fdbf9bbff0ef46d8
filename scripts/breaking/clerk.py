"""A CRM's client in a thread: top-ups by idempotency key, each repeated until it is answered."""

from __future__ import annotations

import random
import sys
import threading
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).parents[2] / "clients" / "python"))

from mubss_crm import Crm

PAUSE_S = 0.1
CENT_MICROS = 10_000
_NEVER = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.PERMISSION_DENIED)


class Clerk(threading.Thread):
    """Tops up prepaid subscribers from `first` on; `posted` is what each got."""

    def __init__(self, name: str, address: str, token: str, ca: bytes, seed: int, first: int, accounts: int) -> None:
        super().__init__(name=name, daemon=True)
        self._door = address, token, ca
        self._rng = random.Random(seed)
        self._first, self._accounts = first, accounts
        self.is_stopping = False
        self.posted: dict[int, list[int]] = {}
        self.answered = self.repeated = 0
        self.findings: list[str] = []
        self._ended = threading.Event()
        self._crm: Crm | None = None

    def run(self) -> None:
        """Until it is told to stop; the last one is answered first."""
        count = 0
        while not self.is_stopping and not self._ended.is_set():
            count += 1
            msisdn, amount = (
                self._first + self._rng.randrange(self._accounts),
                self._rng.randrange(1, 500) * CENT_MICROS,
            )
            if self._post(f"{self.name}-{count}", msisdn, amount):
                self.posted.setdefault(msisdn, []).append(amount)
                self.answered += 1
            self._ended.wait(PAUSE_S)
        if self._crm is not None:
            self._crm.close()

    def give_up(self) -> None:
        """Ends it though the last one isn't answered."""
        self._ended.set()

    def _post(self, key: str, msisdn: int, amount_micros: int) -> bool:
        """Whether it was answered before this was given up."""
        while not self._ended.is_set():
            self._crm = self._crm or Crm(*self._door, seconds=5)
            try:
                self._crm.call(
                    "Balances/TopUp", subscriber=str(msisdn), amount_micros=amount_micros, idempotency_key=key
                )
                return True
            except grpc.RpcError as error:
                if error.code() in _NEVER:
                    self.findings.append(f"top-up {key}: {error.code().name}: {error.details()}")
                    self._ended.set()
                self.repeated += 1
            self._crm.close()  # a channel that failed waits ever longer before it tries again
            self._crm = None
            self._ended.wait(PAUSE_S)
        return False
