#!/usr/bin/env python3
"""What decoding a CCR and encoding its CCA costs: microseconds of CPU, the median of several repeats.

The baseline is the codec of PyPI's python-diameter on the same message, in an interpreter of its own with a virtual
environment that is made for it (in .bench, once); where it can't be installed a line says so.

    scripts/bench codec [REPEATS] [--no-baseline]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import process_time_ns

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benching import python_diameter
from benching.rows import Row, add_json, show
from mubss.gy.avp import decode_tree
from mubss.gy.codec import (
    CcaAnswer,
    FinalUnit,
    Identity,
    MsccAnswer,
    Units,
    decode_cca,
    decode_ccr,
    encode_cca,
    encode_ccr,
)
from mubss.gy.message import Framer
from tests.vectors.load import load

LOOPS = 2_000
IDENTITY = Identity("ocs.mubss.example", "mubss.example", 1_767_225_600)


def per_call_ns(work: Callable[[], object], repeats: int) -> int:
    """The median over the repeats of the mean over LOOPS calls."""
    means = []
    for _ in range(repeats):
        began = process_time_ns()
        for _ in range(LOOPS):
            work()
        means.append((process_time_ns() - began) // LOOPS)
    return int(median(means))


def cases() -> list[tuple[str, Callable[[], object], str]]:
    """(what, the call to time, its target)."""
    update = load("open5gs", "ccr_u")
    ccr = decode_ccr(update)
    granted = MsccAnswer(granted=Units(total_octets=1_000_000), validity_time_s=3_600, volume_quota_threshold_octets=9)
    answer = CcaAnswer(msccs=[granted])
    last = CcaAnswer(msccs=[MsccAnswer(10, [7], 2001, Units(time_s=60), validity_time_s=60, final_unit=FinalUnit())])
    cca = encode_cca(ccr, answer, IDENTITY)
    sent = decode_ccr(encode_ccr(ccr))
    batch = update * 70
    return [
        (f"decode the open5gs CCR-U ({len(update)} bytes)", lambda: decode_ccr(update), "<= 15"),
        (f"encode its CCA ({len(cca)} bytes)", lambda: encode_cca(ccr, answer, IDENTITY), "<= 8"),
        ("encode a CCA with Final-Unit-Indication", lambda: encode_cca(ccr, last, IDENTITY), ""),
        *(
            (f"decode the {client} {name} ({len(frame)} bytes)", lambda frame=frame: decode_ccr(frame), "")
            for client, name in (("magma", "ccr_u"), ("kamailio", "ccr_u"), ("siphon", "ccr_u"), ("smsc", "ccr_e"))
            for frame in (load(client, name),)
        ),
        ("encode the open5gs CCR-U, as a client", lambda: encode_ccr(sent), "<= 25"),
        ("decode its CCA, as a client", lambda: decode_cca(cca), ""),
        (f"cut {len(batch)} bytes into 70 messages", lambda: Framer().feed(batch), ""),
        ("decode the open5gs CCR-U as a tree", lambda: decode_tree(update, 20), ""),
    ]


def measure(repeats: int, *, baseline: bool) -> Iterator[Row]:
    """Our codec, then the other."""
    for what, work, aim in cases():
        figures = {"CPU µs": per_call_ns(work, repeats) / 1000}
        yield Row("codec", what + (f", aim {aim}" if aim else ""), figures)
    if baseline:
        answer_values = {"total_octets": 1_000_000, "validity_time_s": 3_600, "threshold_octets": 9}
        for what, cost_us in python_diameter.measure(load("open5gs", "ccr_u"), answer_values, repeats):
            yield Row("codec of python-diameter", what, {"CPU µs": cost_us})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json(parser)
    parser.add_argument("repeats", type=int, nargs="?", default=9)
    parser.add_argument("--no-baseline", action="store_true", help="leave out python-diameter")
    options = parser.parse_args()
    show(measure(options.repeats, baseline=not options.no_baseline), as_json=options.json)


if __name__ == "__main__":
    main()
