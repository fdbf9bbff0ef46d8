"""A folder with a licence."""

from __future__ import annotations

from pathlib import Path

import pytest

from licences import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A licence of its own key."""
    return World(tmp_path)
