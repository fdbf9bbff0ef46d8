"""Each forgery, each other machine, each clock; and the gate of a program while it runs."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from licences import NOW_S, OTHER_MACHINE, PLAIN, World
from mubss import metrics
from mubss.config import load
from mubss.core import licence as rules
from mubss.core.errors import LicenceError
from mubss.core.licence import DAY_S, NEEDS, State
from mubss.runtime import ExitCode, exit_code
from mubss.services import licence_files as files
from mubss.services.licence_notice import tell
from mubss.services.licensing import BELIEF_S, Gate, LicenseValidator, Standing, make_demo
from mubss.storage.database import create_collections, open_database


def start(world: World, now_s: int = NOW_S, program: str = "mubss-gy") -> State:
    return LicenseValidator(world.config, world.pinned).start(program, now_s).state


def reach(world: World, now_s: int) -> None:
    """A program has run until then, long enough to be believed."""
    validator = LicenseValidator(world.config, world.pinned)
    validator.start("mubss-gy", now_s - BELIEF_S)
    validator.look("mubss-gy", now_s, BELIEF_S)


def refusal(world: World, now_s: int = NOW_S, program: str = "mubss-gy") -> str:
    with pytest.raises(LicenceError) as refused:
        start(world, now_s, program)
    assert exit_code(refused.value) == ExitCode.LICENCE == 79
    return str(refused.value)


def test_a_licence_as_it_should_be(world: World) -> None:
    assert start(world) is State.VALID


def _other_key(world: World) -> None:
    world.file.write_bytes(files.signed(PLAIN, Ed25519PrivateKey.generate()))


def _edit(old: bytes, new: bytes) -> Callable[[World], None]:
    def edit(world: World) -> None:
        octets = world.file.read_bytes()
        assert old in octets
        world.file.write_bytes(octets.replace(old, new, 1))

    return edit


def _signature_of(signature: Callable[[bytes], bytes]) -> Callable[[World], None]:
    def put(world: World) -> None:
        document, made = files.split(world.file.read_bytes())
        world.file.write_bytes(document + b"\n" + signature(made) + b"\n")

    return put


def _flip(signature: bytes) -> bytes:
    return b64encode(bytes([signature[0] ^ 1]) + signature[1:])


@pytest.mark.parametrize(
    ("forge", "told"),
    [
        (_edit(b'"subscribers":1000', b'"subscribers":9000'), "licence file: the signature isn't that of key k1"),
        (_edit(b"Example", b"Elsewhere"), "licence file: the signature isn't"),
        (_edit(b'"serial":"S-1"', b'"serial":"S-2"'), "licence file: the signature isn't"),
        (_edit(b'"features":127', b'"features":255'), "licence file: the signature isn't"),
        (_other_key, "licence file: the signature isn't that of key k1"),
        (_edit(b'"key_id":"k1"', b'"key_id":"k2"'), "licence.key_id: 'k2'; expected the id of a key that is trusted"),
        (_edit(b'"kind":"platform"', b'"kind":"demo"'), "licence.expires_s: "),
        (_edit(b'":"', b'": "'), "licence: not in its canonical form"),
        (_edit(b'"serial"', b'"serial":"S-2","serial"'), "licence: not in its canonical form"),
        (_signature_of(_flip), "licence file: the signature isn't"),
        (_signature_of(lambda made: b64encode(made[:63])), "licence file: a second line of 84 octets"),
        (_signature_of(lambda made: b64encode(made) + b" "), "licence file: a second line of 89 octets"),
        (_signature_of(lambda made: b""), "licence file: a second line of 0 octets"),
        (_signature_of(lambda made: b64encode(bytes(64))), "licence file: the signature isn't"),
        (lambda world: world.file.write_bytes(world.file.read_bytes()[:-1]), "licence file: "),
        (lambda world: world.file.write_bytes(world.file.read_bytes()[:100]), "licence file: 100 octets, 0 whole"),
        (lambda world: world.file.write_bytes(b""), "licence file: 0 octets, 0 whole lines; expected 2 lines"),
        (lambda world: world.file.write_bytes(world.file.read_bytes() + b"\n"), "licence file: "),
        (lambda world: world.file.write_bytes(b"\xff\x00" * 9000), "license.file: "),
        (lambda world: world.file.unlink(), "license.file: "),
    ],
)
def test_a_forged_licence_is_refused(world: World, forge: Callable[[World], None], told: str) -> None:
    forge(world)
    assert refusal(world).startswith(told)
    assert not world.state.exists()  # a licence that isn't one writes nothing


def test_what_is_no_plain_file_does_not_hold_a_program_up(world: World) -> None:
    world.file.unlink()
    import os

    os.mkfifo(world.file)
    assert refusal(world).endswith("is no plain file; expected one")


def test_keys_are_rotated(world: World) -> None:
    newer = Ed25519PrivateKey.generate()
    world.pinned["k2"] = files.public_of(newer)
    assert start(world) is State.VALID  # of the older key
    world.key = newer
    world.issue(key_id="k2")
    assert start(world) is State.VALID
    world.issue(key_id="k1")
    assert "isn't that of key k1" in refusal(world)


def test_another_machine_is_refused(world: World) -> None:
    (world.folder / "machine-id").write_text(OTHER_MACHINE)
    assert refusal(world) == "licence.machine_ids: 1 id; expected this machine's, ffffffff…"


@pytest.mark.parametrize("text", ["", "uninitialized\n", "0" * 32, "g" * 32, "1" * 33, "é" * 32])
def test_a_machine_without_an_id_is_refused(world: World, text: str) -> None:
    (world.folder / "machine-id").write_text(text)
    assert refusal(world).startswith("license.machine_id_file: ")


@pytest.mark.parametrize("program", NEEDS)
def test_a_program_starts_with_its_bits_alone(world: World, program: str) -> None:
    need = int(NEEDS[program])
    world.issue(features=need)
    assert start(world, program=program) is State.VALID
    world.issue(features=127 & ~need)
    assert refusal(world, program=program).endswith(f"missing; {program} needs it to start")


@pytest.mark.parametrize(
    ("now_s", "told"),
    [
        (PLAIN.issued_s - 3600, "clock: "),  # the day of issue was reached, by who issued it
        (PLAIN.expires_s + 7 * DAY_S, "licence.expires_s: "),
    ],
)
def test_before_and_after_its_time_nothing_starts(world: World, now_s: int, told: str) -> None:
    assert refusal(world, now_s).startswith(told)


def test_in_the_grace_period_programs_start(world: World) -> None:
    assert start(world, PLAIN.expires_s + 7 * DAY_S - 1) is State.GRACE


def test_a_clock_set_back_by_an_hour_is_refused_and_a_step_of_ntp_is_not(world: World) -> None:
    reach(world, NOW_S)
    assert start(world, NOW_S - 300) is State.VALID
    assert refusal(world, NOW_S - 3600).startswith(
        "clock: 2027-01-15T07:00:00Z; expected 2027-01-15T08:00:00Z or later"
    )
    assert start(world, NOW_S) is State.VALID


def test_an_end_stays_one_when_the_clock_is_set_back(world: World) -> None:
    reach(world, PLAIN.expires_s + 6 * DAY_S)
    assert refusal(world, NOW_S).startswith("clock: ")


@pytest.mark.parametrize(
    ("section", "options"),
    [
        ("gy", {"host": "0.0.0.0"}),
        ("gy", {"host": "127.0.0.1, 192.0.2.1"}),
        ("crm", {"host": "::"}),
        ("metrics", {"host": "gw.example"}),
    ],
)
def test_a_demo_licence_is_for_loopback(tmp_path: Path, section: str, options: dict[str, str]) -> None:
    world = World(tmp_path)
    world.file.unlink()
    assert make_demo(world.config, NOW_S) is not None
    assert LicenseValidator(world.config).start("mubss-gy", NOW_S).state is State.EXPIRING
    world.config = world.with_options(section, **options)
    assert refusal(world).startswith(f"{section}.host: ")


def test_a_demo_licence_leaves_no_private_key_and_is_good_on_its_machine_alone(world: World) -> None:
    world.file.unlink()
    made = make_demo(world.config, NOW_S)
    assert made is not None and made.expires_s == NOW_S + 30 * DAY_S
    assert sorted(one.name for one in world.file.parent.iterdir()) == ["demo.pub", "platform.lic"]
    assert make_demo(world.config, NOW_S) is None  # it is good still
    (world.folder / "machine-id").write_text(OTHER_MACHINE)
    assert refusal(world).startswith("licence.machine_ids: ")


def test_a_demo_never_replaces_a_licence_that_was_issued(world: World) -> None:
    before = world.file.read_bytes()
    with pytest.raises(LicenceError):
        make_demo(world.config, NOW_S)  # its key isn't pinned here
    assert world.file.read_bytes() == before


def test_a_key_in_the_demo_file_signs_no_platform_licence(world: World) -> None:
    (world.file.parent / "demo.pub").write_text(files.key_line("k1", world.pinned["k1"]) + "\n")
    world.pinned = {}
    assert refusal(world).startswith("licence.key_id: 'k1'; expected the id of a key that is trusted here")


def test_the_source_pins_no_key() -> None:
    assert files.pinned_keys() == {}


@pytest.mark.parametrize("text", ["k1", "k1 00", "k1  " + "0" * 64, "k1 " + "0" * 64 + "\nk1 " + "1" * 64])
def test_a_file_of_keys_that_is_wrong_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(LicenceError, match="licence keys: "):
        files.read_keys(tmp_path / "keys")


class Clock:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> int:
        return self.now_s


def test_a_gate_closes_after_the_grace_period_and_opens_with_the_next_licence(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    gate = Gate("mubss-gy", world.config, clock, world.pinned)
    assert gate.is_open and metrics.LICENCE_DAYS.values[()] == 90
    seen = []
    for days in (59, 60, 61, 90, 96, 97):
        clock.now_s = NOW_S + days * DAY_S
        gate.look()
        seen.append((gate.standing.state.value, gate.is_open))
    assert seen == [
        ("valid", True),
        ("expiring", True),
        ("expiring", True),
        ("grace", True),
        ("grace", True),
        ("expired", False),
    ]
    assert metrics.LICENCE_VALID.values[()] == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2 + ["ERROR"] * 3
    assert "the licence S-1 ends at" in caplog.text and "nothing new begins" in caplog.text
    world.issue(serial="S-2", expires_s=clock.now_s + 365 * DAY_S)
    gate.look()
    assert gate.is_open and gate.facts() == {"licence": "valid", "licence_days": 365}


def test_a_licence_that_vanishes_ends_no_call(world: World, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    gate = Gate("mubss-gy", world.config, clock, world.pinned)
    world.file.unlink()
    gate.look()
    assert gate.is_open and "the licence can't be looked at: license.file" in caplog.text
    clock.now_s = PLAIN.expires_s + 7 * DAY_S
    gate.look()
    assert not gate.is_open and gate.facts()["licence"] == "expired", "that is worse than broken"


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        (lambda world: world.file.unlink(), "license.file: "),
        (lambda world: world.file.write_bytes(b"\0\xff"), "licence file: 2 octets"),
        (_edit(b'"subscribers":1000', b'"subscribers":9000'), "licence file: the signature isn't that of key k1"),
        (lambda world: world.state.write_bytes(b"1"), "license.state_file: "),
        (lambda world: world.issue(features=1), "licence.features: DIAMETER missing"),
    ],
)
def test_a_licence_that_breaks_is_seen_at_a_glance(
    world: World, breaks: Callable[[World], None], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    gate = Gate("mubss-gy", world.config, Clock(), world.pinned)
    assert metrics.LICENCE_VALID.values[()] == 1
    kept = world.file.read_bytes(), world.state.read_bytes()
    breaks(world)
    gate.look()
    facts = gate.facts()
    assert (facts["licence"], facts["licence_days"]) == ("broken", 90), "judged by the one that was last read"
    assert str(facts["licence_fault"]).startswith(told), facts
    assert gate.is_open and metrics.LICENCE_VALID.values[()] == 0
    world.file.write_bytes(kept[0])
    world.state.write_bytes(kept[1])
    gate.look()
    assert gate.facts() == {"licence": "valid", "licence_days": 90} and metrics.LICENCE_VALID.values[()] == 1
    assert "the licence S-1 can be looked at again" in caplog.text


def test_a_clock_set_back_while_running_does_not_stretch_a_licence(world: World) -> None:
    clock = Clock()
    clock.now_s = PLAIN.expires_s + 7 * DAY_S - 1
    gate = Gate("mubss-gy", world.config, clock, world.pinned)
    assert gate.standing.state is State.GRACE
    clock.now_s = NOW_S
    gate.look()
    assert gate.standing.state is State.GRACE


def test_a_clock_a_day_forward_while_running_is_forgotten_once_it_is_right(world: World) -> None:
    clock = Clock()
    gate = Gate("mubss-gy", world.config, clock, world.pinned)
    clock.now_s = NOW_S + DAY_S
    gate.look()
    assert start(world) is State.VALID


@pytest.mark.parametrize(
    ("looks", "is_noted"),
    [
        ([], False),
        ([DAY_S] * 71, False),  # a look takes 300 s: nearly six hours
        ([DAY_S] * 72, True),
        ([DAY_S] * 71 + [0], False),
        ([DAY_S] * 71 + [0] * 10, False),  # it was set right
        ([DAY_S] * 71 + [0, *([DAY_S] * 72)], True),  # or wasn't
        ([DAY_S] * 60 + [2 * DAY_S] * 20, True),  # the second day isn't
    ],
)
def test_a_clock_a_day_forward_at_a_start_is_noted_when_it_was_so_for_six_hours(
    world: World, looks: list[int], is_noted: bool
) -> None:
    reach(world, NOW_S)
    validator = LicenseValidator(world.config, world.pinned)
    validator.start("mubss-gy", NOW_S + DAY_S)
    for number, ahead_s in enumerate(looks, 1):
        validator.look("mubss-gy", NOW_S + ahead_s + 300 * number, 300)
    right_s = NOW_S + 300 * len(looks)
    known_s = validator.known_s()
    assert known_s == right_s + DAY_S * is_noted
    if is_noted:
        assert refusal(world, right_s).startswith("clock: ")
    else:
        assert start(world, right_s) is State.VALID


def test_starts_under_a_wrong_clock_add_nothing_up(world: World) -> None:
    for _ in range(3):
        start(world, PLAIN.issued_s + 3600)
    assert LicenseValidator(world.config, world.pinned).known_s() == PLAIN.issued_s


def test_options_are_there() -> None:
    assert load(None, {}).license.grace_days == 7


def test_the_operator_is_told_once_at_each_step(tmp_path: Path, world: World) -> None:
    store = open_database(f"sqlite:///{tmp_path}/store.db")
    create_collections(store)
    end_s = NOW_S + 90 * DAY_S
    licence = world.issue()
    told = []
    for days in (60, 30, 29, 15, 14, 8, 7, 6, 2, 1, 0, -1, -6, -8, -9):
        state = rules.state(licence, end_s - days * DAY_S, 7 * DAY_S)
        standing = Standing(licence, state, days, 0)
        if tell(store, standing, "en", NOW_S):
            told.append(days)
    assert told == [30, 14, 7, 2, 1, 0, -8]
    store.close()
