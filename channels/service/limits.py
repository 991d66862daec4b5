"""Caps and quiet hours of a product line: applied from a file, shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from audience.caps import remembered_for
from audience.limits_file import Limits
from channels.errors import ProductLineUnknown
from channels.states import Channel
from models.queries import line_limits, themes


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    product_line: str
    changed: bool
    counted_anew: int  # messages of before that count for the caps from now on


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What holds for a product line, and by whom and when it was laid down."""

    product_line: str
    limits: Limits
    applied_by: str
    applied_at: datetime


def apply_limits(session: Session, *, limits: Limits, by: str, now: datetime) -> Applied:
    """Let these limits hold from now on, for what is claimed from here on; the same again changes nothing.

    What was sent before counts for the caps as far back as they reach.

    Raises:
        ProductLineUnknown
    """
    line = themes.product_line_by_key(session, limits.product_line)
    if line is None:
        raise ProductLineUnknown(key=limits.product_line, known=themes.product_line_keys(session))
    content = limits.model_dump(mode="json")
    if not line_limits.lay_down(session, product_line_id=line.id, content=content, by=by, now=now):
        return Applied(product_line=line.key, changed=False, counted_anew=0)
    caps = [rule.as_cap() for rule in limits.caps]
    channels = frozenset[Channel]().union(*(cap.channels for cap in caps))
    since = now - remembered_for(caps)
    counted = line_limits.count_earlier(session, product_line_id=line.id, channels=channels, since=since)
    return Applied(product_line=line.key, changed=True, counted_anew=counted)


def standing_limits(session: Session) -> Sequence[Standing]:
    """Of every product line that has any."""
    return [
        Standing(
            product_line=key,
            limits=Limits.model_validate(row.content),
            applied_by=row.applied_by,
            applied_at=row.applied_at,
        )
        for key, row in line_limits.standing(session)
    ]
