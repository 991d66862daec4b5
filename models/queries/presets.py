"""Rule presets that were applied beside those that come with the project."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.preset import RulePreset


def applied(session: Session) -> Sequence[RulePreset]:
    """Every version of each, by name and version."""
    return session.scalars(select(RulePreset).order_by(RulePreset.name, RulePreset.version)).all()


def find(session: Session, name: str, version: int) -> RulePreset | None:
    return session.scalar(select(RulePreset).where(RulePreset.name == name, RulePreset.version == version))


def add_if_missing(
    session: Session, *, name: str, version: int, content: str, content_hash: str, by: str, now: datetime
) -> bool:
    """Keep a version of a preset, waiting for whoever adds the same just now; False when there is one already."""
    statement = insert(RulePreset).values(
        name=name, version=version, content=content, hash=content_hash, applied_by=by, applied_at=now
    )
    added = statement.on_conflict_do_nothing(index_elements=[RulePreset.name, RulePreset.version])
    return session.scalar(added.returning(RulePreset.id)) is not None
