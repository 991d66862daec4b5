"""A launched theme with offers of every kind, customers to claim them, and a catalogue to use them on."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from sqlalchemy import select, text

from models.customer import Customer
from models.offer import HeldCoupon, LiveOffer
from models.product import Product
from offers.held import HeldCouponView
from offers.service import claims, codes
from offers.service.claims import Claim, Settled
from offers.states import MOVES, HeldState
from tests.integration.moves_guard import guard_moves
from tests.integration.scene import Scene
from tests.postgres import copy_of_database, name_of
from themes.service import launch
from themes.service.launch import StartOutcome
from themes.theme import RedeemIn

THEME = "spring-2027"
#: 12:00 of the theme's first day in its zone, Asia/Shanghai; the day ends at 16:00 UTC.
NOON = datetime(2027, 3, 6, 4, tzinfo=UTC)
STARTS_AT = datetime(2027, 3, 5, 16, tzinfo=UTC)
MIDNIGHT = datetime(2027, 3, 6, 16, tzinfo=UTC)
ENDS_AT = datetime(2027, 3, 10, 16, tzinfo=UTC)
SHARED = "SPRING20"
#: Of the scene: these have placed no order.
NEWCOMERS = ("c18", "c19", "c20")
TEXT = """
theme: spring-2027
title: Spring
product_line: giftware-eu
author: ann
currency: GBP
timezone: Asia/Shanghai
window: {from: "2027-03-06T00:00", to: "2027-03-11T00:00"}
goals: {claims: 400}
budget: "20000.00"

coupons:
  - {id: hot, preset: full_reduction, name: 10 off from 50, at: "50.00", amount: "10.00", total: 100, per_customer: 1,
     valid: {days: 14}}
  - {id: plain, preset: direct_reduction, name: 5 off, amount: "5.00"}
  - {id: daily, preset: direct_reduction, name: 3 a day, amount: "3.00", per_customer: 3, per_day: 3,
     per_customer_day: 1}
  - {id: places, preset: direct_reduction, name: By channel, amount: "2.00", per_channel: {app: 2, web: 1}}
  - {id: tenth, preset: discount, name: A tenth off, percent: 10, budget: "10.00", valid: {days: 7}}
  - {id: welcome, preset: newcomer, name: Welcome, amount: "4.00", valid: {days: 30}}
  - {id: own-code, preset: coupon_code, name: With a code, codes: per_person, amount: "6.00", per_customer: 1}
  - {id: one-code, preset: coupon_code, name: With the code, codes: shared, amount: "6.00", total: 5, per_customer: 1}
  - {id: set, preset: package, name: All of these, coupons: [hot, plain, freight], per_customer: 1, total: 30}
  - {id: thanks, preset: consumption_triggered, name: Come again, spent: "80.00", amount: "8.00", total: 4,
     valid: {days: 30}}
  - {id: points, preset: points_exchange, name: For points, points: 500, amount: "7.00"}
  - {id: freight, preset: free_freight, name: Free freight}

activities:
  - {id: mugs, preset: cheapest_free, name: Mugs three for two, group: 3, scope: {category: [mugs]}}
  - {id: lamps, preset: discount, name: Lamps a fifth off, percent: 20, scope: {category: [lamps]}, total: 5,
     per_customer: 2}

exclusions:
  - [hot, lamps]

audience: {include: [ordered_once]}
channels: {sms: {account: sms-main, text: "{{ customer.name }}, see {{ link }}"}}
placements: [{place: app.banner}]
policy: demo
"""
#: sku -> category, price, cost, floor, all of one unit
GOODS: Mapping[str, tuple[str, int, int, int | None]] = {
    "mug": ("mugs", 1_000, 400, None),
    "cup": ("mugs", 600, 300, 350),
    "lamp": ("lamps", 5_000, 3_000, None),
    "tea": ("tea", 300, 100, None),
}
_PEOPLE = text("""
    INSERT INTO customers (product_line_id, external_id, name, country, timezone, language, registered)
    SELECT :line, 'x' || lpad(n::text, 5, '0'), 'Customer ' || n, 'GB', 'Europe/London', 'en', true
    FROM generate_series(1, :many) n RETURNING external_id
""")
#: What has to hold at every moment of what is claimed. Packages are not held, activities are used and not claimed.
_MISCOUNTED = text("""
    WITH held AS (
        SELECT lo.id, count(h.id) AS held FROM live_offers lo LEFT JOIN held_coupons h ON h.offer_id = lo.id
        WHERE lo.kind = 'coupon' AND lo.claim_way <> 'package' GROUP BY lo.id
    ), per AS (
        SELECT h.offer_id, h.customer_id, (h.claimed_at AT TIME ZONE lo.timezone)::date AS day, h.channel
        FROM held_coupons h JOIN live_offers lo ON lo.id = h.offer_id
    ), counted AS (
        SELECT c.offer_id, c.customer_id, c.day, c.channel, c.count, (
            SELECT count(*) FROM per WHERE per.offer_id = c.offer_id
            AND (c.customer_id = 0 OR c.customer_id = per.customer_id)
            AND (c.day = '-infinity' OR c.day = per.day) AND (c.channel = '' OR c.channel = per.channel)
        ) AS held FROM offer_counts c JOIN live_offers lo ON lo.id = c.offer_id
        WHERE lo.kind = 'coupon' AND lo.claim_way <> 'package'
    )
    SELECT lo.offer, lo.claimed, held.held FROM live_offers lo JOIN held USING (id) WHERE lo.claimed <> held.held
    UNION ALL
    SELECT lo.offer || ' ' || counted.customer_id || ' ' || counted.day::text || ' ' || counted.channel,
           counted.count, counted.held
    FROM counted JOIN live_offers lo ON lo.id = counted.offer_id WHERE counted.count <> counted.held
""")
_keys = count(1)


def fresh_key() -> str:
    return f"key-{next(_keys)}-{uuid4().hex[:8]}"


def asking(
    customer: str,
    offer: str | None = None,
    *,
    code: str | None = None,
    key: str | None = None,
    content: str = "",
    channel: RedeemIn = RedeemIn.APP,
    points: str | None = None,
) -> Claim:
    """A claim; `offer` is one of the theme's, or THEME/OFFER. With another `content` the request is another one."""
    named = offer if offer is None or "/" in offer else f"{THEME}/{offer}"
    return Claim(
        key=key or fresh_key(),
        request_hash=content or f"{customer}:{named}:{code}:{channel}:{points}",
        customer=customer,
        offer=named,
        code=code,
        channel=channel,
        points_receipt=points,
    )


@dataclass(kw_only=True)
class OffersWorld:
    scene: Scene
    line_id: int
    theme_id: int
    codes: Sequence[str] = field(default=())  # of `own-code`, as they are written

    def settle(self, asked: Sequence[Claim], *, at: datetime = NOON) -> Sequence[Settled]:
        with self.scene.begin() as session:
            return claims.settle(session, asked, product_line_id=self.line_id, now=at)

    def claim(self, customer: str, offer: str | None = None, *, at: datetime = NOON, **more: Any) -> Settled:
        return self.settle([asking(customer, offer, **more)], at=at)[0]

    def held_by(self, customer: str, offer: str | None = None, *, at: datetime = NOON, **more: Any) -> HeldCouponView:
        """A coupon that a customer has just claimed; raises what it was refused for."""
        settled = self.claim(customer, offer, at=at, **more)
        if settled.refusal is not None:
            raise settled.refusal
        return settled.coupons[0]

    def offer(self, name: str) -> LiveOffer:
        with self.scene.begin() as session:
            query = select(LiveOffer).where(LiveOffer.theme_id == self.theme_id, LiveOffer.offer == name)
            return session.scalars(query.order_by(LiveOffer.id.desc()).limit(1)).one()

    def coupons(self, name: str | None = None, *states: HeldState) -> list[HeldCoupon]:
        """What customers hold, oldest first."""
        query = select(HeldCoupon).join(LiveOffer, LiveOffer.id == HeldCoupon.offer_id).order_by(HeldCoupon.id)
        if name is not None:
            query = query.where(LiveOffer.offer == name)
        if states:
            query = query.where(HeldCoupon.state.in_(states))
        with self.scene.begin() as session:
            return list(session.scalars(query))

    def customer_id(self, external_id: str) -> int:
        query = select(Customer.id).where(Customer.product_line_id == self.line_id, Customer.external_id == external_id)
        with self.scene.begin() as session:
            return session.scalars(query).one()

    def more_customers(self, many: int) -> list[str]:
        """Newcomers, in order of their external ids."""
        with self.scene.begin() as session:
            return sorted(session.scalars(_PEOPLE, {"line": self.line_id, "many": many}))

    def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        with self.scene.begin() as session:
            return [tuple(row) for row in session.execute(text(statement), values)]

    def change(self, statement: str, **values: Any) -> None:
        self.scene.run(statement, **values)

    def miscounted(self) -> list[tuple[Any, ...]]:
        """Offers and counts that differ from what is held: what is counted, and how many there are."""
        with self.scene.begin() as session:
            return [tuple(row) for row in session.execute(_MISCOUNTED)]

    def act(self, act: str, login: str = "ann", **details: Any) -> None:
        """`pause`, `resume`, `takedown` and whatever else there is to do with a theme."""
        self.scene.act(act, login, key=THEME, **details)

    def end(self) -> None:
        self.scene.now = ENDS_AT
        with self.scene.begin() as session:
            launch.end_themes_that_are_over(session, now=ENDS_AT)


def offers_world(scene: Scene, *edits: tuple[str, str], many_codes: int = 5, launched: bool = True) -> OffersWorld:
    """The theme above with edits, its codes made; live since its start, and it is noon of its first day."""
    written = TEXT
    for old, new in edits:
        assert old in written, f"the theme has no {old!r}"
        written = written.replace(old, new, 1)
    guard_moves(scene.database, "held_coupons", MOVES)
    line_id = _stock(scene)
    scene.draft(written, templates={})
    made: Sequence[str] = ()
    with scene.begin() as session:
        codes.share(session, theme_key=THEME, offer="one-code", code=SHARED, by="test", now=scene.now)
        if many_codes:
            codes.generate(session, theme_key=THEME, offer="own-code", count=many_codes, by="test", now=scene.now)
            made = [one.text for one in codes.export(session, theme_key=THEME, offer="own-code")]
    world = OffersWorld(scene=scene, line_id=line_id, theme_id=scene.theme(THEME).id, codes=made)
    scene.submit(THEME)
    scene.approve_all(THEME)
    if launched:
        start(world)
    return world


@contextmanager
def world_to_copy(postgres: str, scenery: tuple[str, Scene], *edits: tuple[str, str]) -> Iterator[OffersWorld]:
    """A launched world for all tests of a module, each of which works in a copy of it (0.3 s instead of 1 s)."""
    filled, first = scenery
    with copy_of_database(postgres, filled) as database:
        made = offers_world(Scene(database=database, rules=first.rules, secrets=dict(first.secrets)), *edits)
        database.dispose()  # a database that somebody is connected to cannot be copied
        yield made


@contextmanager
def copy_of(postgres: str, made: OffersWorld) -> Iterator[OffersWorld]:
    """One that the test may do with as it likes."""
    with copy_of_database(postgres, name_of(made.scene.database), pool_size=34) as database:
        yield replace(made, scene=replace(made.scene, database=database, secrets=dict(made.scene.secrets)))


def start(world: OffersWorld) -> None:
    scene = world.scene
    with scene.begin() as session:
        planned = launch.launch_to_schedule(session, world.theme_id)
        assert planned is not None
        launch.schedule(session, launch=planned, run_id=uuid4(), now=scene.now)
    with scene.begin() as session:
        done = launch.start(
            session,
            theme_id=planned.theme_id,
            revision_id=planned.revision_id,
            grace=timedelta(minutes=5),
            now=STARTS_AT,
            flow_run_id=None,
        )
    assert done is StartOutcome.STARTED
    scene.now = NOON


def _stock(scene: Scene) -> int:
    with scene.begin() as session:
        line_id = session.scalars(select(Customer.product_line_id).limit(1)).one()
        session.add_all(
            Product(
                product_line_id=line_id,
                sku=sku,
                name=sku.upper(),
                category=category,
                unit_price_minor=price,
                cost_minor=cost,
                floor_minor=floor,
            )
            for sku, (category, price, cost, floor) in GOODS.items()
        )
    return line_id
