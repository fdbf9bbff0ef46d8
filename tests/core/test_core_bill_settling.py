"""Voiding, paying and crediting bills: what is open is what is owed, and nothing is on two bills."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core_bills import DAY_S, LABELS, OCTOBER, bill, issue, period, tables_of, use, world_of
from core_builders import utc
from core_world import World
from mubss.core.crediting import credit_note
from mubss.core.errors import AccountChanged, LedgerError
from mubss.core.issuing import CreditBill, DunBill, PayBill, VoidBill
from mubss.core.model import Movement, SetState
from mubss.core.settling import PAID, PARTLY_PAID, UNPAID, VOID, issued_state, settle, with_settled

SCALE = 10_000


class Office:
    """A world with the bills that were issued, by number."""

    def __init__(self, **terms: Any) -> None:
        self.world = world_of(tables_of(**terms))
        self.bills: dict[str, dict[str, Any]] = {}
        self.notes: list[dict[str, Any]] = []

    def issue(self, label: str) -> dict[str, Any]:
        number = f"INV-{len(self.bills)}"
        doc = issue(self.world, period(label), number)
        due = {"number": number, "version": 1, "state": UNPAID, "due_day": label, "msisdn": "1", "language": "en"}
        doc |= due
        self.bills[number] = {**doc, "state": issued_state(doc)}
        return self.bills[number]

    def pay(self, number: str, amount: int) -> None:
        doc = self.bills[number]
        used = min(amount, doc["settled"]["open"])
        self.world.do(PayBill(doc["_id"], amount * SCALE, used, amount - used, "ref"))
        self.bills[number] = with_settled(doc, paid=used)

    def credit(self, number: str, amount: int) -> dict[str, Any]:
        doc = self.bills[number]
        used = min(amount, doc["settled"]["open"])
        note = credit_note(doc, amount)
        self.world.do(CreditBill(doc["_id"], "n", amount * SCALE, used, amount - used))
        self.bills[number] = with_settled(doc, credited=amount)
        self.notes.append(note)
        return note

    def void(self, number: str) -> None:
        doc = self.bills[number]
        self.world.do(VoidBill(doc["_id"], doc["posted"], doc["before"], doc["total"], doc["settled"]))
        self.bills[number] = {**doc, "state": VOID, "settled": {"paid": 0, "credited": 0, "open": 0}}

    def settle(self) -> bool:
        found = settle(self.world.account, self.world.postings["acc1"], self.open, SCALE)
        if found is None:
            return False
        self.world.do(found.command)
        self.bills |= {doc["number"]: doc for doc in found.bills}
        return True

    @property
    def open(self) -> list[dict[str, Any]]:
        return [doc for doc in self.bills.values() if doc["settled"]["open"]]

    @property
    def billing(self) -> Any:
        return self.world.account["billing"]


def state(office: Office, number: str) -> tuple[str, int, int, int]:
    doc = office.bills[number]
    return (doc["state"], *(doc["settled"][name] for name in ("paid", "credited", "open")))


# ── paying ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_bill_is_paid_in_part_in_full_and_over() -> None:
    office = Office(tax="")
    office.issue("2026-11")
    assert state(office, "INV-0") == (UNPAID, 0, 0, 3_000)
    office.pay("INV-0", 1_000)
    assert state(office, "INV-0") == (PARTLY_PAID, 1_000, 0, 2_000)
    office.pay("INV-0", 2_500)
    assert state(office, "INV-0") == (PAID, 3_000, 0, 0)
    assert (office.billing["credit"], office.billing["open"]) == (500, 0)
    second = office.issue("2026-12")
    assert (second["previous_due"], second["paid"], second["due"]) == (3_000, 3_500, 2_500)
    assert state(office, "INV-1") == (PARTLY_PAID, 500, 0, 2_500), "what was over is off it"


def test_payments_without_a_bill_settle_the_oldest_first() -> None:
    office = Office(tax="")
    office.issue("2026-11")
    office.world.do(Movement("payment", 40_000_000), now_s=utc(2026, 11, 10))
    office.issue("2026-12")
    assert state(office, "INV-1") == (PARTLY_PAID, 1_000, 0, 2_000), "30 of the 40 are for the first"
    assert state(office, "INV-0") == (UNPAID, 0, 0, 3_000)
    assert office.settle() and not office.settle()
    assert state(office, "INV-0") == (PAID, 3_000, 0, 0)
    office.world.do(Movement("payment", 25_000_000))
    assert office.settle()
    assert state(office, "INV-1") == (PAID, 3_000, 0, 0) and office.billing["credit"] == 500


def test_settling_an_account_that_changed_is_reckoned_anew() -> None:
    office = Office(tax="")
    office.issue("2026-11")
    office.world.do(Movement("payment", 1_000_000))
    found = settle(office.world.account, office.world.postings["acc1"], office.open, SCALE)
    office.world.do(Movement("payment", 1_000_000))
    assert found is not None
    with pytest.raises(AccountChanged, match="version: "):
        office.world.do(found.command)


def test_an_account_without_a_bill_has_nothing_to_settle() -> None:
    world = world_of()
    assert settle(world.account, [], [], SCALE) is None
    for command in (PayBill("x", 1, 1, 0), CreditBill("x", "n", 1, 1, 0)):
        with pytest.raises(LedgerError, match="bill: the account has none"):
            world.do(command)


# ── voiding ────────────────────────────────────────────────────────────────────────────────────────


def test_a_void_bill_gives_all_back_and_the_next_has_it() -> None:
    office = Office(activation_fee_micros=5_000_000, fee_timing="advance")
    use(office.world, 1, utc(2026, 10, 5), 100)
    office.world.do(Movement("payment", 1_000_000), now_s=utc(2026, 10, 6))
    balance = office.world.account["balance_micros"]
    first = office.issue("2026-11")
    office.void("INV-0")
    assert office.world.account["balance_micros"] == balance
    assert bill(office.world).doc["lines"] == first["lines"]
    second = office.issue("2026-11")
    figures = ("lines", "usage", "taxes", "total", "previous_due", "paid", "due", "settled")
    assert [second[name] for name in figures] == [first[name] for name in figures]
    with pytest.raises(LedgerError, match="expected the account's last one"):
        office.void("INV-0")


def test_voids_go_back_one_after_the_other() -> None:
    office = Office(tax="")
    for label in LABELS[:2]:
        office.issue(label)
    office.void("INV-1")
    office.void("INV-0")
    assert (office.world.account["balance_micros"], office.billing["open"], office.billing["credit"]) == (0, 0, 0)


# ── crediting ──────────────────────────────────────────────────────────────────────────────────────


def test_all_of_a_bill_is_credited_line_by_line() -> None:
    office = Office()
    use(office.world, 1, utc(2026, 10, 5), 100)
    doc = office.issue("2026-11")
    office.pay("INV-0", 1_000)
    note = office.credit("INV-0", doc["total"])
    assert [line["amount"] for line in note["lines"]] == [-line["amount"] for line in doc["lines"]]
    assert (note["net"], note["tax"], note["total"]) == (-doc["net"], -doc["tax"], -doc["total"])
    assert (note["credits"], note["previous_due"], note["due"]) == ("INV-0", doc["total"] - 1_000, -1_000)
    assert state(office, "INV-0") == (PAID, 1_000, doc["total"], 0)
    assert office.billing["credit"] == 1_000, "what was paid of it"
    second = office.issue("2026-12")
    assert (second["credited"], second["due"]) == (doc["total"], second["total"] - 1_000)


def test_part_of_a_bill_is_credited_by_tax() -> None:
    office = Office()
    office.world.do(Movement("adjustment", -6_000_000), now_s=utc(2026, 10, 5))  # without tax
    office.issue("2026-11")
    note = office.credit("INV-0", 1_000)
    assert [(line["kind"], line["code"], line["tax"], line["amount"]) for line in note["lines"]] == [
        ("credit", "INV-0", "", -143),
        ("credit", "INV-0", "VAT", -714),
    ]
    assert [(one["code"], one["net"], one["amount"]) for one in note["taxes"]] == [("VAT", -714, -143)]
    assert (note["net"], note["tax"], note["total"]) == (-857, -143, -1_000)


@settings(max_examples=80)
@example([("VAT", 100), ("CUT", 101), ("", 103)], list(range(1, 20)))
@given(
    st.lists(st.tuples(st.sampled_from(["VAT", "CUT", ""]), st.integers(-400, 5_000)), min_size=1, max_size=5),
    st.lists(st.integers(1, 3_000), max_size=6),
)
def test_notes_for_all_of_a_bill_sum_to_its_figures(lines: list[tuple[str, int]], parts: list[int]) -> None:
    nets: dict[str, int] = {}
    for tax, amount in lines:
        nets[tax] = nets.get(tax, 0) + amount
    taxes = [{"code": code, "name": code, "rate_ppm": 1, "net": net, "amount": net // 5}
             for code, net in nets.items() if code]  # fmt: skip
    total = sum(nets.values()) + sum(one["amount"] for one in taxes)
    if total <= 0:
        return
    settled = {"paid": 0, "credited": 0, "open": total}
    doc: dict[str, Any] = {
        **dict.fromkeys(("account", "cycle", "period", "from_day", "until_day", "plan", "currency", "decimals"), "x"),
        "msisdn": "",
        "language": "",
        "number": "B",
        "version": 1,
        "state": UNPAID,
        "settled": settled,
        "lines": [{"kind": "usage", "code": "", "tax": tax, "amount": amount} for tax, amount in lines],
        "taxes": taxes,
        "total": total,
    }
    notes = []
    for part in [*parts, total]:
        left = total - doc["settled"]["credited"]
        if left:
            notes.append(credit_note(doc, min(part, left)))
            doc = with_settled(doc, credited=min(part, left))
    for note in notes:
        assert note["net"] == sum(line["amount"] for line in note["lines"])
        assert note["tax"] == sum(one["amount"] for one in note["taxes"])
        assert note["total"] == note["net"] + note["tax"] < 0
    for one in taxes:
        given = [tax for note in notes for tax in note["taxes"] if tax["code"] == one["code"]]
        assert sum(tax["amount"] for tax in given) == -one["amount"]
        assert sum(tax["net"] for tax in given) == -one["net"]
    assert (sum(note["total"] for note in notes), doc["state"], doc["settled"]["open"]) == (-total, PAID, 0)


# ── reminders ──────────────────────────────────────────────────────────────────────────────────────


def test_a_reminders_fee_is_on_the_next_bill() -> None:
    office = Office(tax="VAT")
    office.issue("2026-11")
    office.world.do(DunBill("INV-0", "INV-0", 2, 5_000_000))
    doc = office.issue("2026-12")
    assert [(line["code"], line["tax"], line["amount"]) for line in doc["lines"] if line["kind"] == "dunning"] == [
        ("INV-0", "", 500)
    ]


def test_a_step_may_suspend_and_may_do_nothing() -> None:
    world = world_of()
    assert world.do(DunBill("b", "B", 1)).account is None
    world.do(DunBill("b", "B", 3, suspends=True), now_s=OCTOBER.start_s)
    assert (world.account["state"], world.account["history"][-1]) == (
        "suspended",
        [OCTOBER.start_s, "small", "suspended"],
    )
    assert world.do(DunBill("b", "B", 3, suspends=True)).account is None
    world.do(SetState("terminated"))
    assert world.do(DunBill("b", "B", 3, suspends=True)).account is None


# ── all of it together ─────────────────────────────────────────────────────────────────────────────

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["use", "topup", "bounce", "adjust", "pay", "credit", "void", "settle", "issue", "dun"]),
        st.integers(1, 5_000),
        st.integers(0, 9),
    ),
    max_size=25,
)


def do(office: Office, kind: str, amount: int, choice: int) -> None:
    """One step of an office's day; what makes no sense at the moment isn't done."""
    world: World = office.world
    bills = [doc for doc in office.bills.values() if doc["state"] != VOID]
    chosen = bills[choice % len(bills)] if bills else None
    if kind == "use":
        use(world, world.account["version"], world.now_s - choice * DAY_S, amount)
    elif kind in ("topup", "bounce", "adjust"):
        name = "adjustment" if kind == "adjust" else "payment"
        world.do(Movement(name, (amount if kind == "topup" else -amount) * SCALE + choice))
    elif kind == "settle":
        office.settle()
    elif kind == "dun" and chosen:
        world.do(DunBill(chosen["_id"], chosen["number"], choice, amount * 1_000))
    elif kind == "pay" and chosen:
        office.pay(chosen["number"], amount)
    elif kind == "credit" and chosen:
        left = chosen["total"] - chosen["settled"]["credited"]
        if left > 0:
            office.credit(chosen["number"], min(amount, left))
    elif kind == "void" and bills and not bills[-1]["settled"]["credited"]:
        office.void(bills[-1]["number"])
    elif kind == "issue":
        issued = {doc["period"] for doc in bills}
        following = [label for label in LABELS if label > max(issued, default="")]
        if following and (not bills or bills[-1]["_id"] == office.billing["bill"]):
            office.issue(following[0])


@settings(max_examples=120, deadline=None)
@given(STEPS, st.sampled_from(["arrears", "advance"]))
def test_what_is_open_less_credit_is_what_is_due(steps: list[tuple[str, int, int]], timing: str) -> None:
    office = Office(fee_timing=timing)
    for kind, amount, choice in [("issue", 0, 0), *steps, ("issue", 0, 0), ("settle", 0, 0)]:
        count = len(office.bills)
        do(office, kind, amount, choice)
        billing = office.billing
        assert billing["open"] == sum(doc["settled"]["open"] for doc in office.bills.values())
        for doc in office.bills.values():
            settled = doc["settled"]
            assert min(settled.values()) >= 0
            if doc["state"] != VOID:
                over = settled["paid"] + settled["credited"] + settled["open"] - max(doc["total"], 0)
                assert 0 <= over <= settled["credited"], "only what was paid can be credited once more"
        if len(office.bills) > count:
            assert billing["due"] == billing["open"] - billing["credit"]
    if office.settle():
        assert not (office.billing["credit"] > 0 and office.open)
    found = bill(office.world, period("2027-06"))
    office.world.do(found.command("last"), now_s=period("2027-06").end_s)
    assert office.world.account["balance_micros"] == -found.doc["due"] * SCALE
