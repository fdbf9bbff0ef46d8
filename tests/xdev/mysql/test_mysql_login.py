"""Logins: fixed vectors, what a server does to check a proof, and what the official connector answers."""

from __future__ import annotations

from hashlib import sha1, sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mysqlx.authentication import MySQL41AuthPlugin, PlainAuthPlugin, Sha256MemoryAuthPlugin

from mubss.xdev.mysql.login import MECHANISMS, MYSQL41, PLAIN, SHA256_MEMORY, plain, respond

RISING = bytes(range(1, 21)).hex()
ONES = "ff" * 20
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
CHALLENGES = st.binary(min_size=20, max_size=20)

# (mechanism, challenge, password, proof); made with `openssl dgst` from the formula in MySQL's manual.
PROOFS = [
    (MYSQL41, RISING, "secret", "*B32BB3A583E1340C0A1108D58B1BE49781AD8C2F"),
    (MYSQL41, ONES, "secret", "*D8CDF7D0601A886DDAF37B6772DBA0417FD39720"),
    (MYSQL41, RISING, "pä$$ wörd", "*17D59F1751AF4DCA132137176BA9D024ED686CAD"),
    (MYSQL41, ONES, "pä$$ wörd", "*161ECCD96A2486BFB36D91FFB14735912F854291"),
    (SHA256_MEMORY, RISING, "secret", "746EBE205D56A0707ACB3E796E834E0DD7B1D61743B26BD5202C7A623230C7C9"),
    (SHA256_MEMORY, ONES, "secret", "DFB68E92FFAEA840BCEF6A6B4D7773E46AD04EBB4DF3F7144B57023E93838506"),
    (SHA256_MEMORY, RISING, "pä$$ wörd", "1D64CDEB244ABC6069D6B0597D077340860AF41735FD2453C7EA1F9971047230"),
    (SHA256_MEMORY, ONES, "pä$$ wörd", "0400ED2B4E105D56AF50352B1A2936A273F974E0B06D133F7169673C635FA962"),
    (SHA256_MEMORY, RISING, "", ""),
    (MYSQL41, RISING, "", ""),
]


def test_the_mechanisms() -> None:
    assert MECHANISMS == (PLAIN, SHA256_MEMORY, MYSQL41) == ("PLAIN", "SHA256_MEMORY", "MYSQL41")


@pytest.mark.parametrize(("mechanism", "challenge", "password", "proof"), PROOFS)
def test_proofs(mechanism: str, challenge: str, password: str, proof: str) -> None:
    response = respond(mechanism, bytes.fromhex(challenge), "µbss", password)
    assert response.hex() == "00" + "c2b562737300" + proof.encode().hex()


def test_plain() -> None:
    assert plain("µbss", "ß").hex() == "00" + "c2b5627373" + "00" + "c39f"
    assert plain("root", "").hex() == "00726f6f7400"


def server_takes(mechanism: str, challenge: bytes, response: bytes, user: str, password: str) -> bool:
    """A server has the password hashed twice; the proof gives it the one that was hashed once, to be hashed again."""
    schema, name, proof = response.split(b"\0")
    assert (schema, name.decode()) == (b"", user)
    if mechanism == MYSQL41:
        assert proof[:1] == b"*"
        stored = sha1(sha1(password.encode()).digest()).digest()
        mask = sha1(challenge + stored).digest()
        scramble = bytes.fromhex(proof[1:].decode())
    else:
        stored = sha256(sha256(password.encode()).digest()).digest()
        mask = sha256(stored + challenge).digest()
        scramble = bytes.fromhex(proof.decode())
    once = (int.from_bytes(scramble, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(mask), "big")
    return (sha1 if mechanism == MYSQL41 else sha256)(once).digest() == stored


@pytest.mark.parametrize("mechanism", [MYSQL41, SHA256_MEMORY])
@given(challenge=CHALLENGES, other=CHALLENGES, user=TEXTS, password=TEXTS)
def test_a_server_takes_the_proof_for_its_own_challenge_alone(
    mechanism: str, challenge: bytes, other: bytes, user: str, password: str
) -> None:
    response = respond(mechanism, challenge, user, password)
    assert server_takes(mechanism, challenge, response, user, password)
    assert not server_takes(mechanism, challenge, response, user, password + " ")
    assert server_takes(mechanism, other, response, user, password) == (other == challenge)


@given(CHALLENGES, TEXTS, TEXTS)
def test_the_official_connector_says_the_same(challenge: bytes, user: str, password: str) -> None:
    """Its hex digits are small letters, and a NUL ends its MYSQL41; servers take both."""
    for mechanism, plugin in ((MYSQL41, MySQL41AuthPlugin), (SHA256_MEMORY, Sha256MemoryAuthPlugin)):
        theirs = plugin(user, password).auth_data(challenge).removesuffix("\0")
        schema, name, proof = respond(mechanism, challenge, user, password).decode().split("\0")
        assert [schema, name, proof.lower()] == theirs.split("\0")
    assert respond(MYSQL41, challenge, user, "").decode() == MySQL41AuthPlugin(user, "").auth_data(challenge)
    assert plain(user, password).decode() == PlainAuthPlugin(user, password).auth_data()
