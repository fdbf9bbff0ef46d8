"""docs/sbom.cdx.json: it names what setup.py requires, another reader takes it, and it is made the same again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from packaging.requirements import Requirement

import sbom

ROOT = Path(__file__).parents[2]
WRITTEN: dict[str, Any] = json.loads(sbom.FILE.read_text("utf-8"))
VERSIONS = {one["name"]: one["version"] for one in WRITTEN["components"]}
SCOPES = {one["name"]: one["scope"] for one in WRITTEN["components"]}
REQUIRED = [Requirement(text) for text in metadata.requires("mubss") or ()]


def test_it_names_what_setup_py_requires() -> None:
    source = (ROOT / "setup.py").read_text("utf-8")
    listed = re.findall(
        r'^        "([A-Za-z0-9-]+)[^"]*",', source.partition("install_requires=[")[2].partition("]")[0], re.M
    )
    plain = {one.name for one in REQUIRED if one.marker is None}
    assert plain == set(listed) and len(plain) > 15
    for one in REQUIRED:
        name = sbom.canonical(one.name)
        if one.marker is None:
            assert SCOPES[name] == "required", "run: scripts/sbom"
        elif any(one.marker.evaluate({"extra": extra}) for extra in sbom.EXTRAS):
            assert name in VERSIONS, "run: scripts/sbom"
        else:
            continue
        assert one.specifier.contains(VERSIONS[name]), f"{one}: run scripts/sbom"


def test_it_names_no_tool_of_developers_alone() -> None:
    assert not set(VERSIONS) & {"pytest", "ruff", "mypy", "hypothesis", "pip-audit", "grpcio-tools", "atheris", "mubss"}


def test_it_is_whole_and_in_order() -> None:
    names = [one["name"] for one in WRITTEN["components"]]
    assert names == sorted(set(names))
    references = {WRITTEN["metadata"]["component"]["bom-ref"], *(one["bom-ref"] for one in WRITTEN["components"])}
    assert {one["ref"] for one in WRITTEN["dependencies"]} == references
    assert all(set(one["dependsOn"]) <= references for one in WRITTEN["dependencies"])
    assert "timestamp" not in WRITTEN["metadata"] and "serialNumber" not in WRITTEN


def test_another_reader_takes_it() -> None:
    read = Bom.from_json(WRITTEN)  # type: ignore[attr-defined] # py-serializable adds it
    assert {one.name for one in read.components} == set(VERSIONS)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_it_is_made_the_same_again(seed: str) -> None:
    command = [sys.executable, str(ROOT / "scripts/sbom.py"), "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed})
    assert done.stdout == sbom.text()
