"""Programs of others that tests play against: a machine without one leaves those tests out."""

from __future__ import annotations

import os
from shutil import which

import pytest

NOT_HERE = "isn't installed"
REQUIRED = "MUBSS_REQUIRE_PEERS"


def program(name: str, package: str) -> str:
    """Its path; where there is none the test is left out, or fails if MUBSS_REQUIRE_PEERS is set."""
    found = which(name)
    if found is not None:
        return found
    text = f"{name} {NOT_HERE} (Debian's package {package})"
    if os.environ.get(REQUIRED):
        pytest.fail(f"{REQUIRED} is set: {text}")
    pytest.skip(text)
