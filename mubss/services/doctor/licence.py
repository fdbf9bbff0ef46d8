"""The licence as programs check it at their start: whose, until when, for which of them; the last known good time."""

from __future__ import annotations

from collections.abc import Iterator

from mubss.core import licence as rules
from mubss.core.errors import LicenceError
from mubss.core.licence import DAY_S, NEEDS, State
from mubss.services.doctor.scene import Finding, Scene, fail, ok, warn
from mubss.services.licensing import LicenseValidator, utc

_RENEW = "ask who issued it for another: docs/LICENCE.md"


def check(scene: Scene) -> Iterator[Finding]:
    """What would keep programs from starting, now or soon."""
    validator = LicenseValidator(scene.config)
    try:
        licence = validator.read()
        known_s = validator.known_s()
    except LicenceError as error:
        yield fail(str(error), "`mubss license show` tells what is there; docs/LICENCE.md")
        return
    if known_s is not None and rules.is_rolled_back(scene.now_s, known_s):
        yield fail(f"clock: {utc(scene.now_s)}, and {utc(known_s)} was reached before", "set the clock right")
    state = rules.state(licence, scene.now_s, scene.config.license.grace_days * DAY_S)
    text = f"{licence.serial} of {licence.licensee}: {state.value}, ends {utc(licence.expires_s)}"
    if state not in rules.USABLE:
        yield fail(text, _RENEW)
    elif state is State.GRACE or (state is State.EXPIRING and licence.kind != rules.DEMO):
        yield warn(text, _RENEW)
    else:
        yield ok(text)
    if without := [name for name in NEEDS if rules.missing(name, licence.features)]:
        yield warn(f"licence.features: not for {', '.join(without)}", "nothing, unless they should run")
