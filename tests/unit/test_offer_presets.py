import pytest
from pydantic import ValidationError

from offers.presets import OfferKind, ParameterType, read_catalogue, standard_catalogue
from themes.document import ThemeInvalid, Vocabulary, parse_theme
from themes.theme import Offer

THEME = """
theme: t
title: T
product_line: l
author: a
currency: GBP
timezone: UTC
window: {{from: "2027-03-06T00:00", to: "2027-03-09T00:00"}}
budget: "1.00"
{offers}
audience: {{include: [core]}}
channels: {{push: {{account: p, title: T, body: B}}}}
policy: standard
"""

NAMED_BY_THE_BUSINESS = {
    OfferKind.COUPON: {
        "full_reduction",
        "direct_reduction",
        "discount",
        "freight_amount",
        "freight_percent",
        "freight_fixed",
        "free_freight",
        "coupon_code",
        "newcomer",
        "package",
        "consumption_triggered",
        "points_exchange",
    },
    OfferKind.ACTIVITY: {
        "full_reduction",
        "discount",
        "limited_time_price",
        "n_pieces",
        "nth_piece",
        "cheapest_free",
        "buy_a_get_b",
        "bundle_price",
        "gift",
        "free_freight",
    },
}


@pytest.mark.parametrize("kind", OfferKind)
def test_catalogue_has_every_kind_of_offer_that_the_business_names(kind: OfferKind) -> None:
    assert set(standard_catalogue().of_kind(kind)) == NAMED_BY_THE_BUSINESS[kind]


def test_no_parameter_takes_the_place_of_a_common_key() -> None:
    common = set(Offer.model_fields) | {"claim", "valid"}
    for preset in standard_catalogue().presets.values():
        assert not common & set(preset.parameters)


def test_every_default_is_of_its_type() -> None:
    types = {ParameterType.FLAG: bool, ParameterType.COUNT: int, ParameterType.CHOICE: str}
    for preset in standard_catalogue().presets.values():
        for parameter in preset.parameters.values():
            assert parameter.default is None or type(parameter.default) is types[parameter.type]


def offer(text: str, kind: OfferKind = OfferKind.COUPON) -> Offer:
    name = {OfferKind.COUPON: "coupons", OfferKind.ACTIVITY: "activities"}[kind]
    offers = f"{name}: [{{id: x, name: X, {text}}}]"
    return parse_theme(THEME.format(offers=offers), templates={}, known=Vocabulary()).offer("x")


USED = [
    # a ladder
    (OfferKind.COUPON, 'preset: full_reduction, tiers: [{at: "50", amount: "5"}, {at: "100", amount: "20"}]', "tiers"),
    # every so much
    (OfferKind.COUPON, 'preset: full_reduction, at: "100", amount: "20", every: true, max_times: 3', "every"),
    # percent with a cap
    (OfferKind.COUPON, 'preset: discount, percent: 12.5, cap: "30.00", per: line', "per"),
    # one code each
    (OfferKind.COUPON, 'preset: coupon_code, codes: per_person, amount: "5.00"', "codes"),
    # given after an order
    (OfferKind.COUPON, 'preset: consumption_triggered, spent: "50.00", percent: 10', "spent"),
    # scopes of its own
    (OfferKind.ACTIVITY, "preset: buy_a_get_b, buy: {category: [a]}, get: {product: [b]}, percent: 50", "get"),
    # one of several products
    (OfferKind.ACTIVITY, "preset: gift, products: ['85123A']", "products"),
    # a unit price
    (OfferKind.ACTIVITY, 'preset: limited_time_price, price: "9.99"', "price"),
    # nothing to set
    (OfferKind.ACTIVITY, "preset: free_freight", None),
]


@pytest.mark.parametrize(("kind", "text", "parameter"), USED)
def test_offer_of_a_preset_is_read_with_its_parameters(kind: OfferKind, text: str, parameter: str | None) -> None:
    read = offer(text, kind)
    assert read.kind is kind
    assert parameter is None or parameter in read.parameters


def test_step_of_a_ladder_with_a_wrong_key_is_named_with_the_nearest() -> None:
    with pytest.raises(ThemeInvalid) as refused:
        offer('preset: full_reduction, tiers: [{at: "50", amont: "5"}]')
    told = {problem.path: problem.message for problem in refused.value.problems}
    assert told == {
        "coupons[0].tiers[0].amount": "is missing",
        "coupons[0].tiers[0].amont": "is not a known key; did you mean 'amount'?",
    }


WRONG_CATALOGUES = [
    # alternatives that nobody can give
    "{title: {en: a, zh: b}, version: 1, kinds: [coupon], parameters: {}, either: [[at]]}",
    # a choice without choices
    "{title: {en: a, zh: b}, version: 1, kinds: [coupon], parameters: {p: {type: choice}}}",
    # steps without fields
    "{title: {en: a, zh: b}, version: 1, kinds: [coupon], parameters: {p: {type: steps}}}",
    # a type that is none
    "{title: {en: a, zh: b}, version: 1, kinds: [coupon], parameters: {p: {type: colour}}}",
    # for nobody
    "{title: {en: a, zh: b}, version: 1, kinds: [], parameters: {}}",
]


@pytest.mark.parametrize("preset", WRONG_CATALOGUES)
def test_catalogue_that_cannot_work_is_refused(preset: str) -> None:
    with pytest.raises(ValidationError):
        read_catalogue(f"version: 1\npresets:\n  x: {preset}\n")
