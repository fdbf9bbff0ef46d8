"""What goes on beside charging: mediation drops CDR files, and a bill cycle is billed and formatted part by part."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from breaking.programs import Program
from cdr_files import mixed
from mubss.cdr.writer import writing
from mubss.storage.database import Store, StoreError

PREFIXES = 200
CYCLE = 3
_STEP_S = 0.05


class Mediation(threading.Thread):
    """Drops a file of so many records each few seconds; now and then one that was there before."""

    def __init__(self, folder: Path, seed: int, first: int, accounts: int, records: int, every_s: float) -> None:
        super().__init__(name="mediation", daemon=True)
        self.folder = folder
        self._rng = random.Random(seed)
        self._first, self._accounts, self._records, self._every_s = first, accounts, records, every_s
        self._ended = threading.Event()
        self.files: list[str] = []  # that are to be loaded, by name
        self.copies: list[str] = []  # of these under another name: they are to be refused
        self.record_ids: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        """Until it is told to stop."""
        while not self._ended.is_set():
            self._drop()
            self._ended.wait(self._every_s)

    def stop(self) -> None:
        """No further file."""
        self._ended.set()
        self.join()

    def _drop(self) -> None:
        now_s, sequence = int(time.time()), len(self.files) + 1
        records = []
        for number in range(self._records):
            record = mixed(self._rng, sequence * 10_000 + number, 1, PREFIXES, now_s)
            record.calling = record.served_msisdn = str(self._first + self._rng.randrange(self._accounts))
            records.append(record)
        name = f"{sequence:05}.cdr"
        while not self._ended.is_set():
            try:
                with writing(str(self.folder / name), "torture", sequence, now_s) as writer:
                    for record in records:
                        writer.write(record)
            except OSError:  # the disk is full
                self._ended.wait(_STEP_S)
                continue
            self.files.append(name)
            self.record_ids += [record.record_id for record in records]
            return

    def copy(self) -> bool:
        """A file that was loaded comes again under another name; False where none was, or there is no room."""
        done = sorted((self.folder / "processed").glob("*.cdr.done"))
        if not done:
            return False
        name = f"copy-{len(self.copies) + 1:04}.cdr"
        part = self.folder / f"{name}.tmp"
        try:
            part.write_bytes(self._rng.choice(done).read_bytes())
            part.rename(self.folder / name)
        except OSError:
            return False
        self.copies.append(name)
        return True

    def waiting(self) -> list[str]:
        """Files that mubss-cdr hasn't dealt with."""
        return sorted(path.name for path in self.folder.glob("*.cdr"))


class Cycle(threading.Thread):
    """A bill cycle: subscribers come into it a part at a time, and each part is billed, then formatted, by real runs.

    A run that doesn't end well is begun again, as an operator would; so is one that was killed.
    """

    def __init__(self, store: Store, parts: list[list[str]], billing: Program, billfmt: Program) -> None:
        super().__init__(name="bill cycle", daemon=True)
        self._store, self._parts = store, parts
        self.billing, self.billfmt = billing, billfmt
        self.wanted: list[str] = []  # accounts that must have a bill
        self.turn = threading.Event()  # the next part may come
        self.is_stopping = False
        self.runs = 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Part by part, until there is none or it is told to stop."""
        for part in self._parts:
            while not self.turn.wait(_STEP_S):
                if self.is_stopping or self._ended.is_set():
                    return
            self.turn.clear()
            self._until_done(lambda part=part: self._bring_in(part))
            self.wanted += part
            self._until_done(lambda: self._ran(self.billing))
            self._until_done(lambda: self._ran(self.billfmt) and not self._waits())

    def give_up(self) -> None:
        """Ends it, whatever isn't done."""
        self._ended.set()

    def _until_done(self, work: Callable[[], bool]) -> None:
        while not self._ended.is_set():
            with suppress(StoreError):
                if work():
                    return
            self._ended.wait(_STEP_S * 4)

    def _ran(self, program: Program) -> bool:
        self.runs += 1
        program.start()
        while program.is_running:
            if self._ended.wait(_STEP_S):
                program.kill()
        return program.code == 0

    def _bring_in(self, part: list[str]) -> bool:
        def work(session: object) -> None:
            people = session.collection("subscribers")  # type: ignore[attr-defined]
            people.put_many([{**doc, "bill_cycle": CYCLE} for doc in people.get_many(part) if doc is not None])

        self._store.run(work)
        return True

    def _waits(self) -> int:
        found = self._store.run(lambda session: session.collection("bills").scan(limit=100_000))
        return sum(bill["state"] == "BILL_STATUS_NEW" for bill in found)
