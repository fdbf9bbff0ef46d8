"""How many files a process may have open: each peer, each caller and each connection to the store is one."""

from __future__ import annotations

import re
import resource
from collections.abc import Iterator
from pathlib import Path

from mubss.services.control import GY
from mubss.services.doctor.scene import Finding, Scene, ok, warn

SPARE = 200  # files beside the connections of peers: the store's, logs, listeners, libraries
_LINE = re.compile(r"^Max open files\s+(\d+|unlimited)", re.MULTILINE)


def check(scene: Scene) -> Iterator[Finding]:
    """Of the running mubss-gy; where none runs, of this shell, which it would be started from."""
    gy = scene.config.gy
    needed = -(-gy.max_peers // gy.workers) + SPARE
    pids = [one.pid for one in scene.running if one.program == GY]
    for pid in pids:
        yield _judge(f"{GY} {pid} may have", _limit_of(pid), needed, gy.max_peers)
    if not pids:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        yield _judge("what is started from here may have", soft, needed, gy.max_peers)


def _judge(who: str, limit: int | None, needed: int, peers: int) -> Finding:
    if limit is None:
        return ok(f"{who} as many files open as it likes, or this user can't see")
    text = f"{who} {limit:,} files open; {peers:,} peers (gy.max_peers) need {needed:,}"
    if limit < needed:
        return warn(text, f"LimitNOFILE={needed * 2} in its unit, minfds in supervisord.conf, or `ulimit -n`")
    return ok(text)


def _limit_of(pid: int) -> int | None:
    try:
        found = _LINE.search(Path(f"/proc/{pid}/limits").read_text())
    except OSError:
        return None
    return int(found[1]) if found and found[1] != "unlimited" else None
