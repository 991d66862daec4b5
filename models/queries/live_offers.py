"""Offers of launched themes: opened and closed."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.offer import HeldCoupon, LiveOffer
from models.product_line import ProductLine
from offers.preset import ClaimWay, OfferKind
from offers.states import OPEN, Closed, HeldState

# Locked in this order wherever several of them change.
_HOLD = text("SELECT FROM live_offers WHERE theme_id = :theme_id ORDER BY id FOR NO KEY UPDATE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an offer allows, from its revision."""

    offer: str
    kind: OfferKind
    claim_way: ClaimWay | None
    newcomers: bool
    timezone: str
    claim_from: datetime | None
    claim_to: datetime | None
    valid_from: datetime | None
    valid_to: datetime | None
    valid_days: int | None
    total: int | None
    per_customer: int | None
    per_day: int | None
    per_customer_day: int | None
    budget_minor: int | None
    per_channel: dict[str, Any] = field(default_factory=dict)


def open_all(
    session: Session,
    *,
    theme_id: int,
    revision_id: int,
    product_line_id: int,
    openings: Sequence[Opening],
    now: datetime,
) -> None:
    """Offers of a launched revision. Opened again, they keep what they counted."""
    if not openings:
        return
    same = {
        "theme_id": theme_id,
        "revision_id": revision_id,
        "product_line_id": product_line_id,
        "opened_at": now,
    }
    statement = insert(LiveOffer).values([same | asdict(opening) for opening in openings])
    again = statement.on_conflict_do_update(
        index_elements=["theme_id", "revision_id", "offer"], set_={LiveOffer.closed: None}
    )
    session.execute(again)


def close_all(session: Session, *, theme_id: int, because: Closed | None) -> None:
    """Of a theme; None opens them again."""
    session.execute(_HOLD, {"theme_id": theme_id})
    change = update(LiveOffer).where(LiveOffer.theme_id == theme_id).values(closed=because)
    session.execute(change, execution_options={"synchronize_session": False})


def void_held(session: Session, *, theme_id: int, now: datetime) -> int:
    """Take back what customers still hold of a theme; what is used stays used. Returns how many."""
    offers = select(LiveOffer.id).where(LiveOffer.theme_id == theme_id)
    still_open = HeldCoupon.offer_id.in_(offers), HeldCoupon.state.in_(OPEN)
    # In the order in which orders lock several of them: neither waits for the other in a circle.
    session.execute(select(HeldCoupon.id).where(*still_open).order_by(HeldCoupon.id).with_for_update(key_share=True))
    change = (
        update(HeldCoupon)
        .where(*still_open)
        .values(state=HeldState.VOID, locked_for=None, locked_until=None, changed_at=now)
        .returning(HeldCoupon.id)
    )
    return len(session.scalars(change, execution_options={"synchronize_session": False}).all())


def changed(session: Session, *, product_line_id: int) -> None:
    """Let whoever holds the live offers of a product line in memory see that they are others now."""
    change = (
        update(ProductLine)
        .where(ProductLine.id == product_line_id)
        .values(offers_version=ProductLine.offers_version + 1)
    )
    session.execute(change, execution_options={"synchronize_session": False})
