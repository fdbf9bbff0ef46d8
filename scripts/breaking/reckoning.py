"""What clients know against what the store holds: each session, top-up, CDR, bill and file once, and every balance."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from breaking.desks import Mediation
from breaking.requests import SUCCESS, UNKNOWN_SESSION, Session
from breaking.scene import POSTPAID, PREPAID, Scene
from gy_reckoning import OPENING_MICROS
from mubss.core.outage import FAILED
from mubss.services.audit_ledger import check
from mubss.storage.database import Doc
from torture_billing import MICROS, due_of, wrong_files

CLOCK = "clock"  # kinds of faults that begin so may end sessions


class Reckoned(NamedTuple):
    """What came of a phase."""

    lost: Counter[str]  # by kind of fault; "all" is each once
    doubled: Counter[str]
    findings: list[str]
    counts: dict[str, int]


class Books:
    """All documents of a scene's store, and the reckoning over them."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._lost: Counter[str] = Counter()
        self._doubled: Counter[str] = Counter()
        self.findings: list[str] = []
        self._accounts = self._all("accounts")
        self._usage = self._all("usage")
        self._suspense = self._all("suspense")
        self._bills = self._all("bills")

    def _all(self, name: str) -> list[Doc]:
        return self._scene.store.run(lambda session: session.collection(name).scan(limit=10_000_000))

    def reckon(self) -> Reckoned:
        """The whole of it."""
        scene = self._scene
        sessions = [session for element in scene.elements for session in element.sessions]
        owed = self._sessions(sessions)
        self._prepaid(owed)
        self._cdrs(scene.mediation)
        self._billed()
        self.findings += wrong_files(scene.store, scene.place / "invoices")
        self.findings += [f"ledger: {one.account}: {one.fault}" for one in check(scene.store)[1]]
        opened = [doc["_id"] for doc in self._all("gy_sessions") if doc["open"]]
        self.findings += [f"gy_sessions {key}: open" for key in opened]
        journaled = self._all("outage_records")
        self.findings += [
            f"outage: {one['_id']} of {one['session_id']}: {FAILED}" for one in journaled if one["state"] == FAILED
        ]
        for one in (*scene.elements, *scene.clerks):
            self.findings += one.findings
        counts = {
            "sessions": len(sessions),
            "answers": sum(element.answered for element in scene.elements),
            "repeated": sum(element.repeated for element in scene.elements),
            "echoes": sum(element.echoes for element in scene.elements),
            "top-ups": sum(clerk.answered for clerk in scene.clerks),
            "top-ups repeated": sum(clerk.repeated for clerk in scene.clerks),
            "CDRs": len(scene.mediation.record_ids),
            "CDR files": len(scene.mediation.files),
            "bills": len(scene.cycle.wanted),
            "in suspense": len(self._suspense),
            "answered while the store was away": len(journaled),
        }
        return Reckoned(self._lost, self._doubled, self.findings, counts)

    def _wrong(self, tally: Counter[str], kinds: set[str], text: str) -> None:
        tally["all"] += 1
        tally.update(kinds or {"none"})
        self.findings.append(text)

    def _sessions(self, sessions: list[Session]) -> Counter[int]:
        """Holds each against its usage; what each subscriber was charged by rights."""
        charged: dict[str, list[Doc]] = {}
        for record in self._usage:
            if "session_id" in record:
                charged.setdefault(record["session_id"], []).append(record)
        waiting: Counter[str] = Counter()
        for entry in self._suspense:
            waiting[entry.get("session_id", "")] += entry["units"]
        owed: Counter[int] = Counter()
        for session in sessions:
            play = session.play
            records = charged.pop(play.session_id, [])
            units, micros = sum(one["units"] for one in records), sum(one["charge_micros"] for one in records)
            cost, kept = session.cost_micros(units), units + waiting[play.session_id]
            owed[play.msisdn] += cost
            about = f"{play.session_id} of {play.msisdn} ({play.kind}; {', '.join(sorted(session.kinds))}): "
            about += f"{units} units and {waiting[play.session_id]} in suspense for {micros}; used {play.used}, {cost}"
            if kept < play.used or micros < cost:
                self._wrong(self._lost, session.kinds, f"lost: {about}")
            if kept > play.used or micros > cost:
                self._wrong(self._doubled, session.kinds, f"doubled: {about}")
            self._results(session)
        for session_id in charged:
            self._wrong(self._doubled, set(), f"usage of {session_id}: no client's")
        return owed

    def _results(self, session: Session) -> None:
        """5002 may be said of what comes after the end, and where a leap of the clock has ended a session."""
        leapt = any(kind.startswith(CLOCK) for kind in session.kinds)
        for request in session.done:
            is_after = leapt or request.was_held
            if request.result != SUCCESS and not (is_after and request.result == UNKNOWN_SESSION):
                self.findings.append(
                    f"{session.play.session_id} request {request.number}: {request.result} ({sorted(session.kinds)})"
                )

    def _prepaid(self, owed: Counter[int]) -> None:
        """Balances are start + top-ups − charges; every top-up is posted once."""
        wanted: dict[str, Counter[int]] = {}
        by_number = {_msisdn(doc): doc for doc in self._accounts}
        for clerk in self._scene.clerks:
            for msisdn, amounts in clerk.posted.items():
                wanted.setdefault(by_number[msisdn]["_id"], Counter()).update(amounts)
        posted: dict[str, Counter[int]] = {}
        for posting in self._all("postings"):
            if posting["cause"]["kind"] == "topup":
                posted.setdefault(posting["account"], Counter())[posting["amount_micros"]] += 1
        for msisdn, account in by_number.items():
            if not PREPAID <= msisdn < POSTPAID:
                continue
            has, should = posted.get(account["_id"], Counter()), wanted.get(account["_id"], Counter())
            for tally, more, word in ((self._lost, should - has, "lost"), (self._doubled, has - should, "doubled")):
                for amount in more.elements():
                    self._wrong(tally, set(), f"{word}: a top-up of {amount} of {msisdn}")
            balance = OPENING_MICROS + sum(should.elements()) - owed[msisdn]
            if account["balance_micros"] != balance:
                self.findings.append(f"{msisdn}: a balance of {account['balance_micros']}; expected {balance}")
            if account["reserved_micros"] or account["sessions"]:
                self.findings.append(f"{msisdn}: {account['reserved_micros']} reserved, {account['sessions'].keys()}")

    def _cdrs(self, mediation: Mediation) -> None:
        """Each record is charged or in suspense, once; each file was taken, and each copy refused."""
        taken = (*self._usage, *self._all("cdr_suspense"))
        have = Counter(one["record_id"] for one in taken if one.get("record_id"))
        of_ours = {one: have[one] for one in mediation.record_ids}
        for record_id, count in of_ours.items():
            if count != 1:
                tally = self._doubled if count else self._lost
                self._wrong(tally, set(), f"CDR {record_id}: {count} times; expected once")
        files = sorted(doc["name"] for doc in self._all("cdr_files") if doc["name"] in set(mediation.files))
        if files != sorted(mediation.files):
            self.findings.append(f"CDR files: {len(files)} taken; expected {len(mediation.files)}")
        done = {path.name.removesuffix(".done") for path in (mediation.folder / "processed").glob("*.done")}
        if done != set(mediation.files):
            self.findings.append(f"CDR files: {sorted(done ^ set(mediation.files))} aren't where they belong")
        refused = {path.name.removesuffix(".error") for path in (mediation.folder / "error").glob("*.error")}
        if refused != set(mediation.copies):
            self.findings.append(f"copies of CDR files: {sorted(refused ^ set(mediation.copies))} went astray")
        charged: Counter[str] = Counter()
        for one in self._usage:
            charged[one["account"]] += one["charge_micros"]
        for account in self._accounts:
            if _msisdn(account) >= POSTPAID and account["balance_micros"] != -charged[account["_id"]]:
                self.findings.append(f"{_msisdn(account)}: {account['balance_micros']}; expected its usage's sum")

    def _billed(self) -> None:
        """Each account of the cycle has one bill of what its usage comes to; numbers have no gap."""
        wanted = set(self._scene.cycle.wanted)
        dues: dict[str, list[int]] = {}
        usage: dict[str, list[Doc]] = {}
        for bill in self._bills:
            dues.setdefault(bill["account"], []).append(bill["due"])
        for one in self._usage:
            usage.setdefault(one["account"], []).append(one)
        for account in wanted | set(dues):
            right = due_of(usage.get(account, [])) if account in wanted else None
            found = dues.get(account, [])
            if len(found) != 1 and account in wanted:
                self._wrong(self._doubled if found else self._lost, set(), f"{account}: bills of {found}")
            elif found != [right]:
                self.findings.append(f"{account}: bills of {found}; expected one of {right}")
        balances = {doc["_id"]: doc["balance_micros"] for doc in self._accounts}
        for account in wanted:
            if balances[account] != -due_of(usage.get(account, [])) * MICROS:
                self.findings.append(f"{account}: a balance of {balances[account]} micros after its bill")
        numbers = sorted(int(bill["number"].rpartition("-")[2]) for bill in self._bills)
        if numbers != list(range(1, len(numbers) + 1)):
            self.findings.append(f"numbers of bills: {numbers[:1]} to {numbers[-1:]}, {len(numbers)} of them")


def _msisdn(account: Doc) -> int:
    found = [one for one in account["identities"] if one.startswith("e164:")]
    return int(found[0].removeprefix("e164:"))
