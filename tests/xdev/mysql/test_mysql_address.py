"""mysqlx:// URLs: what they may say, what is said to those that can't be, and that no password is ever shown."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mubss.xdev.errors import StoreUrlError
from mubss.xdev.mysql.address import Address, Host, parse

A, B = Host("a"), Host("b")
SOCKET = Host("/var/run/mysqld/mysqlx.sock", 0)

HOSTS: dict[str, tuple[Host, ...]] = {
    "localhost": (Host("localhost"),),
    "db-1.example.com": (Host("db-1.example.com"),),
    "db_1:33061": (Host("db_1", 33061),),
    "a:1": (Host("a", 1),),
    "a:65535": (Host("a", 65535),),
    "a:": (A,),
    "192.0.2.1": (Host("192.0.2.1"),),
    "192.0.2.1:3307": (Host("192.0.2.1", 3307),),
    "[::1]": (Host("::1"),),
    "[::1]:33061": (Host("::1", 33061),),
    "[2001:db8::1]:": (Host("2001:db8::1"),),
    "[fe80::1%eth0]": (Host("fe80::1%eth0"),),
    "[::ffff:192.0.2.1]:1": (Host("::ffff:192.0.2.1", 1),),
    "::1": (Host("::1"),),
    "[a]": (A,),
    "[a:1]": (Host("a", 1),),
    "[a,b]": (A, B),
    "[ a , b:1 ]": (A, Host("b", 1)),
    "[a:1,a:2]": (Host("a", 1), Host("a", 2)),
    "[[::1]:33061,[::2],a]": (Host("::1", 33061), Host("::2"), A),
    "[[::1]:1,[::2]:2]": (Host("::1", 1), Host("::2", 2)),
    "(a)": (A,),
    "(address=a,priority=100)": (Host("a", 33060, 100),),
    "[(address=a:1,priority=100),(address=[::1]:2,priority=0)]": (Host("a", 1, 100), Host("::1", 2, 0)),
    "[( address = a , priority = 7 ), b]": (Host("a", 33060, 7), B),
    "(/var/run/mysqld/mysqlx.sock)": (SOCKET,),
    "(%2Fvar%2Frun%2Fmysqld%2Fmysqlx.sock)": (SOCKET,),
    "%2Fvar%2Frun%2Fmysqld%2Fmysqlx.sock": (SOCKET,),
    "(/a%20b%40c%29.sock)": (Host("/a b@c).sock", 0),),
    "[(/var/run/mysqld/mysqlx.sock),a]": (SOCKET, A),
    "[(address=/var/run/mysqld/mysqlx.sock,priority=9),(address=a,priority=8)]": (
        Host(SOCKET.name, 0, 9),
        Host("a", 33060, 8),
    ),
    "[" + ",".join(f"h{number}" for number in range(16)) + "]": tuple(Host(f"h{number}") for number in range(16)),
}


@pytest.mark.parametrize(("text", "hosts"), HOSTS.items(), ids=lambda value: str(value)[:60])
def test_hosts(text: str, hosts: tuple[Host, ...]) -> None:
    for login in ("u:p", "u:[(p", "u"):
        assert parse(f"mysqlx://{login}@{text}/mubss").hosts == hosts


@pytest.mark.parametrize(
    ("host", "text"),
    [
        (Host("a"), "a:33060"),
        (Host("192.0.2.1", 1), "192.0.2.1:1"),
        (Host("::1", 33061, 5), "[::1]:33061"),
        (SOCKET, "/var/run/mysqld/mysqlx.sock"),
    ],
)
def test_how_a_host_is_shown(host: Host, text: str) -> None:
    assert (str(host), host.is_socket) == (text, text.startswith("/"))


LOGINS = {
    "u": ("u", ""),
    "u:": ("u", ""),
    "u:p": ("u", "p"),
    "u:p:q": ("u", "p:q"),
    "u:p@q": ("u", "p@q"),
    "u%3Av:p": ("u:v", "p"),
    "%C2%B5bss:gr%C3%BC%C3%9F%20dich": ("µbss", "grüß dich"),
    "µbss:ß": ("µbss", "ß"),
    "u:%40%2F%3F%23%25%3A%5B%28": ("u", "@/?#%:[("),
    "u:50%": ("u", "50%"),
    "u:a+b": ("u", "a+b"),
    "u:p)q]": ("u", "p)q]"),
}


@pytest.mark.parametrize(("text", "login"), LOGINS.items())
def test_users_and_passwords(text: str, login: tuple[str, str]) -> None:
    address = parse(f"mysqlx://{text}@a/mubss")
    assert (address.user, address.password) == login
    assert (address.hosts, address.schema) == ((A,), "mubss")


def test_what_a_url_leaves_open() -> None:
    assert parse("mysqlx://u:p@a/s") == Address(
        hosts=(Host("a", 33060, 0),),
        user="u",
        schema="s",
        password="p",
        ssl_mode="required",
        ssl_ca="",
        ssl_cert="",
        ssl_key="",
        auth="",
        compression="disabled",
        compression_algorithms=(),
        connect_timeout=5000,
        answer_timeout=10_000,
        lock_wait=1,
        max_pool_size=25,
        pool_queue_timeout=5000,
    )


OPTIONS: dict[str, dict[str, object]] = {
    "": {},
    "ssl-mode=disabled": {"ssl_mode": "disabled"},
    "ssl-mode=PREFERRED": {"ssl_mode": "preferred"},
    "ssl-mode=Verify_Identity&ssl-ca=/etc/ca.pem": {"ssl_mode": "verify-identity", "ssl_ca": "/etc/ca.pem"},
    "ssl-ca=%2Fetc%2Fme%40home.pem&ssl-mode=verify-ca": {"ssl_mode": "verify-ca", "ssl_ca": "/etc/me@home.pem"},
    "ssl-cert=c.pem&ssl-key=k%20.pem": {"ssl_cert": "c.pem", "ssl_key": "k .pem"},
    "auth=plain": {"auth": "PLAIN"},
    "auth=SHA256_MEMORY": {"auth": "SHA256_MEMORY"},
    "auth=sha256-memory": {"auth": "SHA256_MEMORY"},
    "auth=mysql41": {"auth": "MYSQL41"},
    "compression=Required": {"compression": "required"},
    "compression-algorithms=zstd": {"compression_algorithms": ("zstd_stream",)},
    "compression-algorithms=[lz4,deflate_stream]": {"compression_algorithms": ("lz4_message", "deflate_stream")},
    "compression-algorithms=DEFLATE,ZSTD_STREAM": {"compression_algorithms": ("deflate_stream", "zstd_stream")},
    "connect-timeout=1": {"connect_timeout": 1},
    "connect-timeout=600000": {"connect_timeout": 600_000},
    "answer-timeout=010": {"answer_timeout": 10},
    "lock-wait=3600": {"lock_wait": 3600},
    "max-pool-size=1000": {"max_pool_size": 1000},
    "pool-queue-timeout=250&lock-wait=2": {"pool_queue_timeout": 250, "lock_wait": 2},
}


@pytest.mark.parametrize(("query", "fields"), OPTIONS.items(), ids=lambda value: str(value)[:60])
def test_options(query: str, fields: dict[str, object]) -> None:
    address = parse(f"mysqlx://u:p@a/s?{query}")
    plain = parse("mysqlx://u:p@a/s")
    expected = {name: fields.get(name, getattr(plain, name)) for name in Address.__slots__}
    assert {name: getattr(address, name) for name in Address.__slots__} == expected


# ── what can't be ──────────────────────────────────────────────────────────────────────────────────

NO_URL = "expected mysqlx://user:password@host:33060/schema ('#' is written %23)"
NO_USER = "expected a user in front of the host: mysqlx://user:password@host/schema"
NO_SCHEMA = "schema: expected up to 64 letters, digits and '_' after the host, got "
NO_HOST = "expected a host name, an address or (/path/of/a/socket), got "
LATE_AT = "'@' behind the host; within user, password and paths write %40, %2F for '/', %3F for '?'"
KNOWN = (
    "ssl-mode, ssl-ca, ssl-cert, ssl-key, auth, compression, compression-algorithms, connect-timeout, answer-timeout, "
    "lock-wait, max-pool-size, pool-queue-timeout"
)
SOME = "expected some of zstd, lz4, deflate, got "

BAD = {
    "": NO_URL,
    "mysql://u@a/s": NO_URL,
    "mysqlx:u@a/s": NO_URL,
    "MYSQLX://u@a/s": NO_URL,
    "mysqlx://u:p#q@a/s": NO_URL,
    "mysqlx://": NO_USER,
    "mysqlx://a/s": NO_USER,
    "mysqlx://@a/s": NO_USER,
    "mysqlx://:p@a/s": NO_USER,
    "mysqlx://u@a": NO_SCHEMA + "''",
    "mysqlx://u@a/": NO_SCHEMA + "''",
    "mysqlx://u@a/s/t": NO_SCHEMA + "'s/t'",
    "mysqlx://u@a/1s": NO_SCHEMA + "'1s'",
    "mysqlx://u@a/s%60": NO_SCHEMA + "'s%60'",
    "mysqlx://u@a/%C3%BC": NO_SCHEMA + "'%C3%BC'",
    "mysqlx://u@a/" + "s" * 65: NO_SCHEMA + repr("s" * 65),
    "mysqlx://u@a/" + "-" * 200: NO_SCHEMA + repr("-" * 80),
    "mysqlx://u@(/x.sock)": NO_SCHEMA + "''",
    "mysqlx://u@/var/run/x.sock": NO_SCHEMA + "'var/run/x.sock'",
    "mysqlx://u:p/q@a/s": LATE_AT,
    "mysqlx://u:p?q@a/s": LATE_AT,
    "mysqlx://u:p@q/r@a/s": LATE_AT,
    "mysqlx://u@a/s?ssl-ca=me@home": LATE_AT,
    "mysqlx://u%00:p@a/s": "user: expected printable text in UTF-8",
    "mysqlx://u:p%0A@a/s": "password: expected printable text in UTF-8",
    "mysqlx://u:%FF@a/s": "password: expected printable text in UTF-8",
    "mysqlx://u@(/x%00y)/s": "socket: expected printable text in UTF-8",
    "mysqlx://u@/s": NO_HOST + "''",
    "mysqlx://u@[]/s": NO_HOST + "''",
    "mysqlx://u@[a,]/s": NO_HOST + "''",
    "mysqlx://u@[a,,b]/s": NO_HOST + "''",
    "mysqlx://u@a,b/s": NO_HOST + "'a,b'",
    "mysqlx://u@a b/s": NO_HOST + "'a b'",
    "mysqlx://u@-a/s": NO_HOST + "'-a'",
    "mysqlx://u@a./s": NO_HOST + "'a.'",
    "mysqlx://u@../s": NO_HOST + "'..'",
    "mysqlx://u@[1:2]:3/s": NO_HOST + "'[1:2]:3'",
    "mysqlx://u@ä/s": NO_HOST + "'ä'",
    "mysqlx://u@[::1/s": NO_HOST + "'[::1'",
    "mysqlx://u@[::1]33060/s": NO_HOST + "'[::1]33060'",
    "mysqlx://u@[(a,b]/s": NO_HOST + "'(a'",
    "mysqlx://u@[a,b)]/s": NO_HOST + "'a,b)'",
    "mysqlx://u@(address=a)/s": NO_HOST + "'address=a'",
    "mysqlx://u@(address=a,priority=x)/s": NO_HOST + "'address=a,priority=x'",
    "mysqlx://u@(x.sock/y)/s": NO_HOST + "'x.sock/y'",
    "mysqlx://u@" + "a" * 300 + "/s": NO_HOST + repr("a" * 80),
    "mysqlx://u@(address=a,priority=101)/s": "priority: expected 0 to 100, got 101",
    "mysqlx://u@a:0/s": "port: expected 1 to 65535, got '0'",
    "mysqlx://u@a:65536/s": "port: expected 1 to 65535, got '65536'",
    "mysqlx://u@a:-1/s": "port: expected 1 to 65535, got '-1'",
    "mysqlx://u@a:x/s": "port: expected 1 to 65535, got 'x'",
    "mysqlx://u@a:²/s": "port: expected 1 to 65535, got '²'",
    "mysqlx://u@[::1]:x/s": "port: expected 1 to 65535, got 'x'",
    "mysqlx://u@a:" + "9" * 5000 + "/s": "port: expected 1 to 65535, got '" + "9" * 20 + "'",
    "mysqlx://u@[" + ",".join(f"h{n}" for n in range(17)) + "]/s": "expected 1 to 16 hosts, got 17",
    "mysqlx://u@[a,b,a]/s": "a host stands twice in it",
    "mysqlx://u@[a,a:33060]/s": "a host stands twice in it",
    "mysqlx://u@a/s?wal=on": f"mysqlx has no option 'wal'; known: {KNOWN}",
    "mysqlx://u@a/s?ssl_mode=required": f"mysqlx has no option 'ssl_mode'; known: {KNOWN}",
    "mysqlx://u@a/s?" + "x" * 90: f"mysqlx has no option '{'x' * 40}'; known: {KNOWN}",
    "mysqlx://u@a/s?ssl-mode=on": "ssl-mode: expected one of disabled, preferred, required, verify-ca, "
    "verify-identity, got 'on'",
    "mysqlx://u@a/s?ssl-mode=": "ssl-mode: expected one of disabled, preferred, required, verify-ca, "
    "verify-identity, got ''",
    "mysqlx://u@a/s?ssl-mode=verify-ca": "ssl-mode=verify-ca: expected ssl-ca, the file of the authority",
    "mysqlx://u@a/s?ssl-mode=VERIFY_IDENTITY": "ssl-mode=verify-identity: expected ssl-ca, the file of the authority",
    "mysqlx://u@a/s?ssl-ca=": "ssl-ca: expected the path of a file, got ''",
    "mysqlx://u@a/s?ssl-ca=a%00b": "ssl-ca: expected the path of a file, got 'a\\x00b'",
    "mysqlx://u@a/s?ssl-cert=c": "ssl-cert and ssl-key: expected both or neither",
    "mysqlx://u@a/s?ssl-key=k": "ssl-cert and ssl-key: expected both or neither",
    "mysqlx://u@a/s?auth=kerberos": "auth: expected one of plain, sha256-memory, mysql41, got 'kerberos'",
    "mysqlx://u@a/s?compression=yes": "compression: expected one of disabled, preferred, required, got 'yes'",
    "mysqlx://u@a/s?compression-algorithms=": f"compression-algorithms: {SOME}''",
    "mysqlx://u@a/s?compression-algorithms=zstd,gzip": f"compression-algorithms: {SOME}'zstd,gzip'",
    "mysqlx://u@a/s?connect-timeout=0": "connect-timeout: expected an integer from 1 to 600000, got '0'",
    "mysqlx://u@a/s?connect-timeout=600001": "connect-timeout: expected an integer from 1 to 600000, got '600001'",
    "mysqlx://u@a/s?answer-timeout=5s": "answer-timeout: expected an integer from 1 to 600000, got '5s'",
    "mysqlx://u@a/s?lock-wait=": "lock-wait: expected an integer from 1 to 3600, got ''",
    "mysqlx://u@a/s?lock-wait=3601": "lock-wait: expected an integer from 1 to 3600, got '3601'",
    "mysqlx://u@a/s?max-pool-size=1001": "max-pool-size: expected an integer from 1 to 1000, got '1001'",
    "mysqlx://u@a/s?max-pool-size=%C2%B2": "max-pool-size: expected an integer from 1 to 1000, got '²'",
    "mysqlx://u@a/s?max-pool-size=" + "9" * 5000: "max-pool-size: expected an integer from 1 to 1000, got '"
    + "9" * 20
    + "'",
}


@pytest.mark.parametrize(("url", "message"), BAD.items(), ids=lambda value: str(value)[:60] or "empty")
def test_a_url_that_cant_be(url: str, message: str) -> None:
    with pytest.raises(StoreUrlError) as caught:
        parse(url)
    assert str(caught.value) == f"store URL: {message}"


# ── the password ───────────────────────────────────────────────────────────────────────────────────

MARK = "zQ9"  # stands in no message
RAW = st.lists(st.just(MARK) | st.sampled_from("@/?#:()[],=&;%+ .\n\0µ1a"), max_size=8).map("".join)
RESTS = st.sampled_from(
    [
        "a/s",
        "a",
        "a/s/t",
        "/s",
        "a:x/s",
        "[a,a]/s",
        "[a,b]/s",
        "(/x.sock)/s",
        "(address=a,priority=1)/s",
        "a b/s",
        "a/s?x=1",
        "a/s?lock-wait=2",
        "a/s?ssl-mode=on",
        "a/s?ssl-cert=c",
    ]
)


@settings(max_examples=1000)
@given(RAW, RESTS)
@example("p@x/zQ9", "a/s")
@example("p@x:zQ9/y", "a/s")
@example("p@x/y?zQ9", "a/s")
@example("p@x/y?lock-wait=zQ9", "a/s")
@example("p@]x/zQ9", "a/s")
@example("p@zQ9 /x", "a/s")
def test_no_part_of_a_password_is_shown_even_if_it_isnt_quoted(raw: str, rest: str) -> None:
    try:
        shown = repr(parse(f"mysqlx://u:{MARK}{raw}@{rest}"))
    except StoreUrlError as error:
        shown = str(error)
        assert "\n" not in shown
    assert MARK not in shown


PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=40)


@given(PRINTABLE.filter(bool), PRINTABLE)
def test_any_user_and_password_can_be_written(user: str, password: str) -> None:
    address = parse(f"mysqlx://{quote(user, safe='')}:{quote(password, safe='')}@[a,(/b.sock)]/s")
    assert (address.user, address.password) == (user, password)
    assert address.hosts == (A, Host("/b.sock", 0))
    assert repr(address) == repr(replace(address, password="another"))


PARTS = "@ / ? # : ( ) [ ] , = & % %00 %FF %2F :: 1 33060 a b s u p ² µ ssl-mode ssl-ca auth lock-wait compression"
PARTS += " compression-algorithms zstd verify-ca address priority=5 (address=a,priority=5) [::1] u:p@a/s?"


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PARTS.split()) | st.characters(), max_size=14).map("".join))
def test_any_text_is_an_address_or_a_bad_url(text: str) -> None:
    for url in (text, f"mysqlx://{text}", f"mysqlx://u:p@{text}/s", f"mysqlx://u:p@a/s?{text}"):
        try:
            address = parse(url)
        except StoreUrlError as error:
            assert str(error).startswith("store URL: ")
            assert str(error).isprintable()
        else:
            assert address.user
            assert 1 <= len(address.hosts) <= 16
            assert all(host.is_socket or 0 < host.port < 65_536 for host in address.hosts)
