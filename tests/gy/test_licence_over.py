"""A licence that ends while mubss-gy runs: new sessions are denied, open ones end properly, a new licence is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from gy_wire import Raw
from gy_world import EVENT, INITIAL, SMS, TERMINATION, UPDATE, GyServer, World, data, octets
from licences import DemoLicence
from mubss.core.licence import DAY_S
from mubss.gy.codec import Mscc, Units

MB = 1_000_000
DENIED = 4010  # RFC 8506 §9.1: DIAMETER_END_USER_SERVICE_DENIED


@pytest.mark.conforms("RFC 8506 §9.1", "once the licence is over: new sessions are denied, open ones go on and end")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_open_ends_and_nothing_new_begins(world: World, tmp_path: Path, workers: str) -> None:
    licence = DemoLicence(tmp_path)
    person, now_s = world.person(), licence.now_s
    processes = {"1": 1, "2": 3}[workers]  # its workers', and the one that started them
    with GyServer(world, "--workers", workers, **licence.options) as server, Raw(server.port).open() as peer:

        def ask(kind: int, number: int, session: str, *groups: Mscc, **more: str) -> int:
            return int(peer.charge(data(kind, number, session, person, *groups, **more)).answer.result_code)

        def begin() -> tuple[str, int]:
            session = world.session_id()
            return session, ask(INITIAL, 0, session, Mscc(1, requested=Units(MB)))

        session, result = begin()
        assert result == 2001
        licence.ends(now_s - DAY_S)
        server.wait_for("what is open ends properly, nothing new begins", times=processes)
        assert begin()[1] == DENIED
        assert ask(EVENT, 0, world.session_id(), Mscc(None, [1]), service_context_id=SMS) == DENIED
        assert ask(INITIAL, 0, session, Mscc(1, requested=Units(MB))) == 2001, "a repeat is answered as it was"
        assert ask(UPDATE, 1, session, Mscc(1, used=octets(MB), requested=Units(MB))) == 2001
        assert ask(TERMINATION, 2, session, Mscc(1, used=octets(MB))) == 2001
        assert world.spent(person) == 40_000
        licence.ends(now_s + DAY_S)
        server.wait_for("new work begins again", times=processes)
        assert begin()[1] == 2001
