"""What goes wrong with a bill's document."""

from __future__ import annotations

from mubss.core.errors import MubssError


class RenderError(MubssError):
    """A bill can't be rendered; the text says why."""
