"""What a request with an idempotency key was answered: asked again it gets the same, and does nothing again."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from models.queries import kept_answers
from offers.errors import OfferError


class KeyReused(OfferError):
    """An idempotency key stands for one request; with another it is a mistake of whoever asks."""

    def __init__(self, *, key: str) -> None:
        self.key = key
        super().__init__(f"the idempotency key {key!r} was used for another request: take a new key for a new request")


def request_hash(verb: str, content: Mapping[str, Any]) -> str:
    """SHA-256 of what is asked. `content` is plain JSON; the order of its keys means nothing."""
    text = json.dumps([verb, content], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def take_key(
    session: Session, *, product_line_id: int, key: str, hash_: str, now: datetime
) -> Mapping[str, Any] | None:
    """None: the key is ours now, and `keep` has to follow in this transaction. Otherwise what was answered before.

    Whoever asks with the same key meanwhile waits until this transaction has ended.

    Raises:
        KeyReused: the key stands for another request.
    """
    if kept_answers.insert_if_new(session, product_line_id=product_line_id, key=key, hash_=hash_, now=now):
        return None
    kept = kept_answers.find(session, product_line_id=product_line_id, key=key)
    if kept.request_hash != hash_ or kept.answer is None:
        raise KeyReused(key=key)
    return kept.answer


def keep(session: Session, *, product_line_id: int, key: str, answer: Mapping[str, Any]) -> None:
    """`answer` is plain JSON, whatever reads it again knows its form."""
    kept_answers.keep(session, product_line_id=product_line_id, key=key, answer=dict(answer))


def forget(session: Session, *, before: datetime, most: int) -> int:
    """Answers that nobody asks for any more, `most` at a time. Returns how many."""
    return kept_answers.delete_before(session, before, most=most)
