#!/usr/bin/env python3
"""Coverage-guided fuzzing of the framer and the decoders with atheris, from the clients' own messages.

    scripts/fuzz_codec.py [seconds]      60 unless told; 0 = until something is found

Only DiameterError may come out; anything else stops the run and leaves the input in a crash-… file.
The tests fuzz without atheris too (tests/gy/test_codec_fuzz.py); this looks longer and follows the branches.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    import atheris
except ImportError:
    sys.exit("atheris isn't installed, so nothing was fuzzed: pip install atheris")

with atheris.instrument_imports():
    from mubss.gy.avp import DiameterError
    from mubss.gy.codec import CcaAnswer, CcrError, Identity, decode_cca, decode_ccr, encode_cca
    from mubss.gy.message import FrameError, Framer, decode_message

from tests.vectors.load import every, load

OCS = Identity("ocs.mubss.example", "mubss.example")


def one_input(data: bytes) -> None:
    """One stream of bytes, framed; and as one message whose header tells its length."""
    try:
        frames = Framer().feed(data)
    except FrameError as error:
        frames = error.frames
    body = data[20 : len(data) & -4]
    frames.append(b"\1" + (20 + len(body)).to_bytes(3, "big") + b"\xc0\0\1\x10" + bytes(12) + body)
    for frame in frames:
        try:
            encode_cca(decode_ccr(frame), CcaAnswer(), OCS)
        except CcrError as error:
            encode_cca(error.ccr, CcaAnswer(error.result_code, failed_avp=error.failed_avp), OCS)
        for decode in (decode_cca, decode_message):
            try:
                decode(frame)
            except DiameterError:
                pass


def main() -> None:
    seconds = sys.argv[1] if len(sys.argv) > 1 else "60"
    with tempfile.TemporaryDirectory() as corpus:
        for client, name in every():
            Path(corpus, f"{client}-{name}").write_bytes(load(client, name))
        atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=4096", corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
