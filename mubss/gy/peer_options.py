"""Profiles and the peer table as the configuration has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mubss.config_gy import GyOptions, ProfileOptions
from mubss.gy.peer_table import PeerTable, row
from mubss.gy.profile import (
    CONTINUE,
    FAILOVER_SUPPORTED,
    RETRY_AND_TERMINATE,
    TERMINATE,
    Change,
    Profile,
    make_profiles,
)

_FAILOVER = {"supported": FAILOVER_SUPPORTED, "not-supported": 0, "not-sent": None}
_FAILURE_HANDLING = {
    "terminate": TERMINATE,
    "continue": CONTINUE,
    "retry-and-terminate": RETRY_AND_TERMINATE,
    "not-sent": None,
}


def peer_table(options: GyOptions) -> PeerTable:
    """The peers of the configuration with their profiles; config.load has checked the names."""
    generic = Profile(
        subscription_order=options.subscription_id_order,
        default_context=options.default_service_context,
        deadline_ms=options.deadline_ms,
        command_level_credit_limit=options.out_of_credit == "command",
    )
    changes = [Change(one.name, one.base, dict(_changed(one))) for one in options.profiles]
    profiles = make_profiles(generic, changes)
    rows = [
        row(one.origin_host, one.realm, one.addresses, profiles[one.profile or options.profile])
        for one in options.peers
    ]
    return PeerTable(rows, options.accept_unknown_peers, profiles[options.profile])


def _changed(options: ProfileOptions) -> Iterator[tuple[str, Any]]:
    """What an operator set of a profile, by the names of its fields."""
    for name, value in (
        ("subscription_order", options.subscription_id_order),
        ("default_context", options.default_service_context),
        ("default_subscriber", options.default_subscriber),
        ("balance_information", options.balance_information),
        ("deadline_ms", options.deadline_ms),
    ):
        if value:
            yield name, value
    for name, number in (
        ("default_rating_group", options.default_rating_group),
        ("threshold_percent", options.threshold_percent),
        ("holding_time_s", options.holding_time_seconds),
    ):
        if number >= 0:
            yield name, number
    for name, choice, meaning in (
        ("strict", options.strict, "yes"),
        ("knows_tariff_change", options.tariff_time_change, "yes"),
        ("knows_pools", options.credit_pools, "yes"),
        ("charges_unknown_sessions", options.unknown_sessions, "charge"),
        ("ends_sessions_at_reboot", options.reboot_ends_sessions, "yes"),
        ("command_level_credit_limit", options.out_of_credit, "command"),
    ):
        if choice:
            yield name, choice == meaning
    if options.session_failover:
        yield "session_failover", _FAILOVER[options.session_failover]
    if options.failure_handling:
        yield "failure_handling", _FAILURE_HANDLING[options.failure_handling]
