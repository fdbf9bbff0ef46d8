"""Asks a program's port of metrics as Prometheus and a supervisor do."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable

WAIT_SECONDS = 60
NOBODY = 0  # the status where nobody answers


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """(status, text); (NOBODY, why) where nobody answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
            return int(answer.status), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return NOBODY, str(error)


def values(port: int) -> dict[str, float]:
    """Name with labels → value, of /metrics."""
    status, text = get(port, "/metrics")
    assert status == 200, (status, text)
    return {name: float(value) for name, value in re.findall(r"^(mubss\S+?(?:\{.*\})?) (\S+)$", text, re.M)}


def until(port: int, path: str, is_so: Callable[[tuple[int, str]], bool]) -> tuple[int, str]:
    """Asks until the answer is as wanted."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so(answer := get(port, path)):
        assert time.monotonic() < deadline, answer
    return answer
