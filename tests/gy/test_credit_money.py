"""CC-Money, and what an answer 5004 names: units that are no units."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core_builders import demo_tables
from mubss.core.events import MONEY
from mubss.core.model import Outcome, Result, UnitAnswer
from mubss.gy.avp import decode_tree
from mubss.gy.ccr import Ccr, Mscc, Units, UsedUnits
from mubss.gy.credit import offending_units, to_command
from mubss.gy.credit_answer import to_answer
from mubss.gy.profile import Profile

FIVE = (5, 0, 978)


def ccr(kind: int, *msccs: Mscc, context: str = "32251@3gpp.org") -> Ccr:
    return Ccr(
        session_id="s;1",
        cc_request_type=kind,
        cc_request_number=0,
        service_context_id=context,
        subscription_ids=[(0, "999700000001")],
        msccs=list(msccs),
    )


@pytest.mark.conforms("RFC 8506 §8.22", "money that a session used has no price, and goes to suspense")
@pytest.mark.parametrize(
    ("mscc", "used"),
    [
        (Mscc(1, [], Units(), [UsedUnits(money=FIVE)]), 5_000_000),
        (Mscc(1, [], None, [UsedUnits(money=FIVE), UsedUnits(money=(25, -2, 978))]), 5_250_000),
    ],
)
def test_money_that_a_session_used_has_no_price(mscc: Mscc, used: int) -> None:
    [request] = to_command(ccr(2, mscc), Profile(), demo_tables()).requests
    assert (request.service, request.used_units, request.money_micros) == (None, used, None)


@pytest.mark.conforms("RFC 8506 §6.1", "a debit of money is granted as money")
def test_a_debit_of_money_is_granted_as_money() -> None:
    [request] = to_command(ccr(4, Mscc(1, [], Units(money=FIVE))), Profile(), demo_tables()).requests
    assert (request.service, request.money_micros, request.currency) == ("DATA", 5_000_000, 978)
    answer = UnitAnswer(False, 1, [], Result.SUCCESS, MONEY, 5_250_000)
    cca = to_answer(Outcome(4 << 32, 0, Result.SUCCESS, [answer], None, "EUR"), Profile(), {"EUR": 978})
    assert cca.msccs[0].granted == Units(money=(525, -2, 978))


@pytest.mark.conforms("RFC 6733 §7.5", "5004 names the count that can't be")
@pytest.mark.parametrize(
    ("build", "name", "value"),
    [
        (lambda: ccr(4, Mscc(None, [], Units(service_specific_units=2**62))), "CC-Service-Specific-Units", 2**62),
        (lambda: ccr(2, Mscc(1, [], Units(5), [UsedUnits(7), UsedUnits(2**64 - 1)])), "CC-Total-Octets", 2**64 - 1),
        (lambda: ccr(2, Mscc(1, [], None, [UsedUnits(time_s=9)])), "CC-Time", 9),
        (lambda: ccr(4, Mscc(1, [], Units(money=(5, 0, 840)))), "CC-Money", None),
        (lambda: Ccr(requested=Units(output_octets=4)), "CC-Output-Octets", 4),
    ],
)
def test_the_failed_avp_is_the_largest_count(build: Callable[[], Ccr], name: str, value: int | None) -> None:
    [node] = decode_tree(offending_units(build()))
    assert node.name == name and (value is None or node.value == value)


def test_without_units_there_is_none_to_name() -> None:
    assert offending_units(ccr(1, Mscc(1))) == b""
