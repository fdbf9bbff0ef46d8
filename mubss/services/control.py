"""Control sockets: a process of this machine is asked something, or told to look now rather than later.

Each is a Unix socket `<data_dir>/var/run/<program>-<pid>.sock` that only its user may open. A caller writes one msgpack
map, {"do": name, …}, and reads maps until the process closes: one, or as many as there are to come.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgpack

FOLDER = "var/run"  # below data_dir
GY, CDR, BILLING, BILLFMT, CRM = "mubss-gy", "mubss-cdr", "mubss-billing", "mubss-billfmt", "mubss-crm"
STATS = "mubss-stats"
PROGRAMS = (GY, CDR, BILLING, BILLFMT, STATS, CRM)
LISTENER = "gy-listener"  # the one process of each mubss-gy that has its listening sockets (gy/takeover.py)
MAX_MESSAGE = 65_536  # of a question
MAX_ANSWER = 1 << 25  # more than gy.max_message_octets can be: a trace has whole messages
_MAX_ADDRESS = 107  # octets of a socket's address (unix(7))


def sockets(folder: Path, program: str) -> dict[int, Path]:
    """Process id → socket, of the processes of a program that may be running."""
    found = {}
    for path in sorted(folder.glob(f"{program}-*.sock")):
        pid = path.stem.rpartition("-")[2]
        if pid.isdigit():
            found[int(pid)] = path
    return found


def ask(path: Path, do: str, timeout_s: float, **arguments: Any) -> Generator[dict[str, Any], None, None]:
    """What one process answers; OSError where it isn't there, or says nothing for that long."""
    with socket.socket(socket.AF_UNIX) as sock, short(path) as address:
        sock.settimeout(timeout_s)
        sock.connect(address)
        sock.sendall(msgpack.packb({"do": do, **arguments}))
        unpacker = msgpack.Unpacker(max_buffer_size=MAX_ANSWER)
        while data := sock.recv(MAX_MESSAGE):
            unpacker.feed(data)
            yield from unpacker


def ask_all(folder: Path, program: str, do: str, timeout_s: float = 1.0, **arguments: Any) -> dict[int, dict[str, Any]]:
    """Process id → first answer, of those that answered; never longer than `timeout_s` in all."""
    answers = {}
    deadline = time.monotonic() + timeout_s
    for pid, path in sockets(folder, program).items():
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            break
        try:
            with closing(ask(path, do, left_s, **arguments)) as found:
                answers[pid] = next(found)
        except (OSError, StopIteration, ValueError, msgpack.UnpackException):
            continue  # it has ended, or is another user's
    return answers


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A socket's address; one whose path is too long is reached through its folder's descriptor (Linux)."""
    if len(os.fsencode(path)) <= _MAX_ADDRESS:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
