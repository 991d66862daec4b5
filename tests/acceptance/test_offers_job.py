"""Coupons from approval to refund, as a shop's server uses them: every count and every amount adds up."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from console.demo.shop import Bought, Refused, Shop
from models.queries import carts
from models.queries.carts import RealCart
from tests.acceptance.world import LINE, World, wait_until, world_of
from themes.service.finding import require_theme

pytestmark = pytest.mark.timeout(240)

KEY, SOON = "acc-offers", timedelta(seconds=12)
WORTH = 10_000  # minor units: enough for the coupon
TOTAL, BUDGET = 6, 10_000
COUPONS = [
    {
        "id": "twenty",
        "preset": "full_reduction",
        "name": "20 off from 100",
        "at": "100.00",
        "amount": "20.00",
        "total": TOTAL,
        "per_customer": 1,
        "valid": {"days": 14},
        "redeem_in": ["app"],
    },
    {"id": "parcel", "preset": "free_freight", "name": "Free delivery", "per_customer": 1},
]
ACTIVITIES = [
    {"id": "tenth", "preset": "discount", "name": "A tenth off", "percent": 10, "cap": "30.00", "budget": "100.00"}
]


@pytest.fixture(scope="module")
def world(installation: Any, tmp_path_factory: pytest.TempPathFactory) -> World:
    return world_of(installation.environment, tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def shop(installation: Any, world: World) -> Shop:
    made = world.cli.json("api-keys", "create", LINE, "--name", "acc-app", "--channel", "app", "--per-second", "200")
    return Shop(origin=installation.environment["THEMELINE_HTTP"], secret=made["secret"], name="acc")


@pytest.fixture(scope="module")
def live(world: World) -> World:
    """Approved by three people, and launched by the run that the last approval scheduled."""
    offers = {"coupons": COUPONS, "activities": ACTIVITIES, "exclusions": [["twenty", "tenth"]]}
    push = {"push": {"account": "acc-push", "title": "Offers", "body": "{{ coupon('twenty').name }}"}}
    file = world.theme_file(KEY, author="acc-ann", start=SOON, policy="acc-two", channels=push, **offers)
    world.draft(file, "acc-ann")
    world.sign("submit", KEY, "acc-ann")
    for login in ("acc-bob", "acc-carl", "acc-cyn"):
        world.answer(login, KEY)
    world.wait_for_state(KEY, "scheduled")
    return world


def customers(world: World) -> Sequence[RealCart]:
    with world.database.begin() as session:
        theme_id = require_theme(session, KEY).id
        return carts.of_addressed(session, theme_id=theme_id, at_least=WORTH, most=TOTAL + 2)


def done(told: Any) -> Any:
    assert not isinstance(told, Refused), told
    return told


def figures(world: World) -> tuple[dict[str, dict[str, Any]], dict[str, str], dict[str, Any]]:
    found = world.cli.json("offers", "figures", KEY)
    by_offer = {one["offer"]: one for one in found["offers"]}
    return by_offer, {goal["name"]: goal["reached"] for goal in found["goals"]}, found["orders"]


def off(bought: Sequence[Bought], offer: str) -> int:
    """What an offer took off these orders, goods and freight."""
    steps = [step for one in bought for step in one.price["steps"] if step["offer"] == f"{KEY}/{offer}"]
    return sum(sum(step["off"]) + step["freight_off"] for step in steps)


def used(one: Bought) -> bool:
    """Whether it used an offer of this theme; others of the product line may be live as well."""
    return any(name.startswith(f"{KEY}/") for name in one.price["applied"])


def all_of(one: Bought) -> list[Mapping[str, int]]:
    return [{"line": at, "qty": line["qty"]} for at, line in enumerate(one.cart["lines"])]


def test_coupons_of_a_theme_go_from_its_approval_to_refunds_and_every_count_and_amount_adds_up(
    live: World, shop: Shop
) -> None:
    early = shop.claim("12345", f"{KEY}/twenty")
    assert isinstance(early, Refused)  # approved, and not launched yet
    live.wait_for_state(KEY, "live")
    found: Sequence[RealCart] = wait_until("the audience", lambda: customers(live))
    assert len(found) == TOTAL + 2

    answers = [shop.claim(one.customer, f"{KEY}/twenty") for one in found]
    held = [one for one, answer in zip(found, answers, strict=True) if not isinstance(answer, Refused)]
    assert len(held) == TOTAL
    assert {answer.status for answer in answers if isinstance(answer, Refused)} == {409}
    assert isinstance(shop.claim(held[0].customer, f"{KEY}/twenty"), Refused)
    for one in held[:2]:
        done(shop.claim(one.customer, f"{KEY}/parcel"))

    placed: list[Bought] = [done(shop.buy(one.customer, one.lines)) for one in found]
    bought = [one for one in placed if used(one)]  # the activity stops once its budget is spent
    by_coupon = [one for one in bought if f"{KEY}/twenty" in one.price["applied"]]
    by_activity = [one for one in bought if f"{KEY}/tenth" in one.price["applied"]]
    assert by_coupon
    assert by_activity  # before its budget was spent, it took more off than the coupon
    assert not {one.order for one in by_coupon} & {one.order for one in by_activity}  # they exclude each other
    with_parcel = {one.customer for one in held[:2]}
    assert {one.customer for one in placed if f"{KEY}/parcel" in one.price["applied"]} == with_parcel

    offers, goals, orders = figures(live)
    assert goals["claims"] == str(TOTAL + 2)
    assert goals["orders"] == str(len(bought))
    assert orders["gmv"] == sum(one.price["payable"] for one in bought)
    for name in ("twenty", "parcel", "tenth"):
        assert offers[name]["spent"] == off(bought, name), name
    assert offers["tenth"]["spent"] <= BUDGET
    assert (offers["twenty"]["claimed"], offers["twenty"]["used"]) == (TOTAL, len(by_coupon))

    cancelled, returned, kept = by_coupon[0], by_activity[-1], [one for one in bought if one is not by_coupon[0]]
    done(shop.cancel(cancelled.order))
    assert isinstance(shop.send_back(cancelled.order, line=0, qty=1), Refused)
    whole = done(shop.post(f"/redemptions/{returned.order}/refunds", {"lines": all_of(returned)}))
    assert whole["goods"] + whole["freight"] == returned.price["payable"]
    again = done(shop.buy(cancelled.customer, cancelled.cart["lines"]))  # with the coupon that came back
    assert f"{KEY}/twenty" in again.price["applied"]

    offers, goals, orders = figures(live)
    assert orders == {
        **orders,
        "orders": len(kept) + 1,
        "gmv": sum(one.price["payable"] for one in [*kept, again]),
        "refunded": returned.price["payable"],
    }
    for name in ("twenty", "parcel", "tenth"):
        assert offers[name]["spent"] == off([*kept, again], name), name
    assert offers["twenty"]["used"] == len(by_coupon)


def test_same_order_twice_is_one_order_and_another_under_its_number_is_refused(live: World, shop: Shop) -> None:
    del live
    cart = {"lines": [{"qty": 1, "price": 500, "sku": "x"}], "freight": 0}
    asked = {"order": "acc-twice", "cart": cart, "payable": 500}
    first = done(shop.post("/redemptions", asked, key="twice"))
    assert shop.post("/redemptions", asked, key="twice") == first
    conflict = shop.post("/redemptions", {**asked, "payable": 400}, key="twice")
    assert isinstance(conflict, Refused)
    assert conflict.status == 409
    assert isinstance(shop.post("/redemptions", asked, key="thrice"), Refused)


def test_takedown_that_voids_takes_back_what_is_held_and_lets_nobody_claim_any_more(live: World, shop: Shop) -> None:
    found = customers(live)
    live.sign("takedown", KEY, "acc-sid", "--claimed", "void")
    refused = shop.claim(found[0].customer, f"{KEY}/parcel")
    assert isinstance(refused, Refused)
    assert "taken down" in refused.detail
    states = [one["state"] for one in coupons_of(shop, [one.customer for one in found])]
    assert set(states) <= {"used", "void"}
    assert states
    live.wait_for_state(KEY, "revoked")
    quoted = done(shop.post("/quotes", {"customer": found[0].customer, "cart": {"lines": list(found[0].lines)}}))
    assert not [name for name in quoted["applied"] if name.startswith(f"{KEY}/")]


def coupons_of(shop: Shop, names: Sequence[str]) -> list[Mapping[str, Any]]:
    return [one for name in names for one in shop.get(f"/customers/{name}/coupons")["coupons"]]
