"""What a client of a mubss-crm of one's own needs: a certificate authority and a token."""

from __future__ import annotations

import time
from collections.abc import Mapping

from mubss.config import load
from mubss.core.roles import ADMIN
from mubss.services import private_ca
from mubss.services.tokens import Keys, issue, make_key, terms_of


def credentials(settings: Mapping[str, str]) -> tuple[bytes, str]:
    """Makes certificate and key in the data folder that the settings name; (the authority, a token of a day)."""
    config = load(None, settings)
    authority = private_ca.make_server(config.resolve("var/tls"), ["localhost"], int(time.time())).ca.read_bytes()
    keys = config.resolve(config.crm.keys_folder)
    make_key(keys, "k1")
    return authority, issue(Keys(keys), terms_of(config.crm), "bench", ADMIN, 86_400, int(time.time()))[0]
