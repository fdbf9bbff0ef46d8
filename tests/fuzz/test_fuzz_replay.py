"""Every target of scripts/fuzz without atheris: seeds, what once broke it, and mutants of both, the same each time."""

from __future__ import annotations

import pytest

import fuzzing

MUTANTS = 150
SEED = 20_261_129


@pytest.mark.parametrize("name", fuzzing.names())
def test_nothing_but_what_is_said_comes_out(name: str) -> None:
    target = fuzzing.load(name)
    known = fuzzing.corpus(target, name)
    assert known
    for title, data in known.items():
        try:
            target.one_input(data)
        except Exception as error:
            raise AssertionError(f"{title}: {data.hex()}") from error
    for data in fuzzing.mutants(list(known.values()), MUTANTS, SEED):
        try:
            target.one_input(data)
        except Exception as error:
            raise AssertionError(data.hex()) from error


def test_vectors_are_of_targets_that_there_are() -> None:
    folders = {file.parent.name for file in fuzzing.VECTORS.glob("*/*.hex")}
    assert folders <= set(fuzzing.names())


def test_a_seed_gives_the_same_mutants_again() -> None:
    inputs = [b"abc", b"defgh" * 10]
    first, again, other = (list(fuzzing.mutants(inputs, 20, seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert set(first) - set(inputs) and all(len(data) <= fuzzing.MAX_OCTETS for data in first)
