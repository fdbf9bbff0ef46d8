"""Messages as Gy clients send them, from the .hex files beside this one: comment lines begin with #.

What must come back stands beside them, in a folder for each profile: `load("open5gs", "generic/ccr_i")`.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def load(client: str, name: str) -> bytes:
    """The message in <client>/<name>.hex."""
    text = (FOLDER / client / f"{name}.hex").read_text(encoding="utf-8")
    return bytes.fromhex("".join(line for line in text.splitlines() if not line.startswith("#")))


def every() -> list[tuple[str, str]]:
    """(client, name) of all requests that there are, sorted."""
    return sorted((path.parent.name, path.stem) for path in FOLDER.glob("*/*.hex"))
