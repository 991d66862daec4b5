"""Offers of launched themes as carts meet them, and all that is asked about one cart and its customer, at once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.offer import LiveOffer
from models.product import Product
from models.queries.access_paths import BY_INDEX, PLANNED_ONCE
from models.queries.arrays import plain_array, text_array
from models.theme import Revision, Theme
from offers.candidate import InHand
from offers.live_cart import Facts
from offers.live_rule import Taken
from offers.states import HeldState
from themes.theme import RedeemIn

_VERSION = text("SELECT offers_version FROM product_lines WHERE id = :product_line_id")

# What may be used for days after its claim is over so many days after the last claim.
_USABLE = text("""
    SELECT id FROM live_offers
    WHERE product_line_id = :product_line_id
      AND (kind = 'coupon' OR closed IS NULL OR closed = 'paused')
      AND coalesce(valid_to, claim_to + make_interval(days => valid_days), 'infinity') > CAST(:now AS timestamptz)
""")

# One statement, for a quote is worth little more than the way to the database and back; prepared, for to plan it takes
# several times as long as to run it. Whether somebody is new is not asked by EXISTS: a plan that is made once, while
# there are no orders, would go through all of them for it later on.
_PREPARE = """
    PREPARE cart_facts (
        int, text, text, text[], bigint[], boolean, int[], int[], date[], int[], boolean, text, timestamptz
    ) AS
    SELECT json_build_array(l.offers_version, l.least_margin_bp, c.id,
        (SELECT json_agg(json_build_array(p.sku, p.category, p.brand, p.shop, p.floor_minor, p.cost_minor))
         FROM products p WHERE p.product_line_id = $1 AND p.sku = ANY($4)),
        (SELECT json_agg(json_build_array(
            h.id, h.offer_id, h.state, h.valid_from, h.valid_to, h.locked_for, h.locked_until
         ) ORDER BY h.valid_to, h.id)
         FROM held_coupons h WHERE h.customer_id = c.id AND (
            h.id = ANY($5) OR $6 AND h.state IN ('issued', 'returned', 'locked') AND h.valid_to > $13
         )),
        (SELECT json_agg(json_build_array(o.id, o.claimed, o.spent_minor)) FROM live_offers o WHERE o.id = ANY($7)),
        (SELECT json_agg(json_build_array(
            n.offer_id, n.customer_id <> 0, n.day <> '-infinity', n.channel <> '', n.count
         ))
         FROM unnest($8, $9) AS asked(offer_id, day)
         JOIN offer_counts n ON n.offer_id = asked.offer_id
            AND n.customer_id = ANY(ARRAY[0, coalesce(c.id, 0)])
            AND n.day = ANY(ARRAY[CAST('-infinity' AS date), asked.day])
            AND n.channel = ANY(ARRAY['', $3])),
        (SELECT json_agg(json_build_array(e.one_theme_id, e.one_offer, e.other_theme_id, e.other_offer))
         FROM exclusions e WHERE e.one_theme_id = ANY($10) AND e.other_theme_id = ANY($10)),
        $11 AND (SELECT true FROM orders
                 WHERE customer_id = c.id AND kept AND number IS DISTINCT FROM $12 LIMIT 1) IS NULL
            AND (SELECT true FROM redemptions WHERE customer_id = c.id AND state = 'redeemed' LIMIT 1) IS NULL,
        EXISTS (SELECT FROM redemptions WHERE product_line_id = $1 AND order_number = $12))::text
    FROM product_lines l
    LEFT JOIN customers c ON c.product_line_id = $1 AND c.external_id = $2
    WHERE l.id = $1
"""
_FACTS = f"""{BY_INDEX} {PLANNED_ONCE}
    EXECUTE cart_facts (
        %(product_line_id)s, %(customer)s, %(channel)s, %(skus)s, %(held)s, %(all_held)s, %(limited)s, %(counted)s,
        %(days)s, %(themes)s, %(newcomers)s, %(order)s, %(now)s
    )
"""
_PREPARED = "cart_facts"  # among what is known of a connection


@dataclass(frozen=True, slots=True)
class CartFacts:
    """`held` come in the order in which they end; `pairs` are (theme id, offer, theme id, offer)."""

    version: int
    least_margin_bp: int | None
    customer_id: int | None
    products: Mapping[str, Facts]
    held: Sequence[InHand]
    taken: Mapping[int, Taken]
    pairs: Sequence[tuple[int, str, int, str]]
    newcomer: bool  # asked only where it matters; for a guest it means nothing
    order_taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be known. `limited` are live offers with a budget or limits, `counted` those of them with counts."""

    product_line_id: int
    customer: str | None
    channel: RedeemIn
    skus: Collection[str]
    held: Collection[int]
    all_held: bool
    limited: Collection[int]
    counted: Mapping[int, date]  # the day that it is for each
    themes: Collection[int]
    newcomers: bool
    order: str | None  # the one that is being placed, which is not one that came before
    now: datetime


def version_of(session: Session, product_line_id: int) -> int:
    version: int = session.scalars(_VERSION, {"product_line_id": product_line_id}).one()
    return version


def usable(session: Session, *, product_line_id: int, now: datetime) -> Sequence[tuple[LiveOffer, str]]:
    """The offers that a cart may meet now or later, with the key of their theme."""
    values = {"product_line_id": product_line_id, "now": now}
    return by_ids(session, session.scalars(_USABLE, values).all())


def by_ids(session: Session, ids: Collection[int]) -> Sequence[tuple[LiveOffer, str]]:
    query = select(LiveOffer, Theme.key).join(Theme, Theme.id == LiveOffer.theme_id).where(LiveOffer.id.in_(ids))
    return [(row[0], row[1]) for row in session.execute(query.order_by(LiveOffer.id))]


def contents(session: Session, revision_ids: Collection[int]) -> Mapping[int, dict[str, object]]:
    query = select(Revision.id, Revision.content).where(Revision.id.in_(revision_ids))
    return {row[0]: row[1] for row in session.execute(query)}


def prices(session: Session, *, product_line_id: int, skus: Collection[str]) -> Mapping[str, int]:
    query = select(Product.sku, Product.unit_price_minor).where(
        Product.product_line_id == product_line_id, Product.sku.in_(skus)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def facts(session: Session, asked: Asked) -> CartFacts:
    values = {
        "product_line_id": asked.product_line_id,
        "customer": asked.customer,
        "channel": asked.channel.value,
        "skus": text_array(asked.skus),
        "held": plain_array(asked.held),
        "all_held": asked.all_held,
        "limited": plain_array(asked.limited),
        "counted": plain_array(asked.counted.keys()),
        "days": plain_array(asked.counted.values()),
        "themes": plain_array(asked.themes),
        "newcomers": asked.newcomers,
        "order": asked.order,
        "now": asked.now,
    }
    connection = session.connection()
    if _PREPARED not in connection.info:
        connection.exec_driver_sql(_PREPARE)
        connection.info[_PREPARED] = True
    told = orjson.loads(connection.exec_driver_sql(_FACTS, values).scalar_one())
    version, margin, customer_id, products, held, taken, counts, pairs, newcomer, order_taken = told
    return CartFacts(
        version=version,
        least_margin_bp=margin,
        customer_id=customer_id,
        products={row[0]: _facts(*row[1:]) for row in products or ()},
        held=[_in_hand(row) for row in held or ()],
        taken=_taken(taken, counts),
        pairs=[tuple(row) for row in pairs or ()],
        newcomer=newcomer,
        order_taken=order_taken,
    )


def _facts(category: str, brand: str | None, shop: str | None, floor: int | None, cost: int | None) -> Facts:
    return Facts(category=category, brand=brand, shop=shop, floor=floor, cost=cost)


def _in_hand(row: Sequence[Any]) -> InHand:
    held_id, offer_id, state, valid_from, valid_to, locked_for, locked_until = row
    return InHand(
        id=held_id,
        offer_id=offer_id,
        state=HeldState(state),
        valid_from=datetime.fromisoformat(valid_from),
        valid_to=datetime.fromisoformat(valid_to),
        locked_for=locked_for,
        locked_until=None if locked_until is None else datetime.fromisoformat(locked_until),
    )


#: Which of the counts a row is: whether of one customer, on one day, in one channel.
_COUNT_NAMES: Mapping[tuple[bool, bool, bool], str] = {
    (True, False, False): "by_customer",
    (True, True, False): "by_customer_on_day",
    (False, True, False): "on_day",
    (False, False, True): "in_channel",
}


def _taken(rows: Sequence[tuple[int, int, int]] | None, counts: Sequence[Sequence[int]] | None) -> dict[int, Taken]:
    by_offer: dict[int, dict[str, int]] = {}
    for offer_id, of_customer, of_day, of_channel, count in counts or ():
        name = _COUNT_NAMES.get((bool(of_customer), bool(of_day), bool(of_channel)))
        if name is not None:
            by_offer.setdefault(offer_id, {})[name] = count
    return {
        offer_id: Taken(claimed=claimed, spent=spent, **by_offer.get(offer_id, {}))
        for offer_id, claimed, spent in rows or ()
    }
