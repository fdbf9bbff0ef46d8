"""A new mubss-gy takes the listening sockets over from the one that runs: no connection is refused, no backlog lost.

The process that has the listeners, with workers the parent, offers them on a control socket of its own, LISTENER.

    new                                     running
    {"do": "who"}                      ──▶  {pid, origin_host, state_id, listens}
      … reads its configuration, opens its store, starts its workers …
    {"do": "take-over"}                ──▶  {"transports": […]} and the descriptors beside it (SCM_RIGHTS)
      … accepts on them, as the running one still does …
    {"do": "accepting"}                ──▶  {"draining": true}: from here on it accepts no more, and drains

The descriptors are the same sockets in the kernel, with one queue. Should either end fail before the last word, the
running one goes on serving.
"""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Generator
from typing import Any, NamedTuple

import msgpack
from gevent import socket
from gevent.event import Event

from mubss.config import Config
from mubss.core.errors import Busy, ConfigError
from mubss.gy.listen import Listener
from mubss.gy.transport import Transport
from mubss.services.control import FOLDER, LISTENER, ask, short, sockets
from mubss.services.control_server import Control, read_map

log = logging.getLogger("mubss.gy")

WORD_SECONDS = 10  # for what takes no time: to accept, and to say so
MAX_LISTENERS = 250  # the kernel passes 253 descriptors at once (SCM_MAX_FD)
MAX_WORD = 65_536
_UCRED = struct.Struct("3i")  # pid, uid, gid (unix(7))


class Offer:
    """The running one's side: hands its listeners over to whom it may, and sets `drained`."""

    def __init__(self, config: Config, listeners: list[Listener], state_id: int, drained: Event) -> None:
        self._listeners = listeners
        self._origin_host = config.gy.origin_host
        self._state_id = state_id
        self._drained = drained
        self._taker = 0  # the process that is about to have them
        self._control = Control(config.resolve(FOLDER), LISTENER)
        self._control.handlers["who"] = self._who
        self._control.talks["take-over"] = self._hand_over

    def start(self) -> None:
        """From now on."""
        self._control.start()

    def stop(self) -> None:
        """No more: this process ends."""
        self._control.stop()

    def _who(self, _arguments: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        if self._drained.is_set():
            yield {"error": "it is draining"}
            return
        listens = [f"{one.transport.value} {_address(one)}" for one in self._listeners]
        yield {"pid": os.getpid(), "origin_host": self._origin_host, "state_id": self._state_id, "listens": listens}

    def _hand_over(self, caller: socket.socket, _arguments: dict[str, Any]) -> None:
        pid, uid = _credentials(caller)
        refusal = ""
        if uid != os.geteuid():  # the socket's mode says so too, but root may change that
            refusal = f"user {uid} may not take over from user {os.geteuid()}"
        elif self._drained.is_set():
            refusal = "it is draining"
        elif self._taker:
            refusal = f"process {self._taker} is taking over already"
        if refusal:
            log.warning("process %d asked to take over, and was refused: %s", pid, refusal)
            caller.sendall(msgpack.packb({"error": refusal}))
            return
        self._taker = pid
        try:
            caller.settimeout(WORD_SECONDS)
            transports = [one.transport.value for one in self._listeners]
            descriptors = [one.sock.fileno() for one in self._listeners]
            socket.send_fds(caller, [msgpack.packb({"transports": transports})], descriptors)
            if read_map(caller).get("do") != "accepting":
                raise ValueError("it said something else")
            caller.sendall(msgpack.packb({"draining": True}))
        except (OSError, ValueError, msgpack.UnpackException) as error:
            log.warning("process %d took the listening sockets and didn't begin: serving on (%s)", pid, error)
            return
        finally:
            self._taker = 0
        log.info("process %d has taken over", pid)
        self._drained.set()


class Running(NamedTuple):
    """A mubss-gy that may be taken over from."""

    pid: int
    origin_host: str
    state_id: int
    listens: str  # for people


def find(config: Config, pid: int) -> Running | None:
    """Whom to take over from: process `pid`, or, where that is 0, the only one there is; None: nobody.

    ConfigError where there are several, or none of that number.
    """
    found = []
    for number, path in sockets(config.resolve(FOLDER), LISTENER).items():
        try:
            answer = next(ask(path, "who", WORD_SECONDS), {})
            if "error" not in answer:
                listens = ", ".join(map(str, answer["listens"]))
                found.append(Running(number, str(answer["origin_host"]), int(answer["state_id"]), listens))
        except (OSError, ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
            log.debug("process %d can't be asked: %s", number, error)  # it has ended, most likely
    shown = "; ".join(f"process {one.pid} on {one.listens}" for one in found) or "none"
    if pid:
        one = next((one for one in found if one.pid == pid), None)
        if one is None:
            raise ConfigError(f"--take-over {pid}: no mubss-gy with that process id listens; running: {shown}")
        return one
    if len(found) > 1:
        raise ConfigError(f"--take-over: expected one mubss-gy that runs, or a process id; running: {shown}")
    return found[0] if found else None


class TakeOver:
    """The new one's side of the conversation; `take`, then `confirm`."""

    def __init__(self, config: Config, running: Running) -> None:
        self._path = config.resolve(FOLDER) / f"{LISTENER}-{running.pid}.sock"
        self._pid = running.pid
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(WORD_SECONDS)

    def take(self) -> list[Listener]:
        """The listening sockets; Busy where they aren't to be had."""
        try:
            with short(self._path) as address:
                self._sock.connect(address)
            if _credentials(self._sock)[1] != os.geteuid():
                raise ValueError("it is another user's")
            self._sock.sendall(msgpack.packb({"do": "take-over"}))
            data, descriptors = _receive(self._sock)
            try:
                answer = read_map(self._sock, data)
                if "error" in answer:
                    raise ValueError(str(answer["error"])[:200])
                transports = [Transport(name) for name in answer["transports"]]
                if len(transports) != len(descriptors) or not transports:
                    raise ValueError(f"{len(descriptors)} descriptors for {len(transports)} listening sockets")
            except BaseException:
                for one in descriptors:
                    os.close(one)
                raise
        except (OSError, ValueError, KeyError, TypeError, msgpack.UnpackException) as error:
            raise self._failed(error) from error
        made = [socket.socket(fileno=one) for one in descriptors]
        return [Listener(sock, transport) for sock, transport in zip(made, transports, strict=True)]

    def confirm(self) -> None:
        """This process accepts: the running one may drain. Busy where it doesn't and lives on."""
        try:
            self._sock.sendall(msgpack.packb({"do": "accepting"}))
            if not read_map(self._sock).get("draining"):
                raise ValueError("it doesn't drain")
        except (OSError, ValueError, msgpack.UnpackException) as error:
            if _lives(self._pid):
                raise self._failed(error) from error
            log.warning("process %d ended before it could drain: its peers come again", self._pid)  # we have it all
        log.info("took over from process %d, which drains", self._pid)

    def close(self) -> None:
        """The conversation ends."""
        self._sock.close()

    def _failed(self, error: Exception) -> Busy:
        return Busy(f"--take-over: process {self._pid} didn't hand its listening sockets over: {error}")


def _receive(sock: socket.socket) -> tuple[bytes, list[int]]:
    """The first octets of an answer, and the descriptors beside it; no child of ours inherits them."""
    data, descriptors, flags, _ = socket.recv_fds(sock, MAX_WORD, MAX_LISTENERS, socket.MSG_CMSG_CLOEXEC)
    if flags & socket.MSG_CTRUNC:
        for one in descriptors:
            os.close(one)
        raise ValueError("not all descriptors came: is the limit of open files reached?")
    return data, list(descriptors)


def _credentials(sock: socket.socket) -> tuple[int, int]:
    """Process and user at the other end, as the kernel says."""
    pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return pid, uid


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _address(listener: Listener) -> str:
    host, port = listener.sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
