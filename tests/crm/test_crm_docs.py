"""docs/CRM.md: it has every call, and its examples are accepted by a real server."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from crm_examples import EXAMPLES, fields_of, php, python, python_call
from crm_world import CrmWorld
from examples import RPCS, may_come_to
from mubss.crm.permissions import LEAST_ROLE

TEXT = (Path(__file__).parents[2] / "docs/CRM.md").read_text("utf-8")


@pytest.mark.parametrize("name", RPCS)
def test_every_call_is_there_with_its_role_and_fields(name: str) -> None:
    section = TEXT.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    assert f"Least role `{LEAST_ROLE[name]}`" in section, "run: scripts/crm_docs"
    assert all(f"| `{field}` |" in section for field in RPCS[name].input_type.fields_by_name)
    assert f"('{name}'" in section and f'"{name}"' in section, "examples in PHP and Python"


@pytest.mark.parametrize("name", RPCS)
def test_an_example_is_a_request(name: str) -> None:
    GetMessageClass(RPCS[name].input_type)(**fields_of(name, RPCS[name]))


def test_no_example_is_of_a_call_that_there_isnt() -> None:
    assert set(EXAMPLES) <= set(RPCS)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_accepted(crm: CrmWorld, name: str) -> None:
    answer = None
    try:
        answer = eval(python_call(name, RPCS[name]), {"crm": crm.client(), "uuid4": uuid4})
        if RPCS[name].server_streaming:
            next(answer)
    except grpc.RpcError as error:
        assert error.code().name in may_come_to(name), error
    assert answer is not None or may_come_to(name)


@pytest.mark.parametrize(
    ("value", "as_php", "as_python"),
    [
        (12_500_000, "12_500_000", "12_500_000"),
        (True, "true", "True"),
        ('it\'s \\ "so"', "'it\\'s \\\\ \"so\"'", '"it\'s \\\\ \\"so\\""'),
        (["a", 1], "['a', 1]", '["a", 1]'),
        ({"a": {"b": -5}}, "['a' => ['b' => -5]]", '{"a": {"b": -5}}'),
    ],
)
def test_values_as_they_are_written(value: object, as_php: str, as_python: str) -> None:
    assert (php(value), python(value)) == (as_php, as_python) and eval(as_python) == value
