"""What a person of ops has to know: one row per fact."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.approval import Alert


def raise_alert(session: Session, *, key: str, subject: str, text: str, now: datetime, theme_key: str | None) -> bool:
    """Record an alert; True when it is new, False when the same fact was seen before."""
    statement = insert(Alert).values(
        key=key, subject=subject, text=text, theme_key=theme_key, raised_at=now, last_seen_at=now, times_seen=1
    )
    seen_again = {"last_seen_at": now, "times_seen": Alert.times_seen + 1}
    upsert = statement.on_conflict_do_update(index_elements=[Alert.key], set_=seen_again).returning(Alert.times_seen)
    return session.scalars(upsert).one() == 1


def alerts(session: Session) -> Sequence[Alert]:
    return session.scalars(select(Alert).order_by(Alert.raised_at)).all()
