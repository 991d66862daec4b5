"""Answers that are kept by the idempotency key of their request."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.offer import KeptAnswer

_PLAIN = {"synchronize_session": False}


def insert_if_new(session: Session, *, product_line_id: int, key: str, hash_: str, now: datetime) -> bool:
    """False where the key is there already; one that is being used waits for its transaction."""
    new = insert(KeptAnswer).values(
        product_line_id=product_line_id, key=key, request_hash=hash_, answer=None, made_at=now
    )
    made = session.scalars(new.on_conflict_do_nothing().returning(KeptAnswer.key)).one_or_none()
    return made is not None


def find(session: Session, *, product_line_id: int, key: str) -> KeptAnswer:
    """Raises NoResultFound."""
    query = select(KeptAnswer).where(KeptAnswer.product_line_id == product_line_id, KeptAnswer.key == key)
    return session.scalars(query).one()


def keep(session: Session, *, product_line_id: int, key: str, answer: dict[str, Any]) -> None:
    change = update(KeptAnswer).where(KeptAnswer.product_line_id == product_line_id, KeptAnswer.key == key)
    session.execute(change.values(answer=answer), execution_options=_PLAIN)


def delete_before(session: Session, before: datetime, *, most: int) -> int:
    """Returns how many: `most` of them, and there may be more."""
    key = tuple_(KeptAnswer.product_line_id, KeptAnswer.key)
    old = select(KeptAnswer.product_line_id, KeptAnswer.key).where(KeptAnswer.made_at < before).limit(most)
    gone = delete(KeptAnswer).where(key.in_(old)).returning(KeptAnswer.key)
    return len(session.scalars(gone, execution_options=_PLAIN).all())
