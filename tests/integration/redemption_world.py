"""A shop before the offers of a launched theme: it quotes, redeems, cancels, refunds, and its books have to balance."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

import pytest
from sqlalchemy import text

from offers.cart import Cart, CartLine
from offers.errors import OfferError
from offers.redemption import RedemptionView, RefundView
from offers.refusals import UseRefusal
from offers.service import redemptions
from offers.service.live_rules import RuleBook
from offers.service.quotes import QuoteAsked, Quoted, quote
from offers.service.redemptions import Redeem
from offers.states import HeldState
from tests.integration.offers_world import NOON, TEXT, THEME, OffersWorld, offers_world, start
from tests.integration.scene import Scene
from tests.postgres import copy_of_database, name_of
from themes.theme import RedeemIn

Result = TypeVar("Result")

#: Whatever is counted of uses, and what it comes to from the uses themselves, where the two differ.
UNBALANCED = text("""
    WITH kept AS (
        SELECT u.*, r.customer_id, r.channel, r.redeemed_at FROM redemption_uses u
        JOIN redemptions r ON r.id = u.redemption_id WHERE NOT u.given_back
    ), per_offer AS (
        SELECT lo.id, lo.kind, lo.offer, lo.claimed, lo.used, lo.spent_minor, count(k.offer_id) AS uses,
               coalesce(sum(k.off_minor + k.freight_off_minor), 0) AS spent
        FROM live_offers lo LEFT JOIN kept k ON k.offer_id = lo.id GROUP BY lo.id
    )
    SELECT 'used ' || offer, used, uses FROM per_offer WHERE used <> uses
    UNION ALL SELECT 'spent ' || offer, spent_minor, spent FROM per_offer WHERE spent_minor <> spent
    UNION ALL SELECT 'claimed ' || offer, claimed, uses FROM per_offer WHERE kind = 'activity' AND claimed <> uses
    UNION ALL
    SELECT 'count ' || lo.offer || ' ' || c.customer_id || ' ' || c.day::text || ' ' || c.channel, c.count, n.uses
    FROM offer_counts c JOIN live_offers lo ON lo.id = c.offer_id AND lo.kind = 'activity'
    CROSS JOIN LATERAL (
        SELECT count(*) AS uses FROM kept k WHERE k.offer_id = c.offer_id
        AND (c.customer_id = 0 OR c.customer_id = k.customer_id) AND (c.channel = '' OR c.channel = k.channel)
        AND (c.day = '-infinity' OR c.day = (k.redeemed_at AT TIME ZONE lo.timezone)::date)
    ) AS n WHERE c.count <> n.uses
    UNION ALL
    SELECT 'coupon ' || h.id || ' ' || h.state, 1, n.uses FROM held_coupons h
    CROSS JOIN LATERAL (SELECT count(*) AS uses FROM kept k WHERE k.held_id = h.id) AS n
    WHERE n.uses <> CASE WHEN h.state = 'used' THEN 1 ELSE 0 END
    UNION ALL
    SELECT 'order ' || r.order_number, r.payable_minor,
           r.list_minor + r.freight_list_minor - r.discount_minor - r.freight_discount_minor
    FROM redemptions r
    WHERE r.payable_minor <> r.list_minor + r.freight_list_minor - r.discount_minor - r.freight_discount_minor
    UNION ALL
    SELECT 'discount ' || r.order_number, r.discount_minor + r.freight_discount_minor, n.off FROM redemptions r
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(off_minor + freight_off_minor), 0) AS off FROM redemption_uses WHERE redemption_id = r.id
    ) AS n WHERE r.discount_minor + r.freight_discount_minor <> n.off
    UNION ALL
    SELECT 'refunds ' || r.order_number, r.refunded_minor, n.back FROM redemptions r
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(goods_minor + freight_minor), 0) AS back FROM order_refunds WHERE redemption_id = r.id
    ) AS n WHERE r.refunded_minor <> n.back OR n.back > r.payable_minor
""")


def cart(*lines: tuple[str, int, int], freight: int = 800) -> Cart:
    """Of SKUs, how many, and what one costs."""
    return Cart(lines=[CartLine(sku=sku, qty=qty, price=price) for sku, qty, price in lines], freight=freight)


MUGS = cart(("mug", 6, 1_000))
LAMP = cart(("lamp", 1, 5_000))
BOTH = cart(("mug", 6, 1_000), ("lamp", 1, 5_000))


@dataclass(kw_only=True)
class Shop:
    world: OffersWorld
    book: RuleBook = field(default_factory=RuleBook)

    @property
    def scene(self) -> Scene:
        return self.world.scene

    @property
    def line_id(self) -> int:
        return self.world.line_id

    def quote(
        self,
        goods: Cart,
        customer: str | None = "c01",
        *,
        at: datetime = NOON,
        channel: RedeemIn = RedeemIn.APP,
        **more: Any,
    ) -> Quoted:
        asked = QuoteAsked(cart=goods, customer=customer, channel=channel, **more)
        with self.scene.begin() as session:
            return quote(session, self.book, asked, product_line_id=self.line_id, now=at)

    def order(self, number: str, goods: Cart, found: Quoted, customer: str | None = "c01", **more: Any) -> Redeem:
        """With just what a quote says that it applied."""
        applied = [found.offers[step.rule_id] for step in found.choice.price.applied]
        return Redeem(
            **{
                "order": number,
                "channel": RedeemIn.APP,
                "cart": goods,
                "payable": found.choice.price.payable,
                "customer": customer,
                "coupons": tuple(one.held for one in applied if one.held is not None),
                "activities": tuple(one.name for one in applied if one.kind == "activity"),
                **more,
            }
        )

    def redeem(self, asked: Redeem, *, at: datetime = NOON) -> RedemptionView:
        with self.scene.begin() as session:
            return redemptions.redeem(session, self.book, asked, product_line_id=self.line_id, now=at)

    def buy(
        self, number: str, goods: Cart, customer: str | None = "c01", *, at: datetime = NOON, **more: Any
    ) -> RedemptionView:
        """As the customer is told that it is best for her."""
        return self.redeem(self.order(number, goods, self.quote(goods, customer, at=at, **more), customer), at=at)

    def cancel(self, number: str, *, at: datetime = NOON) -> RedemptionView:
        with self.scene.begin() as session:
            return redemptions.cancel(session, self.book, product_line_id=self.line_id, order=number, now=at)

    def refund(self, number: str, units: dict[int, int], *, at: datetime = NOON) -> RefundView:
        with self.scene.begin() as session:
            return redemptions.refund(
                session, self.book, product_line_id=self.line_id, order=number, units=units, now=at
            )

    def lock(
        self, order: str, coupons: Sequence[int], *, until: datetime, customer: str = "c01", at: datetime = NOON
    ) -> None:
        with self.scene.begin() as session:
            redemptions.lock_coupons(
                session,
                product_line_id=self.line_id,
                customer=customer,
                order=order,
                coupons=coupons,
                until=until,
                now=at,
            )

    def unlock(self, order: str, coupons: Sequence[int] | None = None, *, at: datetime = NOON) -> int:
        with self.scene.begin() as session:
            found = redemptions.unlock_coupons(
                session, product_line_id=self.line_id, order=order, coupons=coupons, now=at
            )
        return len(found)

    def state(self, held: int) -> HeldState:
        return next(one.state for one in self.world.coupons() if one.id == held)

    def unbalanced(self) -> list[tuple[Any, ...]]:
        """What does not add up, of claims and of uses."""
        with self.scene.begin() as session:
            rows = [tuple(row) for row in session.execute(UNBALANCED)]
        return [*rows, *self.world.miscounted()]


def shop(scene: Scene, *edits: tuple[str, str], **more: Any) -> Shop:
    return Shop(world=offers_world(scene, *edits, **more))


@pytest.fixture(scope="session")
def stocked(postgres: str, scenery: tuple[str, Scene]) -> Iterator[tuple[str, Shop]]:
    """A database with a shop, of which each `opened` is a copy."""
    filled, first = scenery
    with copy_of_database(postgres, filled) as database:
        found = shop(replace(first, database=database, secrets=dict(first.secrets)))
        database.dispose()  # a database that somebody is connected to cannot be copied
        yield name_of(database), found


@pytest.fixture
def opened(postgres: str, stocked: tuple[str, Shop]) -> Iterator[Shop]:
    """A shop of the test's own."""
    name, first = stocked
    with copy_of_database(postgres, name, pool_size=24) as database:
        scene = replace(first.scene, database=database, secrets=dict(first.scene.secrets))
        yield Shop(world=replace(first.world, scene=scene))


def two_themes(scene: Scene) -> tuple[Shop, int]:
    """A shop with a second theme beside the first, whose only offer is `other/tenth-off`, an activity; and its id."""
    world = offers_world(scene, launched=False)
    head, _, rest = TEXT.partition("coupons:")
    tail = rest[rest.index("audience:") :]
    offers = "activities:\n  - {id: tenth-off, preset: discount, name: A tenth off, percent: 10}\n"
    scene.draft(head.replace(f"theme: {THEME}", "theme: other") + offers + tail)
    scene.submit("other")
    scene.approve_all("other")
    other = scene.theme("other").id
    start(OffersWorld(scene=scene, line_id=world.line_id, theme_id=other))
    start(world)
    return Shop(world=world), other


def named(offer: str) -> str:
    return f"{THEME}/{offer}"


def problems(found: Quoted) -> dict[str | None, UseRefusal]:
    return {one.offer and one.offer.partition("/")[2]: one.why for one in found.problems}


def applied(found: Quoted) -> list[str]:
    return [step.rule_id.partition("/")[2] for step in found.choice.price.applied]


def at_once(acts: Sequence[Callable[[], Result]]) -> list[Result | OfferError]:
    """All begin at the same moment. Refusals are results, any other error is raised."""
    barrier = threading.Barrier(len(acts))

    def begin(act: Callable[[], Result]) -> Result | OfferError:
        barrier.wait()
        try:
            return act()
        except OfferError as refused:
            return refused

    with ThreadPoolExecutor(len(acts)) as pool:
        return [one.result() for one in [pool.submit(begin, act) for act in acts]]
