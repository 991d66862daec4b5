"""The offers of a theme follow it: open at launch, closed by pause, end and takedown."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from models.customer import Customer
from models.offer import HeldCoupon, LiveOffer
from models.product_line import ProductLine
from offers.states import Closed, HeldState, Source
from tests.integration.scene import ENDS_AT, KEY, STARTS_AT, Scene, copied, theme_text
from themes.service import launch
from themes.service.launch import StartOutcome

LIMITS = """    total: 500
    per_customer: 2
    per_day: 200
    per_customer_day: 1
    per_channel: {app: 100, web: 50}
    budget: "1500.00"
    given_back: false
    refund: repriced
"""
LIMITED = ("    total: 500\n    per_customer: 1\n", LIMITS)


@pytest.fixture(scope="module")
def launched(scene_of_module: Scene) -> Scene:
    scene = scene_of_module
    scene.draft(theme_text(LIMITED))
    scene.submit()
    scene.approve_all()
    start(scene)
    return scene


@pytest.fixture
def live(postgres: str, launched: Scene) -> Iterator[Scene]:
    with copied(postgres, launched) as scene:
        yield scene


def start(scene: Scene) -> None:
    with scene.begin() as session:
        planned = launch.launch_to_schedule(session, scene.theme().id)
        assert planned is not None
        launch.schedule(session, launch=planned, run_id=uuid4(), now=scene.now)
    scene.now = STARTS_AT
    with scene.begin() as session:
        done = launch.start(
            session,
            theme_id=planned.theme_id,
            revision_id=planned.revision_id,
            grace=timedelta(minutes=5),
            now=scene.now,
            flow_run_id=None,
        )
    assert done is StartOutcome.STARTED


def live_offers(scene: Scene) -> dict[str, LiveOffer]:
    with scene.begin() as session:
        return {one.offer: one for one in session.scalars(select(LiveOffer))}


def closed(scene: Scene) -> set[Closed | None]:
    return {one.closed for one in live_offers(scene).values()}


def version(scene: Scene) -> int:
    with scene.begin() as session:
        return session.scalars(select(ProductLine.offers_version)).one()


def hold(scene: Scene, state: HeldState, **more: Any) -> int:
    """A coupon in somebody's hands."""
    with scene.begin() as session:
        coupon = HeldCoupon(
            offer_id=live_offers(scene)["women-20-off-100"].id,
            customer_id=session.scalars(select(Customer.id).limit(1)).one(),
            state=state,
            source=Source.CLAIM,
            claimed_at=scene.now,
            valid_from=scene.now,
            valid_to=scene.now + timedelta(days=14),
            changed_at=scene.now,
            **more,
        )
        session.add(coupon)
        session.flush()
        return coupon.id


def test_offers_are_opened_by_the_launch_with_the_limits_of_the_approved_revision(live: Scene) -> None:
    offers = live_offers(live)
    assert offers.keys() == {"women-20-off-100", "first-parcel-free", "tea-lights-3-for-2"}
    coupon, parcel, activity = (
        offers[name] for name in ("women-20-off-100", "first-parcel-free", "tea-lights-3-for-2")
    )
    limits = (coupon.total, coupon.per_customer, coupon.per_day, coupon.per_customer_day, coupon.budget_minor)
    assert limits == (500, 2, 200, 1, 150_000)
    assert coupon.per_channel == {"app": 100, "web": 50}
    assert (coupon.claim_from, coupon.valid_days, coupon.valid_to) == (STARTS_AT, 14, None)
    assert (parcel.claim_from, parcel.claim_to) == (STARTS_AT, ENDS_AT)
    assert (activity.claim_from, activity.valid_from, activity.valid_to) == (None, STARTS_AT, ENDS_AT)
    assert closed(live) == {None}


def test_a_theme_has_no_live_offers_before_its_launch(asked: Scene) -> None:
    asked.approve_all()
    assert live_offers(asked) == {}
    assert version(asked) == 0


def test_pause_closes_what_resume_opens_again_and_counts_stay(live: Scene) -> None:
    with live.begin() as session:
        session.scalars(select(LiveOffer).where(LiveOffer.offer == "women-20-off-100")).one().claimed = 7
    before = version(live)
    live.act("pause", "ann")
    assert closed(live) == {Closed.PAUSED}
    live.act("resume", "ann")
    assert closed(live) == {None}
    assert live_offers(live)["women-20-off-100"].claimed == 7
    assert version(live) == before + 2


def test_the_end_of_a_theme_closes_its_offers_and_leaves_what_customers_hold(live: Scene) -> None:
    held = hold(live, HeldState.ISSUED)
    live.now = ENDS_AT
    with live.begin() as session:
        launch.end_themes_that_are_over(session, now=live.now)
    assert closed(live) == {Closed.ENDED}
    assert states(live)[held] is HeldState.ISSUED


def states(scene: Scene) -> dict[int, HeldState]:
    with scene.begin() as session:
        return {one.id: one.state for one in session.scalars(select(HeldCoupon))}


@pytest.mark.parametrize(
    ("claimed", "issued", "locked"),
    [("honour", HeldState.ISSUED, HeldState.LOCKED), ("void", HeldState.VOID, HeldState.VOID)],
)
def test_a_takedown_closes_offers_and_honours_or_voids_what_is_not_used(
    live: Scene, claimed: str, issued: HeldState, locked: HeldState
) -> None:
    until = live.now + timedelta(minutes=15)
    held = [
        hold(live, HeldState.ISSUED),
        hold(live, HeldState.LOCKED, locked_for="order 1", locked_until=until),
        hold(live, HeldState.RETURNED),
        hold(live, HeldState.USED),
        hold(live, HeldState.EXPIRED),
    ]
    live.act("takedown", "bob", claimed=claimed)
    returned = HeldState.VOID if claimed == "void" else HeldState.RETURNED
    assert closed(live) == {Closed.TAKEN_DOWN}
    found = states(live)
    assert [found[one] for one in held] == [issued, locked, returned, HeldState.USED, HeldState.EXPIRED]


def test_a_theme_that_was_missed_opens_its_offers_when_a_person_launches_it(asked: Scene) -> None:
    asked.approve_all()
    with asked.begin() as session:
        planned = launch.launch_to_schedule(session, asked.theme().id)
        assert planned is not None
        launch.schedule(session, launch=planned, run_id=uuid4(), now=asked.now)
    asked.now = STARTS_AT + timedelta(hours=2)
    with asked.begin() as session:
        assert launch.miss_late_starts(session, grace=timedelta(minutes=5), now=asked.now) == [KEY]
    assert live_offers(asked) == {}
    asked.act("launch now", "ann")
    assert closed(asked) == {None}
