"""A price told step by step is the price that rating comes to, whatever the tariff has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import ANY, NIGHT, NOW_S, PEAK, VOICE, make_tables, plan, plan_service
from mubss.core.allowance import Allowance
from mubss.core.errors import InputError
from mubss.core.explain import explain
from mubss.core.rater import rate_usage
from mubss.core.rates import Terms
from mubss.core.tariff import Step, Tables
from test_core_allowance import bucket


def tables_of(setup: int, minimum: int, maximum: int) -> Tables:
    """Bands, steps of the month, counted steps, and free units, for calls anywhere but at night."""
    service = plan_service(VOICE, (ANY, "peak", 90, 60, setup, minimum), (ANY, ANY, 30, 60, 7, 0), free_units=100)
    rates = {at: rate._replace(terms=Terms(60, 1, maximum)) for at, rate in service.rates.items()}
    cheap = rates[ANY, "peak"]._replace(price_micros=45).key
    keys = {at: rate.key for at, rate in rates.items()}
    steps = {keys[ANY, "peak"]: (Step(0, keys[ANY, "peak"]), Step(500, cheap))}
    priced = replace(service, rates=rates, rate_keys=keys, steps=steps)
    return replace(make_tables(plan("one", priced), bands=(PEAK, NIGHT)), blocked=frozenset(["fraud"]))


@given(
    st.integers(1, 40_000),
    st.integers(NOW_S - 90_000, NOW_S + 90_000),
    st.sampled_from([0, 500]),
    st.sampled_from([0, 100_000]),
    st.sampled_from([0, 600, 100_001]),
    st.integers(0, 150),
    st.integers(0, 600),
    st.integers(0, 900),
)
def test_the_steps_sum_to_the_charge(
    units: int, at_s: int, setup: int, minimum: int, maximum: int, used: int, paid: int, bundle: int
) -> None:
    tables = tables_of(setup, minimum, max(maximum, minimum) if maximum else 0)
    allowance = Allowance({"2026-11": used}, {"2026-11": paid}, [bucket("b", bundle, until_s=NOW_S + 4_000)])
    found = explain(tables, "one", "VOICE", ANY, units, at_s, allowance)
    usage = rate_usage(tables, tables.plans["one"].services["VOICE"], ANY, units, at_s, {}, allowance)
    assert found.charge_micros == usage.charge_micros == sum(step.micros for step in found.steps)
    assert sum(step.units for step in found.steps) == units
    free = sum(step.units for step in found.steps if step.kind == "free")
    assert free == sum(usage.free_units.values())
    assert sum(step.units for step in found.steps if step.kind == "bundle") == sum(usage.bundle_units.values())


def test_what_isnt_sold_is_said() -> None:
    found = explain(tables_of(0, 0, 0), "one", "VOICE", "fraud", 5, NOW_S, Allowance())
    assert (found.unpriced_units, found.charge_micros, [step.kind for step in found.steps]) == (5, 0, ["unpriced"])


@pytest.mark.parametrize(
    ("plan_code", "service", "units", "text"),
    [
        ("two", "VOICE", 1, "plan: 'two'; expected one of one"),
        ("one", "DATA", 1, "service: 'DATA'; expected one of VOICE"),
        ("one", "VOICE", 0, "units: 0; expected"),
        ("one", "VOICE", 1 << 40, "units: 1099511627776; expected"),
    ],
)
def test_what_cant_be_priced(plan_code: str, service: str, units: int, text: str) -> None:
    with pytest.raises(InputError, match=text):
        explain(tables_of(0, 0, 0), plan_code, service, ANY, units, NOW_S, Allowance())
