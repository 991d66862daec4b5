"""Orders whose offers were taken: written, given back, refunded. Every count and amount is changed with its guard."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from models.queries.arrays import plain_array
from models.queries.claims import bucket_columns
from offers.claim_rules import Bucket
from offers.redemption import RedemptionView, UseView
from offers.refund import RefundPolicy
from offers.states import RedemptionState
from themes.theme import RedeemIn

# Of an activity the uses are what its total bounds; of a coupon that was counted at its claim.
_TAKE = text("""
    UPDATE live_offers o SET used = o.used + 1, spent_minor = o.spent_minor + v.off_minor,
        claimed = o.claimed + CASE WHEN o.kind = 'activity' THEN 1 ELSE 0 END
    FROM unnest(CAST(:ids AS int[]), CAST(:offs AS bigint[])) AS v(id, off_minor)
    WHERE o.id = v.id
      AND (o.budget_minor IS NULL OR o.spent_minor + v.off_minor <= o.budget_minor)
      AND (o.kind = 'coupon' OR o.closed IS NULL AND (o.total IS NULL OR o.claimed < o.total))
    RETURNING o.id
""")
_GIVE_BACK = text("""
    UPDATE live_offers o SET used = o.used - 1, spent_minor = o.spent_minor - v.off_minor,
        claimed = o.claimed - CASE WHEN o.kind = 'activity' THEN 1 ELSE 0 END
    FROM unnest(CAST(:ids AS int[]), CAST(:offs AS bigint[])) AS v(id, off_minor)
    WHERE o.id = v.id
""")
# Each only within its limit, which is part of the offer.
_COUNT = text("""
    INSERT INTO offer_counts AS c (offer_id, customer_id, day, channel, count)
    SELECT v.offer_id, v.customer_id, v.day, v.channel, 1
    FROM unnest(CAST(:offers AS int[]), CAST(:customers AS int[]), CAST(:days AS date[]), CAST(:channels AS text[]))
        AS v(offer_id, customer_id, day, channel)
    ORDER BY v.offer_id, v.customer_id, v.day, v.channel
    ON CONFLICT (offer_id, customer_id, day, channel) DO UPDATE SET count = c.count + 1
    WHERE c.count < (
        SELECT CASE WHEN c.customer_id <> 0 AND c.day = '-infinity' THEN lo.per_customer
                    WHEN c.customer_id <> 0 THEN lo.per_customer_day
                    WHEN c.channel <> '' THEN CAST(lo.per_channel ->> c.channel AS int)
                    ELSE lo.per_day END
        FROM live_offers lo WHERE lo.id = c.offer_id
    )
    RETURNING c.offer_id, c.customer_id, CASE WHEN c.day <> '-infinity' THEN c.day END, c.channel
""")
_GIVE_BACK_COUNTS = text("""
    UPDATE offer_counts c SET count = c.count - 1
    FROM unnest(CAST(:offers AS int[]), CAST(:customers AS int[]), CAST(:days AS date[]), CAST(:channels AS text[]))
        AS v(offer_id, customer_id, day, channel)
    WHERE (c.offer_id, c.customer_id, c.day, c.channel) = (v.offer_id, v.customer_id, v.day, v.channel)
""")

# Held to the end of the transaction: what else she orders meanwhile is not her first order.
_HOLD_CUSTOMER = text("SELECT FROM customers WHERE id = :id FOR NO KEY UPDATE")
# The order itself may be in the data already; it is not one that came before it.
_ADD = text("""
    WITH made AS (
        INSERT INTO redemptions (
            product_line_id, order_number, customer_id, channel, state, cart, rules, list_minor, freight_list_minor,
            discount_minor, freight_discount_minor, payable_minor, cost_minor, redeemed_at, new_customer
        )
        SELECT :product_line_id, :order, :customer_id, :channel, 'redeemed',
               CAST(:cart AS jsonb), CAST(:rules AS jsonb), :list, :freight_list, :discount, :freight_discount,
               :payable, :cost, :now,
               CAST(:customer_id AS int) IS NOT NULL
               AND NOT EXISTS (SELECT FROM orders WHERE customer_id = :customer_id AND kept AND number <> :order)
               AND NOT EXISTS (SELECT FROM redemptions WHERE customer_id = :customer_id AND state = 'redeemed')
        ON CONFLICT (product_line_id, order_number) DO NOTHING
        RETURNING id, new_customer
    ), uses AS (
        INSERT INTO redemption_uses (redemption_id, offer_id, held_id, off_minor, freight_off_minor)
        SELECT made.id, v.* FROM made, unnest(
            CAST(:offers AS int[]), CAST(:held AS bigint[]), CAST(:offs AS bigint[]), CAST(:freight_offs AS bigint[])
        ) AS v(offer_id, held_id, off_minor, freight_off_minor)
    )
    SELECT new_customer FROM made
""")

_CANCEL = text("""
    UPDATE redemptions SET state = 'cancelled', cancelled_at = :now
    WHERE product_line_id = :product_line_id AND order_number = :order AND state = 'redeemed' AND refunded_minor = 0
    RETURNING id
""")
_MARK_GIVEN_BACK = text("""
    UPDATE redemption_uses SET given_back = true
    WHERE redemption_id = :redemption_id AND offer_id = ANY(CAST(:ids AS int[])) AND NOT given_back
    RETURNING offer_id
""")
_HOLD = text("""
    SELECT FROM redemptions WHERE product_line_id = :product_line_id AND order_number = :order FOR NO KEY UPDATE
""")
_COUNT_REFUND = text("""
    UPDATE redemptions SET refunded_minor = refunded_minor + :amount
    WHERE id = :redemption_id AND state = 'redeemed' AND refunded_minor + :amount <= payable_minor
    RETURNING id
""")
_ADD_REFUND = text("""
    INSERT INTO order_refunds (redemption_id, units, policy, goods_minor, freight_minor, refunded_at)
    VALUES (:redemption_id, CAST(:units AS jsonb), :policy, :goods, :freight, :now)
""")
_REFUNDS = text("SELECT units, goods_minor FROM order_refunds WHERE redemption_id = :redemption_id ORDER BY id")
_IS_TAKEN = text("""
    SELECT EXISTS (SELECT FROM redemptions WHERE product_line_id = :product_line_id AND order_number = :order)
""")
_FIND = text("""
    SELECT r.id, r.order_number, r.state, r.channel, r.customer_id, c.external_id, r.cart, r.list_minor,
           r.freight_list_minor, r.discount_minor, r.freight_discount_minor, r.payable_minor, r.refunded_minor,
           r.new_customer, r.redeemed_at, r.cancelled_at, (
               SELECT json_agg(json_build_array(
                   u.offer_id, t.key || '/' || lo.offer, u.held_id, u.off_minor, u.freight_off_minor, u.given_back
               ) ORDER BY u.offer_id)
               FROM redemption_uses u JOIN live_offers lo ON lo.id = u.offer_id JOIN themes t ON t.id = lo.theme_id
               WHERE u.redemption_id = r.id
           ) AS uses
    FROM redemptions r LEFT JOIN customers c ON c.id = r.customer_id
    WHERE r.product_line_id = :product_line_id AND r.order_number = :order
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRedemption:
    """Amounts are minor units; `cost` is what the goods cost to buy, where that is known."""

    product_line_id: int
    order: str
    customer_id: int | None
    channel: RedeemIn
    cart: Mapping[str, Any]
    rules: Sequence[Mapping[str, Any]]
    list_total: int
    freight_list: int
    discount: int
    freight_discount: int
    payable: int
    cost: int | None
    uses: Sequence[UseView]


def take(session: Session, offs: Mapping[int, int]) -> Collection[int]:
    """Count a use of each offer, with what it took off. Returns those whose budget, total and state allowed it."""
    return session.scalars(_TAKE, _offs(offs)).all()


def give_back(session: Session, offs: Mapping[int, int]) -> None:
    session.execute(_GIVE_BACK, _offs(offs))


def count(session: Session, buckets: Sequence[Bucket]) -> Collection[Bucket]:
    """Count one use in each. Returns those whose limit allowed it."""
    return {Bucket(*row) for row in session.execute(_COUNT, bucket_columns(buckets))}


def give_back_counts(session: Session, buckets: Sequence[Bucket]) -> None:
    session.execute(_GIVE_BACK_COUNTS, bucket_columns(buckets))


def hold_customer(session: Session, customer_id: int) -> None:
    """Nobody else redeems for her until the transaction ends."""
    session.execute(_HOLD_CUSTOMER, {"id": customer_id})


def add(session: Session, new: NewRedemption, *, now: datetime) -> bool | None:
    """Write an order down. Returns whether it is the customer's first; None: there is an order of that number."""
    values = {
        "product_line_id": new.product_line_id,
        "order": new.order,
        "customer_id": new.customer_id,
        "channel": new.channel.value,
        "cart": _json(new.cart),
        "rules": _json(new.rules),
        "list": new.list_total,
        "freight_list": new.freight_list,
        "discount": new.discount,
        "freight_discount": new.freight_discount,
        "payable": new.payable,
        "cost": new.cost,
        "now": now,
        "offers": plain_array(use.offer_id for use in new.uses),
        "held": plain_array(use.held for use in new.uses),
        "offs": plain_array(use.off for use in new.uses),
        "freight_offs": plain_array(use.freight_off for use in new.uses),
    }
    return session.scalars(_ADD, values).one_or_none()


def find(session: Session, *, product_line_id: int, order: str) -> RedemptionView | None:
    row = session.execute(_FIND, {"product_line_id": product_line_id, "order": order}).one_or_none()
    if row is None:
        return None
    return RedemptionView(
        id=row.id,
        order=row.order_number,
        state=RedemptionState(row.state),
        channel=RedeemIn(row.channel),
        customer_id=row.customer_id,
        customer=row.external_id,
        cart=row.cart,
        list_total=row.list_minor,
        freight_list=row.freight_list_minor,
        discount=row.discount_minor,
        freight_discount=row.freight_discount_minor,
        payable=row.payable_minor,
        refunded=row.refunded_minor,
        new_customer=row.new_customer,
        redeemed_at=row.redeemed_at,
        cancelled_at=row.cancelled_at,
        uses=[_use(one) for one in row.uses or ()],
    )


def is_taken(session: Session, *, product_line_id: int, order: str) -> bool:
    return bool(session.scalars(_IS_TAKEN, {"product_line_id": product_line_id, "order": order}).one())


def cancel(session: Session, *, product_line_id: int, order: str, now: datetime) -> bool:
    """False: there is no such order, or it is cancelled already, or something of it was refunded."""
    values = {"product_line_id": product_line_id, "order": order, "now": now}
    return session.scalars(_CANCEL, values).one_or_none() is not None


def mark_given_back(session: Session, redemption_id: int, offer_ids: Collection[int]) -> Collection[int]:
    """Of the uses of these offers those that were not given back before."""
    return session.scalars(_MARK_GIVEN_BACK, {"redemption_id": redemption_id, "ids": plain_array(offer_ids)}).all()


def hold(session: Session, *, product_line_id: int, order: str) -> None:
    """Nobody else changes this order until the transaction ends. What depends on it is read afterwards."""
    session.execute(_HOLD, {"product_line_id": product_line_id, "order": order})


def refunds(session: Session, redemption_id: int) -> Sequence[tuple[Mapping[int, int], int]]:
    """Of each refund the units of each line, and what was paid back for them without freight."""
    rows = session.execute(_REFUNDS, {"redemption_id": redemption_id})
    return [({int(line): many for line, many in row.units.items()}, row.goods_minor) for row in rows]


def add_refund(
    session: Session,
    redemption_id: int,
    *,
    units: Mapping[int, int],
    policy: RefundPolicy,
    goods: int,
    freight: int,
    now: datetime,
) -> bool:
    """False: all refunds together would be more than was paid."""
    amount = {"redemption_id": redemption_id, "amount": goods + freight}
    if session.scalars(_COUNT_REFUND, amount).one_or_none() is None:
        return False
    told = _json({str(line): many for line, many in units.items()})
    values = {"units": told, "policy": policy, "goods": goods, "freight": freight, "now": now}
    session.execute(_ADD_REFUND, {"redemption_id": redemption_id, **values})
    return True


def _offs(offs: Mapping[int, int]) -> dict[str, str]:
    return {"ids": plain_array(offs), "offs": plain_array(offs.values())}


def _use(row: Sequence[Any]) -> UseView:
    offer_id, name, held, off, freight_off, given_back = row
    return UseView(offer_id=offer_id, offer=name, held=held, off=off, freight_off=freight_off, given_back=given_back)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
