"""`tokens`: which were issued here, and which aren't taken any more. The tokens themselves are nowhere."""

from __future__ import annotations

from mubss.core.identity import session_hash
from mubss.core.roles import Principal
from mubss.xdev.api import Doc, Session, Store

TOKENS = "tokens"


def note(store: Store, principal: Principal, kid: str, issued_s: int) -> None:
    """Notes a token that was issued."""
    doc = {**_facts(principal), "kid": kid, "issued_s": issued_s, "revoked_s": 0}
    store.run(lambda session: session.collection(TOKENS).put_many([doc]))


def _facts(principal: Principal) -> Doc:
    return {
        "_id": session_hash(principal.token_id),
        "jti": principal.token_id,
        "subject": principal.subject,
        "role": principal.role,
        "expires_s": principal.expires_s,
    }


def revoke(store: Store, token_id: str, now_s: int, until_s: int) -> Doc:
    """Notes that a token isn't taken any more; one that wasn't issued here too, which is remembered until `until_s`."""

    def work(session: Session) -> Doc:
        with session.transaction():
            tokens = session.collection(TOKENS)
            [stored] = tokens.get_many([session_hash(token_id)], for_update=True)
            doc = stored or {**_facts(Principal("", "", token_id, until_s)), "kid": "", "issued_s": 0, "revoked_s": 0}
            if not doc["revoked_s"]:
                doc = {**doc, "revoked_s": now_s}
                tokens.put_many([doc])
            return doc

    return store.run(work)


def revoked(store: Store, now_s: int) -> frozenset[str]:
    """Ids of all tokens that aren't taken though they haven't expired."""
    found = store.run(
        lambda session: (
            session.collection(TOKENS)
            .find("$.revoked_s > 0 AND $.expires_s > :now")
            .fields("$.jti AS jti")
            .bind("now", now_s)
            .execute()
        )
    )
    return frozenset(doc["jti"] for doc in found)


def find(store: Store, limit: int) -> list[Doc]:
    """Those issued or revoked last, by when they expire."""
    return store.run(
        lambda session: session.collection(TOKENS).find().sort("$.expires_s DESC", "$._id").limit(limit).execute()
    )
