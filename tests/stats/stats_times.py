"""Times of the tests of statistics."""

from __future__ import annotations

HOUR_S, DAY_S = 3_600, 86_400
NOON = 1_795_950_000  # 2026-11-29 12:00 in Berlin
