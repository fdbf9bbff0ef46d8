"""`mubss token`: keys, tokens, and those that aren't taken any more."""

from __future__ import annotations

import stat
import time

import pytest

from cli_tools import Shell
from mubss.core.roles import AGENT
from mubss.runtime import ExitCode
from mubss.services.tokens import Keys, Terms, verify
from mubss.storage.database import open_database
from mubss.storage.tokens import revoked


@pytest.fixture
def desk(demo_shell: Shell) -> Shell:
    """A store, and a first key."""
    demo_shell.ok("token", "key", "--kid", "first")
    return demo_shell


def test_a_tokens_life(desk: Shell) -> None:
    file = desk.folder / "var" / "keys" / "first.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and len(file.read_text().strip()) >= 32
    token = desk.ok("token", "issue", "--subject", "clerk", "--role", "agent", "--lasts", "12h").out.strip()
    principal = verify(token, Keys(file.parent).by_id, Terms("mubss", "mubss-crm"), int(time.time()))
    assert (principal.subject, principal.role) == ("clerk", AGENT)
    [row] = desk.json("token", "list")
    assert (row["jti"], row["state"], row["kid"]) == (principal.token_id, "good", "first")
    assert row["expires_s"] - row["issued_s"] == 12 * 3600 and token not in str(row)
    assert "agent clerk: revoked" in desk.ok("token", "revoke", principal.token_id).out
    desk.ok("token", "revoke", principal.token_id)
    desk.ok("token", "revoke", "from-elsewhere")
    store = open_database(f"sqlite:///{desk.folder}/var/mubss.db")
    assert revoked(store, int(time.time())) == {principal.token_id, "from-elsewhere"}
    assert revoked(store, principal.expires_s + 500 * 86_400) == frozenset()
    store.close()
    assert {row["state"] for row in desk.json("token", "list")} == {"revoked"}


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("issue", "--subject", "x", "--role", "agent", "--lasts", "soon"), ExitCode.INPUT, "lasts: 'soon'"),
        (("issue", "--subject", "x", "--role", "agent", "--lasts", "999d"), ExitCode.INPUT, "lasts: 86313600 s"),
        (("issue", "--subject", "", "--role", "agent"), ExitCode.INPUT, "subject: ''"),
        (("issue", "--subject", "x", "--role", "root"), ExitCode.USAGE, "'root'"),
        (("revoke", "a/b"), ExitCode.INPUT, "jti: 'a/b'"),
        (("key", "--kid", "first"), ExitCode.INPUT, "kid: 'first'"),
        (("key", "--kid", "../x"), ExitCode.INPUT, "kid: '../x'"),
    ],
)
def test_mistakes(desk: Shell, arguments: tuple[str, ...], code: ExitCode, text: str) -> None:
    done = desk("token", *arguments)
    assert done.code == code and text in done.err


def test_without_a_key_there_is_no_token(demo_shell: Shell) -> None:
    done = demo_shell("token", "issue", "--subject", "x", "--role", "agent")
    assert done.code == ExitCode.CONFIG and "`mubss token key` makes one" in done.err
