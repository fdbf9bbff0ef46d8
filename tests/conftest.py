"""Settings of the whole test suite."""

from __future__ import annotations

from hypothesis import settings

# No deadline per example: the cores are shared, and a slow moment is no fault. A failure prints how to replay it.
settings.register_profile("mubss", deadline=None, print_blob=True)
settings.load_profile("mubss")
