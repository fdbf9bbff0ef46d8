"""The baseline of `scripts/bench codec`: PyPI's python-diameter, in a virtual environment of its own.

It does the same work as ours: from the octets of a CCR to the values that charging needs, and from a grant's values to
the octets of its CCA. Run as a program, by that environment's Python, it measures; imported, it makes the environment
and runs itself there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import process_time_ns
from typing import Any

VERSION = "0.9.0"
FOLDER = Path(__file__).parents[2] / ".bench" / f"python-diameter-{VERSION}"
LOOPS = 200  # of each repeat: it takes a hundred times as long as ours


def measure(ccr: bytes, grant: dict[str, int], repeats: int) -> list[tuple[str, float]]:
    """(what, µs of CPU); nothing where it can't be installed, with a line that says why."""
    python = FOLDER / "bin" / "python"
    if not (FOLDER / "installed").exists():
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(FOLDER)],
            [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                f"python-diameter=={VERSION}",
            ],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"no python-diameter: {(done.stderr.strip() or 'failed').splitlines()[-1]}", file=sys.stderr)
                return []
        (FOLDER / "installed").touch()
    asked = json.dumps({"ccr": ccr.hex(), "grant": grant, "repeats": repeats})
    done = subprocess.run([str(python), __file__], input=asked, capture_output=True, text=True, check=True)
    return [(what, cost_us) for what, cost_us in json.loads(done.stdout)]


def _decode(message_class: Any, data: bytes) -> Any:
    """All that our decoder gives the ledger, out of its objects."""
    message = message_class.from_bytes(data)
    people = [(one.subscription_id_type, one.subscription_id_data) for one in message.subscription_id]
    asked = []
    for mscc in message.multiple_services_credit_control:
        used = [(one.cc_total_octets, one.cc_input_octets, one.cc_output_octets) for one in mscc.used_service_unit]
        asked.append((mscc.rating_group, mscc.requested_service_unit.cc_total_octets, used))
    return message, (message.session_id, message.cc_request_type, message.cc_request_number, people, asked)


def _encode(request: Any, grant: dict[str, int], credit: Any) -> bytes:
    """A CCA with one grant."""
    answer = request.to_answer()
    answer.session_id = request.session_id
    answer.result_code = 2001
    answer.origin_host, answer.origin_realm = b"ocs.mubss.example", b"mubss.example"
    answer.auth_application_id = 4
    answer.cc_request_type, answer.cc_request_number = request.cc_request_type, request.cc_request_number
    granted = credit.GrantedServiceUnit(cc_total_octets=grant["total_octets"])
    answer.multiple_services_credit_control = [
        credit.MultipleServicesCreditControl(
            granted_service_unit=granted,
            validity_time=grant["validity_time_s"],
            result_code=2001,
            volume_quota_threshold=grant["threshold_octets"],
        )
    ]
    return bytes(answer.as_bytes())


def _main() -> None:
    """Measures what standard input asks for."""
    from diameter.message import Message  # type: ignore[import-not-found]  # only that environment has it
    from diameter.message.avp import grouped  # type: ignore[import-not-found]

    asked = json.loads(sys.stdin.read())
    data = bytes.fromhex(asked["ccr"])
    request, _ = _decode(Message, data)
    size = len(_encode(request, asked["grant"], grouped))
    found = []
    for what, work in (
        (f"decode the open5gs CCR-U ({len(data)} bytes)", lambda: _decode(Message, data)),
        (f"encode its CCA ({size} bytes)", lambda: _encode(request, asked["grant"], grouped)),
    ):
        means = []
        for _ in range(asked["repeats"]):
            began = process_time_ns()
            for _ in range(LOOPS):
                work()
            means.append((process_time_ns() - began) / LOOPS / 1000)
        found.append((what, median(means)))
    print(json.dumps(found))


if __name__ == "__main__":
    _main()
