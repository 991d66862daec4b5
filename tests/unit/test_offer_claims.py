"""Who gets a coupon, and what a claim is answered."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offers.claim_answer import Settled, answer_of, settled_of
from offers.claim_refusal import ClaimMalformed, ClaimRefusal, ClaimRefused
from offers.claim_rules import Bucket, Standing, Stock, TakenCode, Terms, Wish
from offers.held import HeldCouponView
from offers.preset import ClaimWay
from offers.service.claims import Claim
from offers.service.kept_answers import KeyReused
from offers.states import Closed, HeldState, Source
from themes.theme import RedeemIn

NOON = datetime(2027, 3, 6, 4, tzinfo=UTC)
DAY = timedelta(days=1)


def terms(offer_id: int = 1, **more: Any) -> Terms:
    values: dict[str, Any] = {
        "id": offer_id,
        "theme": "spring",
        "theme_id": 1,
        "offer": f"offer-{offer_id}",
        "claim_way": ClaimWay.ASKING,
        "newcomers": False,
        "timezone": "Asia/Shanghai",
        "claim_from": NOON - DAY,
        "claim_to": NOON + DAY,
        "valid_from": NOON - DAY,
        "valid_to": NOON + DAY,
        "valid_days": None,
        "total": None,
        "per_customer": None,
        "per_day": None,
        "per_customer_day": None,
        "per_channel": {},
        "budget_minor": None,
        "parameters": {},
    }
    return Terms(**values | more)


def wish(*offers: Terms, customer: int = 7, channel: str = "app", **more: Any) -> Wish:
    return Wish(offers=offers, customer_id=customer, channel=channel, source=Source.CLAIM, **more)


def stock(*offers: Terms, now: datetime = NOON, **more: Any) -> Stock:
    values: dict[str, Any] = {
        "standing": {one.id: Standing(None, 0, 0) for one in offers},
        "counts": {},
        "codes": {},
        "used_points": set(),
        "buyers": frozenset(),
    }
    return Stock(now=now, **values | more)


def why(refused: ClaimRefused | None) -> ClaimRefusal | None:
    return None if refused is None else refused.why


@pytest.mark.parametrize(
    ("of_terms", "closed", "expected"),
    [
        ({}, None, None),
        ({}, Closed.PAUSED, ClaimRefusal.PAUSED),
        ({}, Closed.ENDED, ClaimRefusal.OVER),
        ({}, Closed.TAKEN_DOWN, ClaimRefusal.TAKEN_DOWN),
        ({"claim_from": NOON + timedelta(microseconds=1)}, None, ClaimRefusal.NOT_OPEN_YET),
        ({"claim_from": NOON}, None, None),
        ({"claim_to": NOON}, None, ClaimRefusal.OVER),  # up to, but not including
        ({"valid_to": NOON}, None, ClaimRefusal.OVER),  # nobody could use it
        ({"claim_from": None, "claim_to": None}, None, ClaimRefusal.NOT_CLAIMABLE),
    ],
)
def test_a_coupon_is_given_while_its_offer_is_open(
    of_terms: dict[str, Any], closed: Closed | None, expected: ClaimRefusal | None
) -> None:
    asked = terms(**of_terms)
    assert why(stock(asked, standing={1: Standing(closed, 0, 0)}).take(wish(asked))) is expected


def test_a_coupon_in_a_package_is_given_whenever_the_package_is() -> None:
    package = terms(1, claim_way=ClaimWay.PACKAGE)
    not_yet = terms(2, claim_from=NOON + DAY, claim_to=NOON + 2 * DAY)
    no_more = terms(3, claim_from=NOON - 2 * DAY, claim_to=NOON - DAY)
    assert stock(package, not_yet, no_more).take(wish(package, not_yet, no_more)) is None


def test_a_package_is_given_whole_or_not_at_all_and_the_refusal_names_the_coupon_in_the_way() -> None:
    package, plenty, one_left = terms(1, claim_way=ClaimWay.PACKAGE, total=10), terms(2, total=10), terms(3, total=1)
    left = stock(package, plenty, one_left)
    asked = wish(package, plenty, one_left)
    assert [one.id for one in asked.given] == [2, 3]
    assert left.take(asked) is None
    refused = left.take(asked)
    assert refused is not None
    assert (refused.why, refused.offer) == (ClaimRefusal.SOLD_OUT, "spring/offer-3")
    assert left.taken == {1: 1, 2: 1, 3: 1}


def test_days_begin_where_the_theme_is_at_home() -> None:
    asked = terms(per_day=1)
    first = stock(asked, now=datetime(2027, 3, 6, 15, 59, tzinfo=UTC))
    assert first.take(wish(asked)) is None
    (bucket,) = first.counted
    assert bucket == Bucket(1, 0, date(2027, 3, 6), "")
    after_midnight = stock(asked, now=datetime(2027, 3, 6, 16, tzinfo=UTC), counts={bucket: 1})
    assert after_midnight.take(wish(asked)) is None
    assert why(stock(asked, now=datetime(2027, 3, 6, 15, 59, tzinfo=UTC), counts={bucket: 1}).take(wish(asked))) is (
        ClaimRefusal.DAY_LIMIT
    )


def test_what_the_person_has_had_is_told_before_what_is_left_for_all() -> None:
    asked = terms(total=1, per_customer=1)
    left = stock(asked)
    assert left.take(wish(asked)) is None
    assert why(left.take(wish(asked))) is ClaimRefusal.PERSONAL_LIMIT
    assert why(left.take(wish(asked, customer=8))) is ClaimRefusal.SOLD_OUT


def test_what_was_claimed_before_is_part_of_the_total() -> None:
    asked = terms(total=3)
    left = stock(asked, standing={1: Standing(None, 2, 0)})
    assert [why(left.take(wish(asked))) for _ in range(2)] == [None, ClaimRefusal.SOLD_OUT]


def test_nothing_is_given_of_an_offer_whose_budget_is_spent() -> None:
    asked = terms(budget_minor=1_000)
    assert stock(asked, standing={1: Standing(None, 0, 999)}).take(wish(asked)) is None
    refused = stock(asked, standing={1: Standing(None, 0, 1_000)}).take(wish(asked))
    assert why(refused) is ClaimRefusal.BUDGET_SPENT


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (TakenCode(None, None), None),
        (TakenCode(7, None), None),
        (TakenCode(8, None), ClaimRefusal.CODE_TAKEN),
        (TakenCode(None, 1), ClaimRefusal.CODE_TAKEN),
        (TakenCode(7, 1), ClaimRefusal.CODE_TAKEN),
        (None, ClaimRefusal.CODE_UNKNOWN),
    ],
)
def test_a_code_is_for_whoever_comes_first_or_for_the_one_whose_message_carries_it(
    code: TakenCode | None, expected: ClaimRefusal | None
) -> None:
    asked = terms()
    left = stock(asked, codes={} if code is None else {5: code})
    assert why(left.take(wish(asked, code=5))) is expected


def test_of_two_who_bring_one_code_the_first_gets_the_coupon() -> None:
    asked = terms()
    left = stock(asked, codes={5: TakenCode(None, None)})
    assert left.take(wish(asked, code=5)) is None
    assert why(left.take(wish(asked, customer=8, code=5))) is ClaimRefusal.CODE_TAKEN


def test_points_buy_one_coupon_of_an_offer() -> None:
    asked = terms(claim_way=ClaimWay.POINTS, parameters={"points": 500})
    left = stock(asked, used_points={(1, "before")})
    assert left.take(wish(asked, points_receipt="now")) is None
    refused = [left.take(wish(asked, points_receipt=receipt)) for receipt in ("before", "now")]
    assert [why(one) for one in refused] == [ClaimRefusal.POINTS_USED] * 2


def test_those_who_have_ordered_get_no_newcomer_coupon_not_even_in_a_package() -> None:
    package, welcome = terms(1, claim_way=ClaimWay.PACKAGE), terms(2, newcomers=True)
    left = stock(package, welcome, buyers=frozenset({7}))
    assert why(left.take(wish(welcome))) is ClaimRefusal.NOT_NEWCOMER
    assert why(left.take(wish(package, welcome))) is ClaimRefusal.NOT_NEWCOMER
    assert left.take(wish(package, welcome, customer=8)) is None


limits = st.none() | st.integers(1, 4)
all_limits = st.fixed_dictionaries(
    dict.fromkeys(("total", "per_customer", "per_day", "per_customer_day"), limits)
    | {"per_channel": st.dictionaries(st.sampled_from(["app", "web"]), st.integers(1, 4))}
)
people = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["app", "web", "store"])), max_size=25)


@given(all_limits, people)
def test_no_limit_is_ever_passed_and_nobody_is_refused_while_all_of_them_leave_room(
    limited: dict[str, Any], asking: Sequence[tuple[int, str]]
) -> None:
    asked = terms(**limited)
    left = stock(asked)
    got: list[tuple[int, str]] = []
    for customer, channel in asking:
        hers = sum(one == customer for one, _ in got)
        there = sum(one == channel for _, one in got)
        had = {"total": len(got), "per_day": len(got), "per_customer": hers, "per_customer_day": hers}
        room = all(limited[name] is None or count < limited[name] for name, count in had.items())
        room = room and there < limited["per_channel"].get(channel, there + 1)
        assert (left.take(wish(asked, customer=customer, channel=channel)) is None) == room
        got += [(customer, channel)] if room else []
    assert left.taken.get(1, 0) == len(got)


HELD = HeldCouponView(
    id=2**53 - 1,
    offer="spring/hot",
    state=HeldState.ISSUED,
    source=Source.PACKAGE,
    claimed_at=NOON,
    valid_from=NOON,
    valid_to=NOON + DAY,
    package="spring/set",
)


@pytest.mark.parametrize("settled", [Settled(coupons=(HELD, replace(HELD, id=3, package=None)))])
def test_coupons_are_told_and_read_back_as_they_were(settled: Settled) -> None:
    answer = json.loads(json.dumps(answer_of(settled)))
    assert settled_of(answer) == replace(settled, again=True)


@pytest.mark.parametrize("refusal", ClaimRefusal)
@pytest.mark.parametrize("facts", [{}, {"offer": "spring/hot"}, {"offer": "spring/hot", "points": 500}])
def test_refusals_are_told_and_read_back_as_they_were(refusal: ClaimRefusal, facts: dict[str, Any]) -> None:
    before = ClaimRefused(why=refusal, **facts)
    answer = json.loads(json.dumps(answer_of(Settled(refusal=before))))
    after = settled_of(answer).refusal
    assert isinstance(after, ClaimRefused)
    assert (after.why, after.offer, after.points, str(after)) == (refusal, before.offer, before.points, str(before))


def test_a_key_of_another_request_is_no_answer_to_keep() -> None:
    with pytest.raises(KeyReused):
        answer_of(Settled(refusal=KeyReused(key="k")))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", ""),
        ("key", "k" * 201),
        ("customer", "c\x00"),
        ("offer", "spring/\ud800"),
        ("points_receipt", "r" * 201),
        ("offer", None),
    ],
)
def test_a_claim_that_no_database_could_keep_is_refused_before_it_spoils_a_batch(field: str, value: str | None) -> None:
    right: dict[str, Any] = {"key": "k", "request_hash": "h", "customer": "c", "offer": "spring/hot", "code": None}
    with pytest.raises(ClaimMalformed) as refused:
        Claim(**{**right, "points_receipt": None, "channel": RedeemIn.APP, field: value})
    assert refused.value.field == field
