"""Options of the management interface, `[crm]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_folder
from mubss.options import option


@dataclass(frozen=True, slots=True)
class CrmOptions:
    """The gRPC interface of the CRM, mubss-crm, and the tokens that open it."""

    keys_folder: str = option(
        "var/keys",
        "Folder of the keys that tokens are signed with, KID.key each; all of them are taken, the last by name signs.",
        check=is_folder,
    )
    issuer: str = option("mubss", "Who issues tokens: their `iss`.")
    audience: str = option("mubss-crm", "Whom tokens are for: their `aud`.")
    leeway_seconds: int = option(5, "How far clocks may differ.", low=0, high=300, unit="seconds")
    max_token_days: int = option(400, "The longest that a token may be good for.", low=1, high=3660, unit="days")
