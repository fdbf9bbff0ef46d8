"""DIAMETER messages through the framer and every decoder, and the answers that come of them."""

from __future__ import annotations

from mubss.gy.avp import DiameterError
from mubss.gy.codec import CcaAnswer, CcrError, Identity, decode_cca, decode_ccr, encode_cca, encode_ccr
from mubss.gy.message import FrameError, Framer, decode_message
from tests.vectors.load import every, load

OCS = Identity("ocs.mubss.example", "mubss.example")
PIECE = 7  # octets at a time
FAILED_AVP, DEPTH = b"\0\0\1\x17\x40", 900


def seeds() -> dict[str, bytes]:
    """The clients' own messages."""
    found = {f"{client}-{name}": load(client, name) for client, name in every()}
    group = b"".join(FAILED_AVP + (8 * (DEPTH - at)).to_bytes(3, "big") for at in range(DEPTH))
    found["deep"] = b"\1" + (20 + len(group)).to_bytes(3, "big") + b"\x80\0\1\x10\0\0\0\4" + bytes(8) + group
    return found


def frames_of(data: bytes, piece: int) -> list[bytes]:
    """A stream, cut."""
    framer, frames = Framer(), []
    try:
        for at in range(0, len(data), piece):
            frames += framer.feed(data[at : at + piece])
    except FrameError as error:
        frames += error.frames
    return frames


def one_input(data: bytes) -> None:
    """One stream of bytes, framed at once and in pieces; and as one message whose header tells its length."""
    frames = frames_of(data, len(data) or 1)
    assert frames_of(data, PIECE) == frames, "a stream is cut alike, however it comes"
    body = data[20 : len(data) & -4]
    frames.append(b"\1" + (20 + len(body)).to_bytes(3, "big") + b"\xc0\0\1\x10" + bytes(12) + body)
    for frame in frames:
        try:
            ccr = decode_ccr(frame)
        except CcrError as error:
            encode_cca(error.ccr, CcaAnswer(error.result_code, failed_avp=error.failed_avp), OCS)
        else:
            encode_cca(ccr, CcaAnswer(), OCS)
            again = decode_ccr(encode_ccr(ccr))
            again.session_id_avp = ccr.session_id_avp = b""
            assert decode_ccr(encode_ccr(again)).msccs == again.msccs, "what is read is written and read alike"
        for decode in (decode_cca, decode_message):
            try:
                decode(frame)
            except DiameterError as error:
                assert 3000 <= error.result_code < 6000
