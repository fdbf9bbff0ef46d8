"""The PHP client of clients/php, played by tests/crm/play.php in a process of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from mubss.pb import crm_pb2

PLAY = Path(__file__).with_name("play.php")


class Refused(Exception):
    """An RpcException of PHP, with what it says."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(said["status"], said["message"])
        self.status = str(said["status"])
        self.message = str(said["message"])
        self.violations: dict[str, str] = said["violations"]
        self.method = str(said["method"])
        self.request_id = str(said["requestId"])
        self.key = str(said["key"])


class Misuse(Exception):
    """An InvalidArgumentException of PHP."""


class Php:
    """One client; `options` are those of its constructor."""

    def __init__(self, program: str, **options: Any) -> None:
        command = [program, "-d", "display_errors=stderr", str(PLAY)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._ask(options)
        self._told("ready")

    def call(self, name: str, /, seconds: float | None = None, request_id: str | None = None, **fields: Any) -> Any:
        """One answer."""
        self._ask({"call": name, "fields": fields, "seconds": seconds, "requestId": request_id})
        return _message(name, self._told("answer"))

    def call_object(self, name: str, /, times: int = 1, **fields: Any) -> list[Any]:
        """The answers to one message object, sent so many times."""
        self._ask({"call": name, "fields": fields, "times": times})
        return [_message(name, self._told("answer")) for _ in range(times)]

    def run(self, name: str, text: str) -> Any:
        """What a call as PHP writes it is answered, a stream at first."""
        self._ask({"eval": text})
        return _message(name, self._told("answer"))

    def stream(
        self,
        name: str,
        /,
        seconds: float | None = None,
        most: int = 0,
        meanwhile: str = "",
        request_id: str | None = None,
        **fields: Any,
    ) -> Iterator[Any]:
        """Answers as they come, at most so many; for each, `meanwhile` is called with the same fields."""
        options = {"seconds": seconds, "most": most, "meanwhile": meanwhile, "requestId": request_id}
        self._ask({"stream": name, "fields": fields, **options})
        while (told := self._told("answer", "end")) is not True:
            yield _message(name, told)

    def close(self) -> None:
        """Ends it."""
        self._process.communicate(timeout=60)

    def kill(self) -> None:
        """Ends it at once, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def _told(self, *expected: str) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        told = json.loads(line) if line else {"died": self._process.wait()}
        if "error" in told:
            raise Refused(told["error"])
        if "misuse" in told:
            raise Misuse(told["misuse"])
        assert len(told) == 1 and set(told) <= set(expected), told
        return next(iter(told.values()))


def _message(name: str, told: Any) -> Message:
    service, _, method = name.partition("/")
    form = crm_pb2.DESCRIPTOR.services_by_name[service].methods_by_name[method].output_type
    return ParseDict(told, GetMessageClass(form)())
