"""A Gy server for one connection at a time, that does what a test's script says, on a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Self

from mubss.gy.codec import CcaAnswer, Identity, decode_ccr, encode_cca
from mubss.gy.message import Framer, Message, Part, decode_message, encode_request

SERVER = Identity("ocs.test", "test", 7)


class Link:
    """The server's end of the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._framer = Framer()
        self._frames: list[bytes] = []

    def frame(self) -> bytes:
        """The next message as bytes; ConnectionError if the client went away."""
        while not self._frames:
            data = self.sock.recv(65_536)
            if not data:
                raise ConnectionError("the client closed")
            self._frames = self._framer.feed(data)
        return self._frames.pop(0)

    def message(self) -> Message:
        """The next message as a tree."""
        return decode_message(self.frame())

    def send(self, data: bytes) -> None:
        """Sends it as it is."""
        self.sock.sendall(data)

    def welcome(self, result_code: int = 2001, text: str | None = None) -> Message:
        """Answers the CER."""
        cer = self.message()
        assert cer.name == "CER"
        self.send(cer.answer(result_code, SERVER, [("Product-Name", "test")], error_message=text))
        return cer

    def request(self, name: str, *avps: Part) -> Message:
        """Sends a request of ours and gives the client's answer."""
        self.send(encode_request(name, 5, 6, [SERVER.encoded, *avps]))
        return self.message()

    def answer_ccr(self, answer: CcaAnswer) -> None:
        """Answers the next CCR."""
        self.send(encode_cca(decode_ccr(self.frame()), answer, SERVER))

    def goodbye(self) -> None:
        """Answers the DPR."""
        dpr = self.message()
        assert dpr.name == "DPR"
        self.send(dpr.answer(2001, SERVER))


class Scripted:
    """Listens; `play` says what is done with the next connection, `check` that it went as it said."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._listener.close()

    def play(self, script: Callable[[Link], None]) -> None:
        """In a thread: accepts one connection, does the script, closes."""

        def work() -> None:
            sock, _ = self._listener.accept()
            with sock:
                sock.settimeout(10)
                try:
                    script(Link(sock))
                except BaseException as error:  # told by `check`, in the test's own thread
                    self._error = error

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Waits for the script's end, and raises what went wrong in it."""
        assert self._thread is not None
        self._thread.join(10)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error
