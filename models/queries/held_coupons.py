"""Coupons in customers' hands: listed, locked for an order, used, given back. Every change is one guarded statement."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from models.queries.arrays import plain_array, text_array
from offers.candidate import InHand
from offers.held import HeldCouponView
from offers.states import HeldState, Source

_VIEW = """
    h.id, t.key || '/' || lo.offer AS offer, h.state, h.source, h.claimed_at, h.valid_from, h.valid_to,
    t.key || '/' || h.package AS package, h.locked_for
"""
_JOINS = "held_coupons h JOIN live_offers lo ON lo.id = h.offer_id JOIN themes t ON t.id = lo.theme_id"
_OF_CUSTOMER = text(f"""
    SELECT {_VIEW} FROM {_JOINS}
    WHERE h.customer_id = :customer_id AND h.state = ANY(CAST(:states AS text[]))
    ORDER BY h.valid_to, h.id
""")  # noqa: S608 - put together from constants of this module
_BY_IDS = text(f"SELECT {_VIEW} FROM {_JOINS} WHERE h.id = ANY(CAST(:ids AS bigint[])) ORDER BY h.id")  # noqa: S608 - as above
_IN_HAND = text("""
    SELECT id, offer_id, state, valid_from, valid_to, locked_for, locked_until FROM held_coupons
    WHERE id = ANY(CAST(:ids AS bigint[])) AND customer_id = :customer_id
""")
_OF_ORDER = text("""
    SELECT h.id FROM held_coupons h JOIN live_offers lo ON lo.id = h.offer_id
    WHERE h.state = 'locked' AND h.locked_for = :order AND lo.product_line_id = :product_line_id
      AND (CAST(:ids AS bigint[]) IS NULL OR h.id = ANY(CAST(:ids AS bigint[])))
    ORDER BY h.id FOR NO KEY UPDATE OF h
""")

# In the order of their ids: two orders that take the same coupons wait for each other, and never in a circle.
_HOLD = text("""
    SELECT FROM held_coupons WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR NO KEY UPDATE
""")
_FREE = """
    customer_id = :customer_id AND valid_from <= :now AND :now < valid_to
    AND (state IN ('issued', 'returned') OR state = 'locked' AND (locked_for = :order OR locked_until <= :now))
"""
_LOCK = text(f"""
    UPDATE held_coupons SET state = 'locked', locked_for = :order, locked_until = :until, changed_at = :now
    WHERE id = ANY(CAST(:ids AS bigint[])) AND {_FREE}
    RETURNING id
""")  # noqa: S608 - as above
_USE = text(f"""
    UPDATE held_coupons SET state = 'used', locked_for = NULL, locked_until = NULL, changed_at = :now
    WHERE id = ANY(CAST(:ids AS bigint[])) AND {_FREE}
    RETURNING id
""")  # noqa: S608 - as above
_UNLOCK = text("""
    UPDATE held_coupons SET state = 'issued', locked_for = NULL, locked_until = NULL, changed_at = :now
    WHERE id = ANY(CAST(:ids AS bigint[])) AND state = 'locked' AND locked_for = :order
    RETURNING id
""")
# Taken back by a takedown, or with their time over, they are of no use to anybody any more.
_GIVE_BACK = text("""
    UPDATE held_coupons h SET changed_at = :now, state = CASE
        WHEN EXISTS (
            SELECT FROM live_offers lo JOIN takedowns d ON d.theme_id = lo.theme_id
            WHERE lo.id = h.offer_id AND d.claimed = 'void'
        ) THEN 'void'
        WHEN h.valid_to <= :now THEN 'expired'
        ELSE 'returned' END
    WHERE h.id = ANY(CAST(:ids AS bigint[])) AND h.state = 'used'
    RETURNING h.id
""")


def of_customer(session: Session, *, customer_id: int, states: Collection[HeldState]) -> Sequence[HeldCouponView]:
    """What ends first comes first."""
    values = {"customer_id": customer_id, "states": text_array(states)}
    return [_view(row) for row in session.execute(_OF_CUSTOMER, values).mappings()]


def by_ids(session: Session, ids: Collection[int]) -> Sequence[HeldCouponView]:
    return [_view(row) for row in session.execute(_BY_IDS, {"ids": plain_array(ids)}).mappings()]


def in_hand(session: Session, ids: Collection[int], *, customer_id: int) -> Mapping[int, InHand]:
    """Of these coupons those that a customer holds, or held."""
    rows = session.execute(_IN_HAND, {"ids": plain_array(ids), "customer_id": customer_id}).mappings()
    return {row["id"]: InHand(**{**row, "state": HeldState(row["state"])}) for row in rows}


def hold(session: Session, ids: Collection[int]) -> None:
    """Nobody else changes these until the transaction ends."""
    session.execute(_HOLD, {"ids": plain_array(ids)})


def lock(
    session: Session, ids: Collection[int], *, customer_id: int, order: str, until: datetime, now: datetime
) -> Collection[int]:
    """Those that could be locked: of hers, and free or locked for the same order."""
    values = {"ids": plain_array(ids), "customer_id": customer_id, "order": order, "until": until, "now": now}
    return session.scalars(_LOCK, values).all()


def use(session: Session, ids: Collection[int], *, customer_id: int, order: str, now: datetime) -> Collection[int]:
    """Those that could be used: of hers, and free or locked for the same order."""
    values = {"ids": plain_array(ids), "customer_id": customer_id, "order": order, "now": now}
    return session.scalars(_USE, values).all()


def hold_of_order(session: Session, *, product_line_id: int, order: str, ids: Collection[int] | None) -> Sequence[int]:
    """What is locked for an order; of `ids`, or all. Nobody else changes it until the transaction ends."""
    values = {"order": order, "product_line_id": product_line_id, "ids": None if ids is None else plain_array(ids)}
    return session.scalars(_OF_ORDER, values).all()


def unlock(session: Session, ids: Collection[int], *, order: str, now: datetime) -> Collection[int]:
    return session.scalars(_UNLOCK, {"ids": plain_array(ids), "order": order, "now": now}).all()


def give_back(session: Session, ids: Collection[int], *, now: datetime) -> Collection[int]:
    """Of used ones those that were given back, as returned, expired or void."""
    return session.scalars(_GIVE_BACK, {"ids": plain_array(ids), "now": now}).all()


def _view(row: RowMapping) -> HeldCouponView:
    return HeldCouponView(**{**row, "state": HeldState(row["state"]), "source": Source(row["source"])})
