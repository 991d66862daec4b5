"""Presets of a marketing team's own that say how their coupons are claimed: nothing knows them by name."""

from collections.abc import Iterator

import pytest
import yaml

from models import database as db
from offers.claim_refusal import ClaimRefusal, ClaimRefused
from offers.code_refusal import CouponUnknown
from offers.presets import standard_catalogue
from offers.service import codes, orders, quotes
from offers.service.live_rules import RuleBook
from offers.service.presets import apply_presets
from offers.service.quotes import QuoteAsked
from offers.states import Source
from tests.integration.offers_world import NOON, THEME, OffersWorld, offers_world
from tests.integration.redemption_world import cart
from tests.integration.scene import MORNING, Scene
from tests.postgres import copy_of_database
from themes.theme import RedeemIn

#: Where the theme uses them, in the order in which it does.
NAMES = ("newcomer", "coupon_code", "coupon_code", "package", "consumption_triggered", "points_exchange")
EDITS = tuple((f"preset: {name}", f"preset: our_{name}") for name in NAMES)


def our_presets() -> str:
    """Those of the project under names that no line of the program has."""
    found = [standard_catalogue().presets[name].content() for name in dict.fromkeys(NAMES)]
    return yaml.safe_dump({"presets": [{**one, "preset": f"our_{one['preset']}"} for one in found]})


@pytest.fixture(scope="module")
def spring(postgres: str, scenery: tuple[str, Scene]) -> Iterator[OffersWorld]:
    filled, first = scenery
    with copy_of_database(postgres, filled) as database:
        scene = Scene(database=database, rules=first.rules, secrets=dict(first.secrets))
        with scene.begin() as session:
            apply_presets(session, text=our_presets(), where="ours.yaml", by="root", now=MORNING)
        yield offers_world(scene, *EDITS)


def why(world: OffersWorld, customer: str, offer: str) -> ClaimRefusal | None:
    refusal = world.claim(customer, offer).refusal
    return refusal.why if isinstance(refusal, ClaimRefused) else None


def test_points_pay_for_a_coupon(spring: OffersWorld) -> None:
    refused = spring.claim("c01", "points").refusal
    assert isinstance(refused, ClaimRefused)
    assert (refused.why, refused.points) == (ClaimRefusal.POINTS_MISSING, 500)
    assert spring.held_by("c01", "points", points="ledger-1").source is Source.POINTS


def test_only_newcomers_get_what_is_for_them(spring: OffersWorld) -> None:
    assert why(spring, "c01", "welcome") is ClaimRefusal.NOT_NEWCOMER
    assert why(spring, "c18", "welcome") is None


def test_a_code_is_needed_and_what_nobody_claims_has_none(spring: OffersWorld) -> None:
    assert why(spring, "c02", "own-code") is ClaimRefusal.CODE_NEEDED
    assert spring.held_by("c02", code=spring.codes[0]).source is Source.CODE
    with spring.scene.begin() as session, pytest.raises(CouponUnknown, match="no coupon 'thanks'"):
        codes.generate(session, theme_key=THEME, offer="thanks", count=1, by="test", now=NOON)


def test_a_package_gives_what_it_holds(spring: OffersWorld) -> None:
    given = spring.claim("c03", "set").coupons
    assert {(one.offer, one.source) for one in given} == {
        (f"{THEME}/{name}", Source.PACKAGE) for name in ("hot", "plain", "freight")
    }


def test_a_paid_order_brings_its_coupon_which_nobody_claims_and_which_goes_with_it(spring: OffersWorld) -> None:
    assert why(spring, "c04", "thanks") is ClaimRefusal.NOT_CLAIMABLE
    with spring.scene.begin() as session:
        (held,) = orders.order_paid(
            session,
            product_line_id=spring.line_id,
            order_number="o1",
            customer="c04",
            paid_minor=8_000,
            channel=RedeemIn.WEB,
            now=NOON,
        )
        assert (held.offer, held.source) == (f"{THEME}/thanks", Source.ORDER)
        line_id = spring.line_id
        assert orders.take_back_triggered(session, product_line_id=line_id, order_number="o1", now=NOON) == 1


def test_a_cart_is_offered_what_can_be_claimed_for_nothing(spring: OffersWorld) -> None:
    with spring.scene.begin() as session:
        asked = QuoteAsked(cart=cart(("tea", 2, 300)), channel=RedeemIn.APP, customer="c05")
        found = quotes.offers_for_cart(session, RuleBook(), asked, product_line_id=spring.line_id, now=NOON)
    claimable = {one.name.partition("/")[2] for one in found.offers if one.claimable}
    assert claimable == {"plain", "hot", "daily", "places", "tenth", "freight"}


def test_offers_that_were_live_before_keep_their_ways(spring: OffersWorld) -> None:
    """Up to the release before, ways were known by the names of the project's own presets."""
    scene, url = spring.scene, spring.scene.database.engine.url.render_as_string(hide_password=False)
    ways = "SELECT offer, claim_way, newcomers FROM live_offers ORDER BY offer"
    spring.change(
        "UPDATE revisions SET content = CAST(replace(CAST(content AS text), '\"our_', '\"') AS jsonb)"
        " WHERE theme_id = :theme",
        theme=spring.theme_id,
    )
    before = spring.rows(ways)
    assert {way for _, way, _ in before} == {None, "asking", "code", "package", "order", "points"}
    scene.database.dispose()
    db.downgrade(url, "0015")
    assert ("points", "points_exchange") in spring.rows("SELECT offer, preset FROM live_offers")
    scene.database.dispose()
    db.upgrade(url)
    assert spring.rows(ways) == before
