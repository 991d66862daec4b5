"""Customers claim coupons: every kind, every refusal, and the same answer for the same key."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from models.queries import live_offers
from offers import code as codes
from offers.claim_refusal import ClaimRefusal, ClaimRefused
from offers.service import claims, orders
from offers.service.claims import Claim, Settled
from offers.service.kept_answers import KeyReused
from offers.service.terms import TermsBook
from offers.states import HeldState, Source
from tests.integration.offers_world import (
    ENDS_AT,
    MIDNIGHT,
    NEWCOMERS,
    NOON,
    SHARED,
    STARTS_AT,
    THEME,
    OffersWorld,
    asking,
    copy_of,
    fresh_key,
    offers_world,
    world_to_copy,
)
from tests.integration.scene import Scene
from themes.theme import RedeemIn

SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def spring(postgres: str, scenery: tuple[str, Scene]) -> Iterator[OffersWorld]:
    with world_to_copy(postgres, scenery) as made:
        yield made


@pytest.fixture
def world(postgres: str, spring: OffersWorld) -> Iterator[OffersWorld]:
    with copy_of(postgres, spring) as copied:
        yield copied


def why(settled: Settled) -> str | None:
    return settled.refusal.why.value if isinstance(settled.refusal, ClaimRefused) else None


def test_a_claimed_coupon_is_in_her_hands_and_counted(world: OffersWorld) -> None:
    held = world.held_by("c01", "hot", channel=RedeemIn.WEB)
    (row,) = world.coupons("hot")
    assert (row.customer_id, row.state, row.source, row.channel) == (
        world.customer_id("c01"),
        HeldState.ISSUED,
        Source.CLAIM,
        RedeemIn.WEB,
    )
    assert (held.id, held.offer, held.claimed_at) == (row.id, f"{THEME}/hot", NOON)
    assert (held.valid_from, held.valid_to) == (NOON, NOON + timedelta(days=14))  # so many days from the claim
    assert (row.valid_from, row.valid_to) == (held.valid_from, held.valid_to)
    assert world.offer("hot").claimed == 1
    assert world.miscounted() == []


def test_a_coupon_with_a_period_is_valid_in_it_whenever_it_was_claimed(world: OffersWorld) -> None:
    held = world.held_by("c01", "plain", at=NOON + timedelta(days=1))
    assert (held.valid_from, held.valid_to) == (STARTS_AT, ENDS_AT)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (STARTS_AT - SECOND, "not_open_yet"),
        (STARTS_AT, None),
        (ENDS_AT - SECOND, None),
        (ENDS_AT, "over"),
    ],
)
def test_coupons_are_claimable_from_the_start_to_the_end_of_their_period(
    world: OffersWorld, at: Any, expected: str | None
) -> None:
    assert why(world.claim("c01", "hot", at=at)) == expected


def test_nothing_is_claimable_before_the_launch(scene: Scene) -> None:
    world = offers_world(scene, launched=False)
    assert why(world.claim("c01", "hot")) == "offer_unknown"


def test_pause_end_and_takedown_stop_claims_and_resume_lets_them_go_on(world: OffersWorld) -> None:
    world.act("pause")
    assert why(world.claim("c01", "hot")) == "paused"
    world.act("resume")
    assert why(world.claim("c01", "hot")) is None
    world.end()
    assert why(world.claim("c02", "hot")) == "over"
    assert [one.state for one in world.coupons("hot")] == [HeldState.ISSUED]


def test_a_takedown_stops_claims(world: OffersWorld) -> None:
    world.change("UPDATE live_offers SET closed = 'taken_down'")
    assert why(world.claim("c01", "hot")) == "taken_down"


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        ("nothing", "offer_unknown"),
        ("other-theme/hot", "offer_unknown"),
        ("lamps", "not_claimable"),
        ("thanks", "not_claimable"),
        ("own-code", "code_needed"),
        ("one-code", "code_needed"),
        ("points", "points_missing"),
        ("welcome", "not_newcomer"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(world: OffersWorld, offer: str, expected: str) -> None:
    assert why(world.claim("c01", offer)) == expected
    assert world.coupons() == []


def test_somebody_unknown_gets_nothing(world: OffersWorld) -> None:
    assert why(world.claim("nobody", "hot")) == "customer_unknown"


def test_offers_customers_and_codes_of_another_product_line_are_not_known(world: OffersWorld) -> None:
    world.change("INSERT INTO product_lines (key, name, currency) VALUES ('other', 'Other', 'GBP')")
    (other,) = world.rows("SELECT id FROM product_lines WHERE key = 'other'")
    elsewhere = replace(world, line_id=other[0])
    found = elsewhere.settle([asking("c01", "hot"), asking("c01", code=world.codes[0]), asking("c01", code=SHARED)])
    assert [why(one) for one in found] == ["offer_unknown", "code_unknown", "code_unknown"]


def test_newcomers_are_those_without_an_order_kept_or_a_redemption(world: OffersWorld) -> None:
    assert why(world.claim(NEWCOMERS[0], "welcome")) is None
    world.change(
        "INSERT INTO redemptions (product_line_id, order_number, customer_id, channel, state, cart, rules, list_minor,"
        " freight_list_minor, discount_minor, freight_discount_minor, payable_minor, new_customer, redeemed_at)"
        " VALUES (:line, 'o1', :customer, 'app', 'redeemed', '{}', '[]', 0, 0, 0, 0, 0, true, now())",
        line=world.line_id,
        customer=world.customer_id(NEWCOMERS[1]),
    )
    assert why(world.claim(NEWCOMERS[1], "welcome")) == "not_newcomer"
    world.change("UPDATE redemptions SET state = 'cancelled'")
    assert why(world.claim(NEWCOMERS[1], "welcome")) is None
    world.change("UPDATE orders SET kept = false WHERE customer_id = :id", id=world.customer_id("c01"))
    assert why(world.claim("c01", "welcome")) is None


def test_limits_of_a_person_of_a_day_and_of_a_channel_hold_one_beside_the_other(world: OffersWorld) -> None:
    tomorrow = MIDNIGHT
    assert [why(world.claim("c01", "daily")) for _ in range(2)] == [None, "personal_day_limit"]
    assert [why(world.claim(one, "daily")) for one in ("c02", "c03", "c04")] == [None, None, "day_limit"]
    assert why(world.claim("c01", "daily", at=tomorrow - SECOND)) == "personal_day_limit"
    assert why(world.claim("c01", "daily", at=tomorrow)) is None
    assert why(world.claim("c04", "daily", at=tomorrow)) is None
    assert why(world.claim("c01", "daily", at=tomorrow + timedelta(days=1))) is None
    assert why(world.claim("c01", "daily", at=tomorrow + timedelta(days=2))) == "personal_limit"
    app, web, store = RedeemIn.APP, RedeemIn.WEB, RedeemIn.STORE
    through = [why(world.claim("c05", "places", channel=one)) for one in (app, app, app, web, web, store, store)]
    assert through == [None, None, "channel_limit", None, "channel_limit", None, None]
    assert world.miscounted() == []


def test_a_coupon_whose_budget_is_spent_is_not_given_any_more(world: OffersWorld) -> None:
    world.change("UPDATE live_offers SET spent_minor = 1000 WHERE offer = 'tenth'")
    assert why(world.claim("c01", "tenth")) == "budget_spent"


def test_a_code_brings_its_coupon_to_one_person_however_it_is_typed(world: OffersWorld) -> None:
    code = world.codes[0]
    (held,) = world.claim("c01", code=code.lower().replace("-", " ").replace("0", "o")).coupons
    assert (held.offer, held.source) == (f"{THEME}/own-code", Source.CODE)
    (row,) = world.coupons("own-code")
    assert row.code == codes.number_of(code)
    assert world.rows("SELECT held_id FROM codes WHERE number = :number", number=row.code) == [(row.id,)]
    assert why(world.claim("c02", code=code)) == "code_taken"
    assert why(world.claim("c01", code=world.codes[1])) == "personal_limit"
    free = world.rows("SELECT count(*) FROM codes WHERE held_id IS NULL")
    assert free == [(4,)]  # the refused claim used none up


def test_a_code_that_a_message_carries_is_for_its_recipient_alone(world: OffersWorld) -> None:
    number = codes.number_of(world.codes[0])
    world.change("UPDATE codes SET customer_id = :id WHERE number = :n", id=world.customer_id("c02"), n=number)
    assert why(world.claim("c01", code=world.codes[0])) == "code_taken"
    assert why(world.claim("c02", code=world.codes[0])) is None


def test_what_is_no_code_or_the_code_of_another_offer_is_not_known(world: OffersWorld) -> None:
    mistyped = world.codes[0][:-1] + ("A" if world.codes[0][-1] != "A" else "B")
    unused = codes.written(1)
    found = [why(world.claim("c01", code=code)) for code in (mistyped, unused, "WINTER20", "-", "SPRING2O")]
    assert found == ["code_unknown", "code_unknown", "code_unknown", "code_unknown", None]  # O is taken for 0
    assert why(world.claim("c01", "hot", code=world.codes[0])) == "code_unknown"


def test_one_code_for_all_brings_each_her_coupon_within_its_limits(world: OffersWorld) -> None:
    found = [why(world.claim(f"c{n:02}", code="spring 20")) for n in (1, 2, 3, 3, 4, 5, 6)]
    assert found == [None, None, None, "personal_limit", None, None, "sold_out"]
    assert {one.code for one in world.coupons("one-code")} == {None}
    assert {one.source for one in world.coupons("one-code")} == {Source.CODE}


def test_any_coupon_may_have_codes_and_is_claimed_without_one_as_well(world: OffersWorld) -> None:
    with world.scene.begin() as session:
        from offers.service import codes as pools  # noqa: PLC0415 - beside the pure module of that name

        pools.generate(session, theme_key=THEME, offer="plain", count=1, by="test", now=NOON)
        (made,) = [one.text for one in pools.export(session, theme_key=THEME, offer="plain")]
    assert world.held_by("c01", "plain").source is Source.CLAIM
    assert world.held_by("c01", "plain", code=made).source is Source.CODE


def test_points_buy_a_coupon_once(world: OffersWorld) -> None:
    refused = world.claim("c01", "points").refusal
    assert isinstance(refused, ClaimRefused)
    assert (refused.why, refused.points) == (ClaimRefusal.POINTS_MISSING, 500)
    held = world.held_by("c01", "points", points="ledger-7")
    assert held.source is Source.POINTS
    assert why(world.claim("c02", "points", points="ledger-7")) == "points_used"
    twice = world.settle([asking("c02", "points", points="ledger-8"), asking("c03", "points", points="ledger-8")])
    assert [why(one) for one in twice] == [None, "points_used"]


def test_a_receipt_for_points_means_nothing_to_a_coupon_that_costs_none(world: OffersWorld) -> None:
    found = world.settle([asking("c01", "plain", points="same"), asking("c02", "plain", points="same")])
    assert [why(one) for one in found] == [None, None]


def test_a_package_gives_one_of_each_of_its_coupons_and_counts_itself_and_them(world: OffersWorld) -> None:
    settled = world.claim("c01", "set")
    assert [one.offer for one in settled.coupons] == [f"{THEME}/{name}" for name in ("freight", "hot", "plain")]
    assert {(one.source, one.package) for one in settled.coupons} == {(Source.PACKAGE, f"{THEME}/set")}
    assert {one.package for one in world.coupons()} == {"set"}
    assert [world.offer(name).claimed for name in ("set", "hot", "plain", "freight")] == [1, 1, 1, 1]
    assert why(world.claim("c01", "set")) == "personal_limit"
    assert why(world.claim("c01", "hot")) == "personal_limit"  # she has it from the package
    assert world.miscounted() == []


def test_a_package_is_refused_whole_when_one_of_its_coupons_cannot_be_had(world: OffersWorld) -> None:
    world.held_by("c01", "hot")
    refused = world.claim("c01", "set").refusal
    assert isinstance(refused, ClaimRefused)
    assert (refused.why, refused.offer) == (ClaimRefusal.PERSONAL_LIMIT, f"{THEME}/hot")
    assert [world.offer(name).claimed for name in ("set", "hot", "plain", "freight")] == [0, 1, 0, 0]
    assert world.rows("SELECT count(*) FROM offer_counts c JOIN live_offers o ON o.id = c.offer_id"
                      " WHERE o.offer = 'set'") == [(0,)]  # fmt: skip


def test_of_two_revisions_the_one_that_was_launched_last_is_claimed(world: OffersWorld) -> None:
    world.change(
        "WITH made AS (INSERT INTO revisions (theme_id, number, hash, theme_hash, offer_hashes, content, created_by_id,"
        " created_at) SELECT theme_id, number + 1, 'h', 'h', '{}', content, created_by_id, created_at FROM revisions"
        " RETURNING id) INSERT INTO live_offers (theme_id, revision_id, product_line_id, offer, kind, claim_way,"
        " newcomers, timezone, claim_from, claim_to, valid_days, opened_at) SELECT theme_id, made.id, product_line_id,"
        " offer, kind, claim_way, newcomers, timezone, claim_from, claim_to, 1, opened_at FROM live_offers, made"
    )
    world.change("UPDATE live_offers SET closed = 'taken_down' WHERE id <= (SELECT max(id) / 2 FROM live_offers)")
    assert world.held_by("c01", "hot").valid_to == NOON + timedelta(days=1)
    assert [one.valid_to for one in world.claim("c02", "set").coupons] == [NOON + timedelta(days=1)] * 3


def settled_by(world: OffersWorld, book: TermsBook, *asked: Claim, at: datetime = NOON) -> Sequence[str | None]:
    with world.scene.begin() as session:
        return [why(one) for one in claims.settle(session, asked, product_line_id=world.line_id, now=at, book=book)]


def reads_of_terms(world: OffersWorld, book: TermsBook, *asked: Claim) -> int:
    seen: list[str] = []

    def note(*values: Any) -> None:
        seen.extend(line for line in [values[2]] if "WITH asked" in line)

    event.listen(world.scene.database.engine, "before_cursor_execute", note)
    settled_by(world, book, *asked)
    event.remove(world.scene.database.engine, "before_cursor_execute", note)
    return len(seen)


def test_what_offers_allow_is_read_once_and_again_when_offers_were_opened_or_closed(world: OffersWorld) -> None:
    book = TermsBook()
    assert reads_of_terms(world, book, asking("c01", "hot"), asking("c01", "set")) == 1
    assert reads_of_terms(world, book, asking("c02", "set"), asking("c02", "hot")) == 0
    assert reads_of_terms(world, book, asking("c02", "plain")) == 1  # and is held beside the others
    assert reads_of_terms(world, book, asking("c03", "plain"), asking("c03", "set")) == 0
    assert reads_of_terms(world, book, asking("c01", "nothing")) == 1
    assert reads_of_terms(world, book, asking("c02", "nothing")) == 1  # names that somebody tries out would fill it
    world.act("pause")
    assert reads_of_terms(world, book, asking("c04", "hot")) == 1


def test_what_is_held_of_offers_outlives_no_pause_no_takedown_and_no_resume(world: OffersWorld) -> None:
    book = TermsBook()
    assert settled_by(world, book, asking("c01", "plain"), asking("c01", "set")) == [None, None]
    world.act("pause")
    assert settled_by(world, book, asking("c02", "plain"), asking("c02", "set")) == ["paused", "paused"]
    world.act("resume")
    assert settled_by(world, book, asking("c02", "plain"), asking("c02", "set")) == [None, None]
    world.act("takedown", "bob", claimed="honour")
    assert settled_by(world, book, asking("c03", "plain"), asking("c03", "set")) == ["taken_down", "taken_down"]


def test_an_offer_that_closes_before_anybody_hears_of_it_is_not_given_by_what_is_held(world: OffersWorld) -> None:
    book = TermsBook()
    assert settled_by(world, book, asking("c01", "hot")) == [None]
    world.change("UPDATE live_offers SET closed = 'taken_down'")  # and no version counts it
    assert settled_by(world, book, asking("c02", "hot")) == ["taken_down"]


def test_limits_of_a_revision_that_is_launched_later_take_the_place_of_those_that_are_held(world: OffersWorld) -> None:
    book = TermsBook()
    assert settled_by(world, book, asking("c01", "hot"), asking("c01", "nothing")) == [None, "offer_unknown"]
    world.change(
        "WITH made AS (INSERT INTO revisions (theme_id, number, hash, theme_hash, offer_hashes, content, created_by_id,"
        " created_at) SELECT theme_id, number + 1, 'h', 'h', '{}', content, created_by_id, created_at FROM revisions"
        " RETURNING id) INSERT INTO live_offers (theme_id, revision_id, product_line_id, offer, kind, claim_way,"
        " newcomers, timezone, claim_from, claim_to, valid_days, total, opened_at) SELECT theme_id, made.id,"
        " product_line_id, offer, kind, claim_way, newcomers, timezone, claim_from, claim_to, 1, 1, opened_at"
        " FROM live_offers, made WHERE offer = 'hot'"
    )
    with world.scene.begin() as session:
        live_offers.changed(session, product_line_id=world.line_id)
    assert settled_by(world, book, asking("c02", "hot"), asking("c03", "hot")) == [None, "sold_out"]
    assert world.coupons("hot")[-1].valid_to == NOON + timedelta(days=1)


def test_what_is_held_of_one_product_line_means_nothing_to_another(world: OffersWorld) -> None:
    book = TermsBook()
    assert settled_by(world, book, asking("c01", "hot")) == [None]
    world.change("INSERT INTO product_lines (key, name, currency) VALUES ('other', 'other', 'GBP')")
    other = replace(world, line_id=world.rows("SELECT id FROM product_lines WHERE key = 'other'")[0][0])
    assert settled_by(other, book, asking("c01", "hot")) == ["offer_unknown"]


def test_the_same_key_with_the_same_content_gets_the_stored_answer(world: OffersWorld) -> None:
    claim = asking("c01", "hot")
    first, again = world.settle([claim])[0], world.settle([claim], at=ENDS_AT)[0]
    assert (first.again, again.again) == (False, True)
    assert again.coupons == first.coupons
    assert len(world.coupons()) == 1


def test_a_refusal_is_kept_as_well(world: OffersWorld) -> None:
    claim = asking("c01", "hot")
    world.act("pause")
    assert why(world.settle([claim])[0]) == "paused"
    world.act("resume")
    assert why(world.settle([claim])[0]) == "paused"
    assert why(world.settle([replace(claim, key=fresh_key())])[0]) is None


def test_the_same_key_with_other_content_is_a_conflict_and_changes_nothing(world: OffersWorld) -> None:
    claim = asking("c01", "hot")
    world.settle([claim])
    (refused,) = world.settle([replace(asking("c02", "hot"), key=claim.key)])
    assert isinstance(refused.refusal, KeyReused)
    assert len(world.coupons()) == 1


def test_one_key_twice_in_a_batch_is_one_claim_and_with_other_content_a_conflict(world: OffersWorld) -> None:
    claim = asking("c01", "plain")
    other = replace(asking("c02", "plain"), key=claim.key)
    first, again, refused, repeated = world.settle([claim, replace(claim), other, claim])
    assert (first.again, again.again, repeated.again) == (False, True, True)
    assert first.coupons == again.coupons == repeated.coupons
    assert isinstance(refused.refusal, KeyReused)
    assert len(world.coupons()) == 1


def test_a_key_of_another_verb_is_a_conflict(world: OffersWorld) -> None:
    world.change(
        "INSERT INTO kept_answers (product_line_id, key, request_hash, answer, made_at)"
        " VALUES (:line, 'k', 'of another verb', '{\"status\": 200, \"body\": {}}', now())",
        line=world.line_id,
    )
    (refused,) = world.settle([asking("c01", "hot", key="k")])
    assert isinstance(refused.refusal, KeyReused)


def test_keys_of_two_product_lines_have_nothing_to_do_with_each_other(world: OffersWorld) -> None:
    world.change("INSERT INTO product_lines (key, name, currency) VALUES ('other', 'Other', 'GBP')")
    (other,) = world.rows("SELECT id FROM product_lines WHERE key = 'other'")
    claim = asking("c01", "hot")
    world.settle([claim])
    (elsewhere,) = replace(world, line_id=other[0]).settle([claim])
    assert (why(elsewhere), elsewhere.again) == ("offer_unknown", False)


def test_a_bad_claim_leaves_the_others_of_its_batch_alone_and_answers_come_in_the_order_asked(
    world: OffersWorld,
) -> None:
    batch = [
        asking("c01", "hot"),
        asking("nobody", "hot"),
        asking("c01", "hot"),
        asking("c02", "nothing"),
        asking("c02", "hot"),
        asking("c03", code="rubbish"),
        asking("c03", "set"),
    ]
    assert [why(one) for one in world.settle(batch)] == [
        None, "customer_unknown", "personal_limit", "offer_unknown", None, "code_unknown", None,
    ]  # fmt: skip
    assert world.offer("hot").claimed == 3
    assert world.miscounted() == []


def test_earlier_claims_of_a_batch_come_first(world: OffersWorld) -> None:
    world.change("UPDATE live_offers SET total = 2 WHERE offer = 'hot'")
    found = world.settle([asking(name, "hot") for name in ("c05", "c03", "c04", "c01")])
    assert [why(one) for one in found] == [None, None, "sold_out", "sold_out"]


def test_an_empty_batch_is_no_work(world: OffersWorld) -> None:
    assert world.settle([]) == []


def test_a_batch_takes_as_many_statements_as_a_single_claim(world: OffersWorld) -> None:
    def statements(batch: list[Claim]) -> int:
        seen: list[str] = []

        def note(*values: Any) -> None:
            seen.append(values[2])

        event.listen(world.scene.database.engine, "before_cursor_execute", note)
        world.settle(batch)
        event.remove(world.scene.database.engine, "before_cursor_execute", note)
        return len(seen)

    def one_of_each(customer: str, number: int) -> list[Claim]:
        return [
            *(asking(customer, offer) for offer in ("hot", "plain", "daily", "places", "welcome", "set", "nothing")),
            asking(customer, "points", points=f"receipt-{number}"),
            asking(customer, code=world.codes[number % 5]),
            asking(customer, code=SHARED),
        ]

    people = world.more_customers(51)
    few = statements(one_of_each(people[0], 0))
    many = statements([claim for number, one in enumerate(people[1:]) for claim in one_of_each(one, number + 1)])
    assert few == many <= 18
    assert world.miscounted() == []


def paid(world: OffersWorld, order: str = "o1", customer: str = "c01", amount: int = 8_000, **more: Any) -> Any:
    with world.scene.begin() as session:
        return orders.order_paid(
            session,
            product_line_id=world.line_id,
            order_number=order,
            customer=customer,
            paid_minor=amount,
            channel=RedeemIn.WEB,
            now=more.get("at", NOON),
        )


def take_back(world: OffersWorld, order: str = "o1") -> int:
    with world.scene.begin() as session:
        return orders.take_back_triggered(session, product_line_id=world.line_id, order_number=order, now=NOON)


def test_a_paid_order_brings_its_coupon_once_however_often_it_is_told(world: OffersWorld) -> None:
    assert paid(world, amount=7_999) == []
    (held,) = paid(world)
    assert (held.offer, held.source, held.valid_to) == (f"{THEME}/thanks", Source.ORDER, NOON + timedelta(days=30))
    assert paid(world) == [held]
    assert len(paid(world, "o2")) == 1
    assert world.offer("thanks").claimed == 2
    assert world.miscounted() == []


def test_what_orders_bring_ends_with_its_limits_and_with_the_theme(world: OffersWorld) -> None:
    assert [len(paid(world, f"o{number}")) for number in range(6)] == [1, 1, 1, 1, 0, 0]
    world.change("UPDATE live_offers SET total = NULL WHERE offer = 'thanks'")
    world.act("pause")
    assert paid(world, "later") == []
    world.act("resume")
    assert paid(world, "later", at=ENDS_AT) == []
    assert len(paid(world, "later")) == 1


def test_an_order_of_somebody_unknown_brings_nothing_and_says_so(world: OffersWorld) -> None:
    with pytest.raises(ClaimRefused) as refused:
        paid(world, customer="nobody")
    assert refused.value.why is ClaimRefusal.CUSTOMER_UNKNOWN


def test_what_an_order_brought_goes_with_it_unless_it_was_used(world: OffersWorld) -> None:
    for order, ways in (("o1", ()), ("o2", ("used",)), ("o3", ("used", "returned")), ("o4", ("locked",))):
        paid(world, order)
        for state in ways:
            world.change(
                "UPDATE held_coupons SET state = :state, locked_for = CASE WHEN :state = 'locked' THEN 'x' END"
                " WHERE trigger_order = :order",
                state=state,
                order=order,
            )
    assert [take_back(world, order) for order in ("o1", "o2", "o3", "o4", "o1", "unknown")] == [1, 0, 1, 1, 0, 0]
    states = [one.state for one in world.coupons("thanks")]
    assert states == [HeldState.VOID, HeldState.USED, HeldState.VOID, HeldState.VOID]
    assert world.offer("thanks").claimed == 4  # what was given stays counted


def test_an_order_that_was_cancelled_before_it_was_told_as_paid_brings_nothing(world: OffersWorld) -> None:
    world.change(
        "INSERT INTO redemptions (product_line_id, order_number, channel, state, cart, rules, list_minor,"
        " freight_list_minor, discount_minor, freight_discount_minor, payable_minor, new_customer, redeemed_at)"
        " VALUES (:line, 'o1', 'app', 'cancelled', '{}', '[]', 0, 0, 0, 0, 0, false, now())",
        line=world.line_id,
    )
    assert paid(world) == []
