"""Who may call what: roles, each with the rights of those before it, and the principal that a token stands for."""

from __future__ import annotations

from typing import NamedTuple

VIEWER, AGENT, SUPERVISOR, ADMIN = "viewer", "agent", "supervisor", "admin"
ROLES = (VIEWER, AGENT, SUPERVISOR, ADMIN)


class Principal(NamedTuple):
    """Whom a call is of, as its token says."""

    subject: str
    role: str
    token_id: str  # jti
    expires_s: int


def has_role(principal: Principal, least: str) -> bool:
    """Whether a principal has at least that role."""
    return ROLES.index(principal.role) >= ROLES.index(least)
