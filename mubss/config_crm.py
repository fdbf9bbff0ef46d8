"""Options of the management interface, `[crm]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_folder, is_host
from mubss.options import option


@dataclass(frozen=True, slots=True)
class CrmOptions:
    """The gRPC interface of the CRM, mubss-crm, and the tokens that open it."""

    host: str = option("127.0.0.1", "Address to listen on.", check=is_host)
    port: int = option(50_051, "TCP port to listen on; 0: any free one.", low=0, high=65_535)
    tls_certificate: str = option(
        "var/tls/crm.pem",
        "The server's certificate in PEM, those of its issuers behind it; `mubss tls init` makes one.",
    )
    tls_key: str = option("var/tls/crm.key", "Its key in PEM.")
    tls_client_ca: str = option("", "Authorities in PEM, whose certificates clients must show; empty: they show none.")
    plain_text: bool = option(False, "No TLS; only where host is a loopback address.")
    reflection: bool = option(False, "Clients with a token may ask which calls there are.")
    threads: int = option(16, "Threads that do calls; streams have half of them at most.", low=2, high=1000)
    max_calls: int = option(200, "Calls under way or waiting for a thread; more are refused.", low=1, high=100_000)
    max_message_octets: int = option(
        1_048_576, "The longest request or answer.", low=1024, high=67_108_864, unit="octets"
    )
    handshake_seconds: int = option(
        10, "How long a new connection may take for TLS and its first frame.", low=1, high=120, unit="seconds"
    )
    keepalive_seconds: int = option(60, "How often a silent connection is tried.", low=10, high=3600, unit="seconds")
    drain_seconds: int = option(10, "How long calls under way may take at the end.", low=0, high=600, unit="seconds")
    key_hours: int = option(48, "How long idempotency keys are known.", low=1, high=8760, unit="hours")
    delivers: bool = option(True, "Notifications are delivered, too; else by `mubss notifications deliver`.")
    keys_folder: str = option(
        "var/keys",
        "Folder of the keys that tokens are signed with, KID.key each; all of them are taken, the last by name signs.",
        check=is_folder,
    )
    issuer: str = option("mubss", "Who issues tokens: their `iss`.")
    audience: str = option("mubss-crm", "Whom tokens are for: their `aud`.")
    leeway_seconds: int = option(5, "How far clocks may differ.", low=0, high=300, unit="seconds")
    max_token_days: int = option(400, "The longest that a token may be good for.", low=1, high=3660, unit="days")
