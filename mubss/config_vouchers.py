"""Options of vouchers, `[vouchers]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_folder
from mubss.options import option


@dataclass(frozen=True, slots=True)
class VoucherOptions:
    """Vouchers. Their PINs are kept as hashes under a secret, the pepper."""

    pepper_file: str = option(
        "var/voucher.pepper",
        "The pepper: `mubss init` makes it. Only its owner may read it; without it no voucher can be redeemed, so keep "
        "a copy, apart from the store's. Every machine needs the same.",
        check=is_folder,
    )
    subscriber_wrong_pins: int = option(
        5, "Wrong PINs of a subscriber after which the next has to wait.", low=1, high=1000, unit="PINs"
    )
    subscriber_forgive_seconds: int = option(
        3600, "A wrong PIN of a subscriber is forgiven in so long.", low=1, high=604_800, unit="seconds"
    )
    channel_wrong_pins: int = option(
        100, "The same for all that comes through one channel: a shop, a portal.", low=1, high=1_000_000, unit="PINs"
    )
    channel_forgive_seconds: int = option(
        60, "A wrong PIN of a channel is forgiven in so long.", low=1, high=604_800, unit="seconds"
    )
    lock_seconds: int = option(
        60, "How long the first wait is; each wrong PIN more doubles it.", low=1, high=86_400, unit="seconds"
    )
    lock_limit_seconds: int = option(86_400, "The longest wait.", low=1, high=604_800, unit="seconds")
