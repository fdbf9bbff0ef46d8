"""A client's DIAMETER connection to mubss-gy, which it may lose, drop, or stop to read."""

from __future__ import annotations

import select
import socket
from struct import pack

from mubss.gy.message import Framer, Header, Identity, decode_header, decode_message, encode_answer, encode_request

_REQUEST = 0x80
_CEA_S = 4.0
_WATCHDOG, _DISCONNECT = 280, 282


class Link:
    """One connection; OSError where it is no more."""

    def __init__(self, port: int, origin_host: str, *, seconds: float = _CEA_S) -> None:
        """Connects and exchanges capabilities; OSError where the server doesn't answer, or refuses."""
        self._identity = Identity(origin_host, "example")
        self._framer = Framer()
        self.is_deaf = False  # it answers no DWR, as one whose way is lost
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            avps = [
                ("Origin-Host", origin_host),
                ("Origin-Realm", "example"),
                ("Host-IP-Address", "127.0.0.1"),
                ("Vendor-Id", 0),
                ("Product-Name", "torture"),
                ("Auth-Application-Id", 4),
            ]
            self._socket.sendall(encode_request("CER", 0, 0, avps))
            answers: list[bytes] = []
            while not answers:
                data = self._socket.recv(65_536)
                if not data:
                    raise ConnectionError("no CEA")
                answers = self._framer.feed(data)
            result = decode_message(answers[0]).find("Result-Code")
            if result != 2001:
                raise ConnectionError(f"CEA: {result}")
        except BaseException:
            self._socket.close()
            raise

    def send(self, data: bytes) -> None:
        """Sends all of it."""
        self._socket.sendall(data)

    def answers(self, seconds: float) -> list[bytes]:
        """Answers that come in that time; requests of the server are answered."""
        if not select.select([self._socket], [], [], seconds)[0]:
            return []
        data = self._socket.recv(1 << 18)
        if not data:
            raise ConnectionError("the server ended it")
        found = []
        for frame in self._framer.feed(data):
            if not frame[4] & _REQUEST:
                found.append(frame)
            elif not self.is_deaf:
                self._answer(decode_header(frame))
        return found

    def _answer(self, header: Header) -> None:
        self.send(encode_answer(header, 2001, self._identity))
        if header.command_code == _DISCONNECT:
            raise ConnectionError("the server said good-bye")

    def end(self, *, reset: bool = False) -> None:
        """Closes it, in order or with a reset."""
        if reset:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        self._socket.close()
