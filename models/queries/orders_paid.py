"""What a paid order brings: coupons that are given after it, and taken back with it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.offer import HeldCoupon, LiveOffer, Redemption
from models.theme import Theme
from offers.held import HeldCouponView
from offers.preset import ClaimWay
from offers.states import RedemptionState

# Those that are not for asking; of each the one of the revision that was launched last.
_TRIGGERED = text("""
    SELECT DISTINCT ON (t.key, lo.offer) t.key || '/' || lo.offer AS name FROM live_offers lo
    JOIN themes t ON t.id = lo.theme_id JOIN revisions r ON r.id = lo.revision_id
    WHERE lo.product_line_id = :line AND lo.claim_way = 'order'
    AND lo.claim_from <= :now AND :now < lo.claim_to
    AND CAST(r.content -> 'offers' -> lo.offer -> 'parameters' -> 'spent' ->> 'minor' AS bigint) <= :paid
    ORDER BY t.key, lo.offer
""")
# Which may be locked for an order that is being placed: whoever places it waits, and finds it void.
_TAKE_BACK = text("""
    UPDATE held_coupons SET state = 'void', locked_for = NULL, locked_until = NULL, changed_at = :now
    WHERE id IN (
        SELECT h.id FROM held_coupons h JOIN live_offers lo ON lo.id = h.offer_id
        WHERE lo.product_line_id = :line AND lo.claim_way = 'order' AND h.trigger_order = :order
        AND h.state IN ('issued', 'returned', 'locked')
        ORDER BY h.id FOR NO KEY UPDATE OF h
    )
    RETURNING id
""")


def is_cancelled(session: Session, *, product_line_id: int, order_number: str) -> bool:
    """Held while the transaction lasts: whoever cancels the order later sees what it brought."""
    return _state(session, product_line_id, order_number) is RedemptionState.CANCELLED


def is_redeemed(session: Session, *, product_line_id: int, order_number: str) -> bool:
    """And not cancelled; held as well."""
    return _state(session, product_line_id, order_number) is RedemptionState.REDEEMED


def _state(session: Session, product_line_id: int, order_number: str) -> RedemptionState | None:
    query = select(Redemption.state).where(
        Redemption.product_line_id == product_line_id, Redemption.order_number == order_number
    )
    return session.scalar(query.with_for_update(read=True))


def triggered_offers(session: Session, *, product_line_id: int, paid_minor: int, now: datetime) -> Sequence[str]:
    """THEME/OFFER of what an order over so much brings."""
    values = {"line": product_line_id, "paid": paid_minor, "now": now}
    return session.scalars(_TRIGGERED, values).all()


def brought_by(session: Session, *, product_line_id: int, order_number: str) -> Sequence[HeldCouponView]:
    query = (
        select(HeldCoupon, LiveOffer.offer, Theme.key)
        .join(LiveOffer, LiveOffer.id == HeldCoupon.offer_id)
        .join(Theme, Theme.id == LiveOffer.theme_id)
        .where(LiveOffer.product_line_id == product_line_id, LiveOffer.claim_way == ClaimWay.ORDER)
        .where(HeldCoupon.trigger_order == order_number)
        .order_by(HeldCoupon.id)
        .execution_options(populate_existing=True)
    )
    return [_view(*row) for row in session.execute(query)]


def take_back(session: Session, *, product_line_id: int, order_number: str, now: datetime) -> int:
    values: dict[str, Any] = {"line": product_line_id, "order": order_number, "now": now}
    return len(session.scalars(_TAKE_BACK, values).all())


def _view(held: HeldCoupon, offer: str, theme: str) -> HeldCouponView:
    return HeldCouponView(
        id=held.id,
        offer=f"{theme}/{offer}",
        state=held.state,
        source=held.source,
        claimed_at=held.claimed_at,
        valid_from=held.valid_from,
        valid_to=held.valid_to,
        locked_for=held.locked_for,
    )
