"""Messages as Gy clients send them, from the .hex files beside this one: comment lines begin with #."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent


def load(client: str, name: str) -> bytes:
    """The message in <client>/<name>.hex."""
    text = (FOLDER / client / f"{name}.hex").read_text(encoding="utf-8")
    return bytes.fromhex("".join(line for line in text.splitlines() if not line.startswith("#")))


def every() -> list[tuple[str, str]]:
    """(client, name) of all there are, sorted."""
    return sorted((path.parent.name, path.stem) for path in FOLDER.glob("*/*.hex"))
