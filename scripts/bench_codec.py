#!/usr/bin/env python3
"""What decoding a CCR and encoding its CCA costs: microseconds of CPU, the median of several repeats.

scripts/bench_codec.py [repeats]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time_ns

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

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


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    print(f"{'µs':>8}  {'target':<7} what")
    for what, work, target in cases():
        nanoseconds = per_call_ns(work, repeats)
        print(f"{nanoseconds // 1000:>5}.{nanoseconds % 1000 // 10:02}  {target:<7} {what}")


if __name__ == "__main__":
    main()
