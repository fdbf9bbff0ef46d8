"""Documents and expressions at random, of the kinds on which the engines promise to agree (mubss/xdev/expressions.py).

An expression is a text and the values of its placeholders; `Made` keeps their names apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from hypothesis import strategies as st

LETTERS = st.sampled_from(["a", "b", "A", "é", "😀", " ", "%", "_", "1", "-", ""])
TEXTS = st.lists(LETTERS, max_size=4).map("".join)
WHOLE = st.one_of(st.integers(-5, 5), st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63), 10**15]))
FRACTIONS = st.sampled_from([-1.5, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, 2.5, 1e10, 1e-10, 1e300])
SMALL = st.one_of(st.integers(-9, 9), st.sampled_from([-1.5, -0.5, 0.25, 0.5, 2.5]))
NUMBERS = st.one_of(SMALL, st.sampled_from([2**31, 2**32 - 1, 2**32, 5_000_000_001, -5_000_000_001, 10**12 + 1]))
SCALARS = st.one_of(st.none(), st.booleans(), WHOLE, FRACTIONS, TEXTS)
LISTS = st.recursive(st.lists(SCALARS, max_size=3), lambda inner: st.lists(st.one_of(SCALARS, inner), max_size=3))
OBJECTS = st.dictionaries(st.sampled_from(["c", "d", "é x"]), SCALARS, max_size=2)
DATES = st.sampled_from(
    ["2024-02-29", "1999-12-31 23:59:59", "2026-11-27 00:00:00", "2000-01-01", "no date", "20240229", ""]
)
# a and b are scalars, n and m numbers, t and u texts, l a list, o an object, d a date; any may be missing.
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "a": SCALARS,
    "b": SCALARS,
    "n": NUMBERS,
    "m": NUMBERS,
    "t": TEXTS,
    "u": TEXTS,
    "l": LISTS,
    "o": OBJECTS,
    "d": DATES,
}
BODIES = st.fixed_dictionaries({}, optional=MEMBERS)
COMPARISONS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


class Made(NamedTuple):
    """An expression and what its placeholders stand for."""

    text: str
    values: dict[str, Any]


def joined(template: str, *parts: Made) -> Made:
    """One expression of several: `{0}` and so on stand for them."""
    texts, values = [], {}
    for place, part in enumerate(parts):
        text = part.text
        for name, value in part.values.items():
            values[f"p{place}{name}"] = value
            text = text.replace(f":{name}:", f":p{place}{name}:")
        texts.append(text)
    return Made(template.format(*texts), values)


def final(made: Made) -> Made:
    """The expression with its placeholders as they are written: `:name`. Until then `:name:` tells them apart."""
    text = made.text
    for name in made.values:
        text = text.replace(f":{name}:", f":{name}")
    return Made(text, made.values)


def bound(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Made]:
    return values.map(lambda value: Made(":v:", {"v": value}))


def path(*names: str) -> st.SearchStrategy[Made]:
    return st.sampled_from([Made(f"$.{name}", {}) for name in names])


def combined(template: str, *parts: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    return st.tuples(*parts).map(lambda found: joined(template, *found))


def compared(left: st.SearchStrategy[Made], right: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    sign = COMPARISONS.map(lambda text: Made(text, {}))
    return combined("{0} {1} {2}", left, sign, right)


numbers = st.recursive(
    st.one_of(path("n", "m"), bound(SMALL)),
    lambda inner: st.one_of(
        *(combined(f"({{0}} {sign} {{1}})", inner, inner) for sign in "+-"),
        combined("({0} * {1})", inner, bound(SMALL)),
        combined("({0} / {1})", inner, bound(st.sampled_from([-4, -2, -0.5, 0.25, 0.5, 1, 2, 4]))),
        combined("(-{0})", path("n", "m")),
        combined("abs({0})", inner),
        combined("ifnull({0}, {1})", path("n", "m"), bound(SMALL)),
    ),
    max_leaves=4,
)
whole_numbers = st.one_of(
    combined("char_length({0})", path("t", "u")),
    combined("length({0})", path("t", "u")),
    combined("instr({0}, {1})", path("t", "u"), bound(TEXTS.filter(bool))),
    combined("json_length({0})", path("a", "l", "o")),
    *(combined(f"{part}({{0}})", path("d")) for part in ("year", "month", "day", "hour", "minute", "second")),
    *(combined(f"{part}({{0}})", path("d")) for part in ("dayofyear", "weekday")),
    combined("datediff({0}, {1})", path("d"), path("d")),
)
text_calls = st.one_of(
    combined("concat({0}, {1})", path("t", "u"), st.one_of(path("t", "u"), bound(TEXTS))),
    combined("replace({0}, {1}, {2})", path("t", "u"), bound(TEXTS.filter(bool)), bound(TEXTS)),
    combined("substr({0}, {1})", path("t", "u"), bound(st.integers(-6, 6))),
    combined("substr({0}, {1}, {2})", path("t", "u"), bound(st.integers(-6, 6)), bound(st.integers(-1, 6))),
    *(combined(f"{name}({{0}})", path("t", "u")) for name in ("trim", "ltrim", "rtrim")),
    combined("ifnull({0}, {1})", path("t", "u"), bound(TEXTS)),
)
comparisons = st.one_of(
    compared(path("a", "b", "n", "t", "l", "o"), bound(SCALARS)),
    compared(bound(SCALARS), path("a", "b")),
    compared(path("a", "b", "t"), path("a", "b", "n", "l")),
    compared(numbers, st.one_of(numbers, bound(SMALL))),
    compared(whole_numbers, bound(st.integers(-3, 40))),
    compared(text_calls, st.one_of(bound(TEXTS), path("t", "u"))),
    compared(path("o.c", "o.d", 'o."é x"', "l[0]", "l[1]", "missing", "o.missing.more"), bound(SCALARS)),
    combined("{0} IN ({1}, {2})", path("a", "b", "n", "t"), bound(SCALARS), bound(SCALARS)),
    combined("{0} NOT IN ({1}, {2})", path("a", "b"), bound(SCALARS), path("b", "t")),
    combined("{0} BETWEEN {1} AND {2}", path("a", "b", "n"), bound(SCALARS), bound(SCALARS)),
    combined("{0} NOT BETWEEN {1} AND {2}", path("a", "b"), bound(SCALARS), bound(SCALARS)),
    combined("{0} LIKE {1}", path("t", "u"), bound(TEXTS)),
    combined("{0} NOT LIKE {1}", path("t", "u"), st.one_of(bound(TEXTS), path("t", "u"))),
    combined("{0} IN {1}", bound(SCALARS.filter(lambda value: value is not None)), path("l", "a")),
    combined("{0} NOT IN {1}", path("a", "b"), path("l")),
    combined("{0} IS NULL", path("a", "l", "o.c", "l[2]", "missing")),
    combined("{0} IS NOT NULL", path("a", "t", "o.d")),
    combined("json_type({0}) = {1}", path("a", "l", "o", "n"), bound(st.sampled_from(["NULL", "INTEGER", "ARRAY"]))),
    st.sampled_from([Made("true", {}), Made("false", {})]),
)
conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        combined("({0} AND {1})", inner, inner),
        combined("({0} OR {1})", inner, inner),
        combined("({0} XOR {1})", inner, inner),
        combined("NOT ({0})", inner),
    ),
    max_leaves=4,
).map(final)
values = st.one_of(
    path("a", "b", "n", "t", "l", "o", "o.c", "l[0]", "missing"), numbers, whole_numbers, text_calls, bound(SCALARS)
).map(final)
sorts = st.lists(
    st.tuples(
        st.sampled_from(["$.a", "$.b", "$.n", "$.t", "$.o.c", "char_length($.t)"]), st.sampled_from(["", " DESC"])
    ),
    max_size=2,
).map(lambda terms: ["".join(term) for term in terms] + ["_id"])
