"""Folders that programs write to, and what they leave there: control sockets and the supervisor's pid file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from mubss.config import LOGS
from mubss.services.control import FOLDER, PROGRAMS, sockets
from mubss.services.doctor.scene import Finding, Scene, fail, ok, warn

PID_FILE = "supervisord.pid"  # in FOLDER, as conf/supervisord.conf has it
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_WORLD_WRITES = stat.S_IWOTH


def check(scene: Scene) -> Iterator[Finding]:
    """Whether each is a folder that this user may write to, and others may not."""
    config = scene.config
    if scene.store_file is not None:
        yield folder_finding(scene.store_file.parent, "the store", "`mubss init` makes it", needed=True)
    yield folder_finding(config.resolve(FOLDER), "control sockets", "`mubss init` makes it", private=True)
    yield folder_finding(config.resolve(LOGS), "logs", "`mubss init` makes it")
    yield folder_finding(config.resolve(config.billfmt.invoices), "billfmt.invoices", "mubss-billfmt makes it")
    yield folder_finding(config.resolve(config.cdr.directory), "cdr.directory", "mubss-cdr makes it")


def folder_finding(folder: Path, what: str, made: str, *, private: bool = False, needed: bool = False) -> Finding:
    """How a folder is that programs write to; `private`: others may not even look, `needed`: it must be there."""
    try:
        about = folder.stat()
    except FileNotFoundError:
        return (
            fail(f"{what}: there is no {folder}", made) if needed else ok(f"{what}: {folder} isn't there yet; {made}")
        )
    except OSError as error:
        return fail(f"{what}: {folder}: {error.strerror}", "give this user the right to reach it")
    mode = stat.S_IMODE(about.st_mode)
    if not stat.S_ISDIR(about.st_mode):
        return fail(f"{what}: {folder} is no folder", "move that file away")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        do = f"run as its owner (uid {about.st_uid}), or change its rights"
        return fail(f"{what}: {folder} can't be written by uid {os.getuid()}, mode {mode:03o}", do)
    if private and mode & _OTHERS:
        return warn(f"{what}: {folder} has mode {mode:03o}: others may look into it", f"chmod 700 {folder}")
    if mode & _WORLD_WRITES and not mode & stat.S_ISVTX:
        return warn(f"{what}: {folder} has mode {mode:03o}: anybody may write to it", f"chmod o-w {folder}")
    return ok(f"{what}: {folder}, mode {mode:03o}")


def check_sockets(scene: Scene) -> Iterator[Finding]:
    """Sockets of processes that have ended, that don't answer, or that others may open; a stale pid file."""
    folder = scene.config.resolve(FOLDER)
    answering = {one.pid for one in scene.running}
    for program in PROGRAMS:
        for pid, path in sockets(folder, program).items():
            yield _socket(program, pid, path, pid in answering)
    pid_file = folder / PID_FILE
    if pid_file.exists():
        yield _pid_file(pid_file)
    if not answering:
        yield ok("no program of the group answers on this machine")


def _socket(program: str, pid: int, path: Path, answers: bool) -> Finding:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return ok(f"{program} {pid} has just ended")
    if mode & _OTHERS:
        return fail(f"{path} has mode {mode:03o}: others may drain {program}", f"chmod 600 {path}")
    if answers:
        return ok(f"{program} {pid} answers at {path}")
    if _lives(pid):
        do = "look into its log; with a kill nothing that was answered is lost"
        return warn(f"process {pid} lives and doesn't answer at {path}", do)
    return warn(f"{path} is of a process that has ended", "nothing: the next start of that program removes it")


def _pid_file(file: Path) -> Finding:
    if not file.is_file():
        return warn(f"{file} is no file", "move it away: supervisord writes its process id there")
    text = file.read_text(errors="replace").strip()[:20]
    if not text.isdecimal():
        return warn(f"{file} holds {text!r}; expected a process id", f"rm {file}, when supervisord doesn't run")
    if _lives(int(text)):
        return ok(f"supervisord is process {text}")
    return warn(f"{file} names process {text}, which has ended", "nothing: supervisord writes it anew")


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # as another user
    return True
