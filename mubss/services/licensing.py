"""Whether this system may run: the licence, checked whole before a program starts, and looked at while it runs."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from mubss import metrics
from mubss.config import Config
from mubss.core import licence as rules
from mubss.core.errors import LicenceError, MubssError
from mubss.core.licence import DAY_S, DEMO, Licence, State
from mubss.core.wording import counted
from mubss.services import licence_files as files
from mubss.services.durable import sync
from mubss.services.licence_files import Keys
from mubss.services.licence_state import StateFile

log = logging.getLogger(__name__)


BROKEN = "broken"  # in place of a state: it can't be looked at any more
BELIEF_S = 6 * 3600  # a day forward at a start is a machine that was off, or a clock that somebody will notice by then
DEMO_WARN_DAYS = 7  # before its end; the 30 of others are its whole life


class Standing(NamedTuple):
    """How it stands with the licence at a moment."""

    licence: Licence
    state: State
    days_left: int
    known_s: int  # the last known good time


class LicenseValidator:
    """Checks the licence of a configuration; `pinned` are the keys that came with the program, unless given."""

    def __init__(self, config: Config, pinned: Keys | None = None) -> None:
        options = config.license
        self._config = config
        self._file = config.resolve(options.file)
        self._grace_s = options.grace_days * DAY_S
        self._pinned = pinned
        self._machine_file = Path(config.resolve(options.machine_id_file))
        self._noted_s = 0  # the time by which this process judges, at least
        self._sure_s = 0  # what of it is in the file
        self._doubted_s = 0  # so long we have to run yet before the clock, far ahead when we started, is believed

    def read(self) -> Licence:
        """The licence, with its signature and this machine checked; LicenceError says what is wrong."""
        if not os.path.lexists(self._file):
            trial = "`mubss init --demo` makes one to try this out"
            issued = "for production it comes from who issues licences (`mubss license machine-id`, docs/LICENCE.md)"
            raise LicenceError(f"license.file: {self._file}: No such file; {trial}, {issued}")
        pinned = files.pinned_keys() if self._pinned is None else self._pinned
        octets = files.read_file(self._file, files.MAX_FILE_OCTETS, "license.file")
        document, _ = files.split(octets)
        is_demo = rules.parse(document).kind == DEMO
        licence = files.verified(octets, files.read_keys(self._file.with_name(files.DEMO_KEY)) if is_demo else pinned)
        machine = files.read_machine_id(self._machine_file)
        if machine not in licence.machine_ids:
            shown = f"{machine[:8]}…"
            raise LicenceError(
                f"licence.machine_ids: {counted(len(licence.machine_ids), 'id')}; expected this machine's, {shown}"
            )
        if is_demo:
            self._check_demo()
        return licence

    def _check_demo(self) -> None:
        config = self._config
        listeners = [("gy.host", host) for host in config.gy.hosts]
        listeners += [("crm.host", config.crm.host), ("metrics.host", config.metrics.host)]
        for option, host in listeners:
            if not _is_loopback(host):
                raise LicenceError(f"{option}: {host!r}; expected a loopback address, as the licence is a demo's")

    def known_s(self) -> int | None:
        """The last known good time, for who only looks; None where none was noted yet."""
        return self._state().read()

    def start(self, program: str, now_s: int) -> Standing:
        """What must hold before `program` starts; LicenceError says what doesn't."""
        licence = self._licence_of(program)
        standing = self._at_start(licence, now_s, self._state().open(licence.issued_s))
        self._noted_s, self._sure_s = max(standing.known_s, now_s), standing.known_s
        self._doubted_s = BELIEF_S if rules.is_ahead(now_s, standing.known_s) else 0
        self._note(0)
        return standing._replace(known_s=self._noted_s)

    def verify(self, program: str, now_s: int) -> Standing:
        """As `start`, for who only looks: nothing is written, `known_s` is what a start would find, or begin with."""
        licence = self._licence_of(program)
        return self._at_start(licence, now_s, self._state().expected(licence.issued_s))

    def _licence_of(self, program: str) -> Licence:
        licence = self.read()
        if lacking := rules.missing(program, licence.features):
            raise LicenceError(f"licence.features: {', '.join(lacking)} missing; {program} needs it to start")
        return licence

    def _at_start(self, licence: Licence, now_s: int, known_s: int) -> Standing:
        if rules.is_rolled_back(now_s, known_s):
            raise LicenceError(
                f"clock: {utc(now_s)}; expected {utc(known_s)} or later, which was reached before: set the clock right"
            )
        standing = self._standing(licence, now_s, known_s)
        if standing.state is State.EXPIRED:
            raise LicenceError(f"licence.expires_s: {utc(licence.expires_s)}; expected a licence that isn't over")
        if standing.state is State.NOT_YET:
            raise LicenceError(
                f"licence.issued_s: {utc(licence.issued_s)}; expected a time that has come: {utc(now_s)}"
            )
        return standing

    def look(self, program: str, now_s: int, elapsed_s: int) -> Standing:
        """How it stands `elapsed_s` after the last look; notes the time. LicenceError as `start`, but for the end."""
        licence = self.read()
        if lacking := rules.missing(program, licence.features):
            raise LicenceError(f"licence.features: {', '.join(lacking)} missing; {program} needs it")
        self._noted_s = rules.advanced(self._noted_s, now_s, elapsed_s)
        standing = self._standing(licence, max(now_s, self._noted_s), self._noted_s)
        if self._doubted_s:
            is_back = rules.is_rolled_back(now_s, self._noted_s)
            self._doubted_s = BELIEF_S if is_back else max(0, self._doubted_s - elapsed_s)
        self._note(elapsed_s)
        return standing

    def _note(self, elapsed_s: int) -> None:
        """Writes the time that is sure: all of it, or while the clock is doubted the time that we ran."""
        if self._doubted_s:
            self._sure_s = self._state().raise_to(self._sure_s + elapsed_s)
        else:
            self._noted_s = self._state().raise_to(self._noted_s)

    def _state(self) -> StateFile:
        return StateFile(
            self._config.resolve(self._config.license.state_file), files.read_machine_id(self._machine_file)
        )

    def _standing(self, licence: Licence, now_s: int, known_s: int) -> Standing:
        state = rules.state(licence, now_s, self._grace_s)
        return Standing(licence, state, rules.days_left(licence, now_s), known_s)


class Gate:
    """The licence of a running program: `is_open` says whether new work may begin, and costs nothing to ask.

    A timer looks again. What goes wrong then (a file that vanished, a full disk) is logged, and the gate is
    judged by the licence last read, until its grace period is over: a fault of a disk must not end calls.
    """

    def __init__(
        self,
        program: str,
        config: Config,
        now_s: Callable[[], int] = lambda: int(time.time()),
        pinned: Keys | None = None,
    ) -> None:
        self.is_open = False
        self.fault = ""  # why the licence couldn't be looked at the last time
        self._program = program
        self._validator = LicenseValidator(config, pinned)
        self._grace_s = config.license.grace_days * DAY_S
        self._now_s = now_s
        self._seconds = config.license.look_seconds
        self._ended = threading.Event()
        self._told = ""
        self.standing = self._validator.start(program, now_s())
        self._looked_s = time.monotonic()
        licence = self.standing.licence
        log.debug("the licence %s of %s is good until %s", licence.serial, licence.licensee, utc(licence.expires_s))
        self._take(self.standing)

    def __enter__(self) -> Gate:
        """Looks again and again, in a thread of its own, until the block ends."""
        threading.Thread(target=self._repeat, name="licence", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends that."""
        self._ended.set()

    def look(self) -> None:
        """Looks once."""
        at = time.monotonic()
        elapsed_s, self._looked_s = int(at - self._looked_s), at
        try:
            standing = self._validator.look(self._program, self._now_s(), elapsed_s)
            if self.fault:
                log.info("the licence %s can be looked at again", standing.licence.serial)
            self.fault = ""
        except MubssError as error:
            self.fault = str(error)
            log.error("the licence can't be looked at: %s", error)
            last = self.standing
            now_s = max(self._now_s(), last.known_s)
            standing = last._replace(
                state=rules.state(last.licence, now_s, self._grace_s), days_left=rules.days_left(last.licence, now_s)
            )
        self._take(standing)

    def _repeat(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self.look()
            except Exception:
                log.exception("looking at the licence failed")

    def _take(self, standing: Standing) -> None:
        self.standing = standing
        was_open, self.is_open = self.is_open, standing.state in rules.USABLE
        if self.is_open and not was_open and self._told:
            log.info("the licence %s is good until %s: new work begins again", standing.licence.serial,
                     utc(standing.licence.expires_s))  # fmt: skip
        metrics.LICENCE_DAYS.set(standing.days_left)
        metrics.LICENCE_VALID.set(self.is_open and not self.fault)
        told = f"{standing.state.value} {standing.days_left}"
        if told != self._told:
            self._told = told
            _tell(standing, self._grace_s)

    def facts(self) -> dict[str, object]:
        """What `mubss status` tells of it: BROKEN where only the licence last read keeps this program at work."""
        standing = self.standing
        facts: dict[str, object] = {"licence": standing.state.value, "licence_days": standing.days_left}
        if self.fault and self.is_open:
            facts |= {"licence": BROKEN, "licence_fault": self.fault}
        return facts


def _tell(standing: Standing, grace_s: int) -> None:
    end = utc(standing.licence.expires_s)
    is_soon = standing.licence.kind != DEMO or standing.days_left < DEMO_WARN_DAYS
    if standing.state is State.EXPIRING and is_soon:
        log.warning(
            "the licence %s ends at %s, in %s", standing.licence.serial, end, counted(standing.days_left, "day")
        )
    elif standing.state is State.GRACE:
        last = utc(standing.licence.expires_s + grace_s)
        log.error("the licence %s ended at %s; nothing new begins from %s on", standing.licence.serial, end, last)
    elif standing.state not in rules.USABLE:
        log.error("the licence %s is %s (it ended at %s): what is open ends properly, nothing new begins",
                  standing.licence.serial, standing.state.value, end)  # fmt: skip


def utc(time_s: int) -> str:
    """A time for people."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def make_demo(config: Config, now_s: int) -> Licence | None:
    """A licence of 30 days for this machine, by a key that is forgotten at once; None where one is good still."""
    try:
        licence = LicenseValidator(config).read()
        if rules.state(licence, now_s, 0) in rules.USABLE:
            return None
        if licence.kind != DEMO:
            raise LicenceError("license.file: a licence that is over; expected to be replaced by who issued it")
    except LicenceError:
        if config.resolve(config.license.file).exists() and not _is_demo(config):
            raise
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    machine = files.read_machine_id(config.resolve(config.license.machine_id_file))
    licence = Licence(
        f"demo-{now_s}",
        "demo",
        (machine,),
        now_s,
        now_s + rules.DEMO_DAYS * DAY_S,
        rules.DEMO_SUBSCRIBERS,
        rules.ALL_FEATURES,
        "demo",
        DEMO,
    )
    file = config.resolve(config.license.file)
    write(file.with_name(files.DEMO_KEY), files.key_line("demo", files.public_of(key)).encode() + b"\n")
    write(file, files.signed(licence, key))
    return licence


def _is_demo(config: Config) -> bool:
    """Whether what lies there was a demo's, whatever is wrong with it now."""
    try:
        octets = files.read_file(config.resolve(config.license.file), files.MAX_FILE_OCTETS, "license.file")
        return rules.parse(files.split(octets)[0]).kind == DEMO
    except LicenceError:
        return False


def write(path: Path, octets: bytes) -> None:
    """Puts a file in place whole, or leaves what is there."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
        sync(path.parent)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise LicenceError(f"{path}: can't be written: {error.strerror}") from None
