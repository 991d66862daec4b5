"""The caps and quiet hours that are laid down for product lines."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.states import Channel
from models.limits import LineLimits
from models.product_line import ProductLine
from models.queries.arrays import text_array

_COUNT_EARLIER = text("""
    INSERT INTO cap_reservations (delivery_seq, distribution_id, customer_id, channel, reserved_at)
    SELECT dl.seq, dl.distribution_id, dl.customer_id, dl.channel, COALESCE(dl.sent_at, dl.changed_at)
    FROM deliveries dl JOIN themes t ON t.id = dl.theme_id
    WHERE t.product_line_id = :product_line_id AND dl.purpose = 'theme'
      AND dl.channel = ANY(CAST(:channels AS text[])) AND dl.state IN ('sending', 'sent', 'delivered', 'unknown')
      AND COALESCE(dl.sent_at, dl.changed_at) >= :since
    ORDER BY dl.seq
    ON CONFLICT DO NOTHING
""")


def count_earlier(session: Session, *, product_line_id: int, channels: Iterable[Channel], since: datetime) -> int:
    """Count for the caps what left, or may have, before there were any; returns how many messages that is."""
    values = {"product_line_id": product_line_id, "channels": text_array(sorted(channels)), "since": since}
    return int(session.execute(_COUNT_EARLIER, values).rowcount)  # type: ignore[attr-defined] # a CursorResult


def lay_down(session: Session, *, product_line_id: int, content: Mapping[str, object], by: str, now: datetime) -> bool:
    """Let these limits hold for a product line; False when they did already."""
    values = {"content": content, "applied_by": by, "applied_at": now}
    statement = (
        insert(LineLimits)
        .values(product_line_id=product_line_id, **values)
        .on_conflict_do_update(
            index_elements=[LineLimits.product_line_id], set_=values, where=LineLimits.content != content
        )
        .returning(LineLimits.product_line_id)
    )
    return session.scalar(statement) is not None


def standing(session: Session) -> Sequence[tuple[str, LineLimits]]:
    """Product line and limits, by the key of the line."""
    query = select(ProductLine.key, LineLimits).join(LineLimits, LineLimits.product_line_id == ProductLine.id)
    return [(row[0], row[1]) for row in session.execute(query.order_by(ProductLine.key))]
