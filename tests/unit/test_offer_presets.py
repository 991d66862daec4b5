import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it has no types

from documents.source import read_source
from offers.cart import Cart, CartLine
from offers.errors import PresetsInvalid
from offers.preset import OfferKind, ParameterType, Preset
from offers.preset_schema import json_schema
from offers.presets import Catalogue, catalogue_of, read_catalogue, standard_catalogue
from offers.pricing import price
from themes.document import ThemeInvalid, Vocabulary, parse_theme
from themes.offer_rule import rules_of, words_of
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


def test_versions_that_are_out_say_what_they_said() -> None:
    """Whoever changes what a preset means gives it a new version: approved offers keep the one that they had."""
    assert {f"{name} {version}": one.hash[:12] for (name, version), one in standard_catalogue().versions.items()} == OUT


OUT = {
    "full_reduction 1": "074014871304",
    "direct_reduction 1": "2f9413a09f7e",
    "discount 1": "72b9d9190330",
    "freight_amount 1": "65e0ae9e57fd",
    "freight_percent 1": "32b334fdd251",
    "freight_fixed 1": "ec7d9690a67b",
    "free_freight 1": "004d435826bf",
    "coupon_code 1": "81fa18aa0139",
    "newcomer 1": "2a8fbd151cae",
    "package 1": "c1d3134198b9",
    "consumption_triggered 1": "02f1689bb6dc",
    "points_exchange 1": "d46c5bbde51b",
    "limited_time_price 1": "04c3d9bf3544",
    "n_pieces 1": "6c2d8dd6cfce",
    "nth_piece 1": "140d52687cac",
    "cheapest_free 1": "5a8b53a0dfaa",
    "buy_a_get_b 1": "ff9ecc02d950",
    "bundle_price 1": "7d3e7f09d575",
    "gift 1": "68c640e0eb52",
}


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


PRESET = """
- preset: x
  version: 1
  title: {en: a, zh: b}
  kinds: [coupon]
  parameters:
    at: {type: money, required: false}
    amount: {type: money, required: false}
    percent: {type: percent, required: false}
    steps: {type: steps, required: false, fields: {pieces: {type: count}, percent: {type: percent}}}
    goods: {type: scope, required: false}
    sure: {type: flag, default: false}
  either: [[amount], [percent], [steps]]
  rules:
  - given: [steps]
    effect: {type: tiers, by: qty, tiers: {each: $steps, at: $pieces, bp: $percent}}
    reads: {en: "{steps}", zh: "{steps}", each: {en: "{percent} from {pieces}", zh: "{pieces} {percent|fold}"}}
  - given: [percent]
    condition: {min_amount: $at}
    effect: {type: percent, bp: $percent}
    reads: {en: "{percent} off[ from {at}]", zh: "{percent|fold} 折[ {at}]"}
  - effect: {type: amount, value: $amount}
    reads: {en: "{amount} off", zh: "减 {amount}"}
"""


def problems_with(old: str, new: str) -> dict[str, str]:
    assert old in PRESET, f"the preset no longer has {old!r}"
    with pytest.raises(PresetsInvalid) as refused:
        read_catalogue("presets:" + PRESET.replace(old, new, 1))
    return {problem.path: str(problem) for problem in refused.value.problems}


def test_preset_that_the_wrong_ones_are_made_of_is_right() -> None:
    assert read_catalogue("presets:" + PRESET).presets["x"].version == 1


#: What is wrong, where, and what is said of it.
WRONG = [
    # alternatives that nobody can give
    ("[[amount], [percent]", "[[amont], [percent]", "presets[0].either[0]", "did you mean 'amount'?"),
    # a choice without choices, and the reverse
    ("sure: {type: flag,", "sure: {type: choice,", "presets[0].parameters.sure", "`choices`"),
    ("at: {type: money,", "at: {type: money, choices: [a],", "presets[0].parameters.at", "`choices`"),
    # steps without fields
    ("steps: {type: steps, required: false, fields: {pieces: {type: count}, percent: {type: percent}}}",
     "steps: {type: steps}", "presets[0].parameters.steps", "`fields`"),
    # a type that is none, a default of another type
    ("at: {type: money", "at: {type: colour", "presets[0].parameters.at.type", "money"),
    ("default: false", "default: 1", "presets[0].parameters.sure", "default"),
    # for nobody, and without a rule
    ("kinds: [coupon]", "kinds: []", "presets[0].kinds", "at least"),
    ("version: 1", "version: 0", "presets[0].version", "1 or more"),
    ("preset: x", "preset: X y", "presets[0].preset", "pattern"),
    # words that are missing, in one language or where there are steps
    ('en: "{amount} off", ', "", "presets[0].rules[2].reads.en", "is missing"),
    ("{en: a, zh: b}", "{en: a}", "presets[0].title.zh", "is missing"),
    (', each: {en: "{percent} from {pieces}", zh: "{pieces} {percent|fold}"}', "", "presets[0].rules[0].reads.each",
     "is needed where steps"),
    # words of a parameter that is not there, that may be absent, or that one language does not tell
    ("{amount} off", "{amont} off", "presets[0].rules[2].reads.en", "did you mean 'amount'?"),
    ("{percent} off[ from {at}]", "{percent} off from {at}", "presets[0].rules[1].reads.en", "[brackets]"),
    ("{percent} off[ from {at}]", "{percent} off", "presets[0].rules[1].reads", "at in one language"),
    ("{percent|fold} 折", "{percent|half} 折", "presets[0].rules[1].reads.zh", "no form 'half'"),
    ('{en: "{percent} from', '{en: "{share} from', "presets[0].rules[0].reads.each.en", "unknown parameter 'share'"),
    # an effect that there is not, or a key of it
    ("type: amount, value", "type: amuont, value", "presets[0].rules[2].effect.type", "did you mean 'amount'?"),
    ("value: $amount", "valeu: $amount", "presets[0].rules[2].effect.valeu", "did you mean 'value'?"),
    ("value: $amount", "valeu: $amount", "presets[0].rules[2].effect.value", "is missing"),
    ("min_amount: $at", "min_amuont: $at", "presets[0].rules[1].condition.min_amuont", "did you mean 'min_amount'?"),
    ("at: $pieces, ", "", "presets[0].rules[0].effect.tiers.at", "is missing"),
    # a parameter that there is not, of another type, or that may be absent where it is needed
    ("value: $amount", "value: $amont", "presets[0].rules[2].effect.value", "did you mean 'amount'?"),
    ("bp: $percent}\n", "bp: $amount}\n", "presets[0].rules[1].effect.bp", "amount is an amount of money"),
    ("value: $amount", "value: $at", "presets[0].rules[2].effect.value", "at may be absent here"),
    ("each: $steps", "each: $amount", "presets[0].rules[0].effect.tiers.each", "only steps have each"),
    ("by: qty", "by: amount", "presets[0].rules[0].effect.tiers.at", "an amount of money"),
    # what only a parameter can be, and what is out of its bounds
    ("value: $amount", "value: 500", "presets[0].rules[2].effect.value", "only a parameter has"),
    ("bp: $percent}\n", "bp: 10001}\n", "presets[0].rules[1].effect.bp", "1 to 10000"),
    ("bp: $percent}\n", "bp: $percent, per: box}\n", "presets[0].rules[1].effect.per", "group, line, unit"),
    # a way of claiming that there is not, or whose parameter is missing, of another type or may be absent
    ("  either", "  claim: {by: gift}\n  either", "presets[0].claim.by", "points"),
    ("  either", "  claim: {way: points}\n  either", "presets[0].claim.way", "allowed: by, newcomers"),
    ("  either", "  claim: {by: points}\n  either", "presets[0].claim.by", "takes a parameter 'points': a number"),
    ("sure: {type: flag, default: false}\n", "spent: {type: count}\n  claim: {by: order}\n", "presets[0].claim.by",
     "takes a parameter 'spent': an amount of money"),
    ("sure: {type: flag, default: false}\n", "points: {type: count, required: false}\n  claim: {by: points}\n",
     "presets[0].claim.by", "'points', which may be absent"),
    ("sure: {type: flag, default: false}\n", "codes: {type: choice, choices: [some]}\n  claim: {by: code}\n",
     "presets[0].claim.by", "takes a parameter 'codes': one of per_person, shared"),
    # coupons of what is no package, a package that takes something off itself, claims of activities
    ("sure: {type: flag, default: false}\n", "coupons: {type: coupons}\n", "presets[0].parameters.coupons",
     "packages alone"),
    ("sure: {type: flag, default: false}\n", "coupons: {type: coupons}\n  claim: {by: package}\n",
     "presets[0].rules[2].effect", "the package does not"),
    ("kinds: [coupon]\n", "kinds: [coupon, activity]\n  claim: {newcomers: true}\n", "presets[0].claim",
     "of coupons alone"),
    # an alternative that is never used, and none for the rest
    ("given: [percent]", "given: [steps]", "presets[0].rules[1]", "is never used"),
    ("  - effect: {type: amount", "  - given: [amount]\n    effect: {type: amount", "presets[0].rules",
     "for everything"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "said"), WRONG)
def test_preset_that_cannot_work_is_refused_with_the_place(old: str, new: str, path: str, said: str) -> None:
    assert said in problems_with(old, new)[path]


def test_problems_of_a_file_are_told_all_at_once_with_their_lines() -> None:
    found = problems_with('value: $amount}\n    reads: {en: "{amount} off"', 'valeu: 1}\n    reads: {en: "{amunt}"')
    assert {f"presets[0].rules[2].{where}" for where in ("effect.value", "effect.valeu", "reads.en")} <= found.keys()
    assert "(line 22)" in found["presets[0].rules[2].effect.valeu"]


def test_version_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(PresetsInvalid, match="stands there twice; found 'x 1'"):
        read_catalogue("presets:" + PRESET + PRESET.lstrip("\n"))


def test_file_that_is_no_catalogue_is_refused() -> None:
    for text in ("", "presets: []", "presets: {x: 1}", "rules: []"):
        with pytest.raises(PresetsInvalid):
            read_catalogue(text)


def test_new_offers_get_the_newest_version_and_every_other_stays_to_be_had() -> None:
    second = PRESET.replace("version: 1", "version: 2").replace("减 {amount}", "立减 {amount}")
    catalogue = read_catalogue("presets:" + second + PRESET.lstrip("\n"))
    assert catalogue.presets["x"].version == 2
    assert [one.version for one in catalogue.of_name("x")] == [1, 2]
    old, new = catalogue.of("x", 1), catalogue.of("x", 2)
    assert old is not None
    assert new is not None
    assert (old.rules[2].reads.zh, new.rules[2].reads.zh) == ("减 {amount}", "立减 {amount}")
    assert catalogue.of("x", 3) is None


def test_what_was_applied_counts_where_the_same_version_comes_with_the_project() -> None:
    one = read_catalogue("presets:" + PRESET)
    other = read_catalogue("presets:" + PRESET.replace("zh: b", "zh: c"))
    assert one.beside(other.versions.values()).presets["x"].title.zh == "c"


def test_preset_comes_back_from_its_content_as_it_was_with_the_same_hash() -> None:
    for preset in standard_catalogue().versions.values():
        again = Preset.model_validate(preset.content())
        assert (again.content(), again.hash) == (preset.content(), preset.hash)


def names_given(catalogue: Catalogue, kind: OfferKind, text: str) -> tuple[Preset, object]:
    values = dict(read_source(text.replace("preset: ", "{preset: ", 1) + "}", is_not="an offer").values)
    return catalogue.of_kind(kind)[str(values.pop("preset"))], values


@pytest.mark.parametrize(("kind", "text", "parameter"), USED)
def test_schema_of_a_preset_takes_what_a_theme_file_may_have(kind: OfferKind, text: str, parameter: str | None) -> None:
    preset, values = names_given(standard_catalogue(), kind, text)
    schema = json_schema(preset)
    Draft202012Validator.check_schema(schema)
    assert not list(Draft202012Validator(schema).iter_errors(values)), parameter


REFUSED_BY_SCHEMA = [
    # an amount that is no text
    ("direct_reduction", {"amount": 5}),
    # what is missing, and what is unknown
    ("direct_reduction", {}),
    ("direct_reduction", {"amount": "5", "at": "5"}),
    # none of the alternatives, two of them, half of one
    ("newcomer", {}),
    ("newcomer", {"amount": "5", "percent": 5}),
    ("full_reduction", {"at": "5"}),
    ("full_reduction", {"tiers": [{"at": "5", "amount": "1"}], "at": "5"}),
    # too few, too many, of another kind
    ("nth_piece", {"nth": 1, "percent": 50}),
    ("discount", {"percent": 101}),
    ("discount", {"percent": 5, "per": "box"}),
    ("gift", {"products": []}),
    ("buy_a_get_b", {"buy": {}, "get": {"product": ["1"]}, "percent": 5}),
]


@pytest.mark.parametrize(("name", "values"), REFUSED_BY_SCHEMA)
def test_schema_of_a_preset_refuses_what_a_theme_file_may_not_have(name: str, values: dict[str, object]) -> None:
    assert list(Draft202012Validator(json_schema(standard_catalogue().presets[name])).iter_errors(values))


def test_preset_of_known_conditions_and_effects_needs_no_code() -> None:
    """A rebate that nobody had thought of: half the price of the dearest piece, from two brands' goods on."""
    text = """
presets:
  - preset: crown
    version: 1
    title: {en: dearest piece cheaper, zh: 最贵一件优惠}
    kinds: [activity]
    parameters:
      beside: {type: count, about: pieces in the cart}
      percent: {type: percent, about: taken off the dearest}
    rules:
      - condition: {min_qty: $beside}
        effect: {type: cheapest, group: $beside, bp: $percent, target: dearest, most: 1}
        reads: {en: "the dearest of {beside} pieces {percent} off", zh: "满 {beside} 件最贵一件打 {percent|fold} 折"}
"""
    catalogue = standard_catalogue().beside(read_catalogue(text).versions.values())
    offers = "activities: [{id: x, name: X, preset: crown, beside: 3, percent: 50}]"
    theme = parse_theme(THEME.format(offers=offers), templates={}, known=Vocabulary(), catalogue=catalogue)
    (rule,) = rules_of(theme, catalogue)
    cart = Cart(lines=[CartLine(qty=2, price=100), CartLine(qty=1, price=1_000)])
    assert (rule.id, price(cart, [rule]).discount) == ("t/x", 500)
    assert words_of(theme.offer("x"), catalogue, currency="GBP") == "the dearest of 3 pieces 50 % off"
    assert words_of(theme.offer("x"), catalogue, currency="GBP", language="zh") == "满 3 件最贵一件打 5 折"
    assert json_schema(catalogue.presets["crown"])["required"] == ["beside", "percent"]


def test_file_of_the_presets_tells_of_every_type_of_parameter() -> None:
    notes = (
        (Path(__file__).parents[2] / "offers" / "presets.yaml").read_text(encoding="utf-8").partition("\npresets:")[0]
    )
    assert all(re.search(rf"\b{kind}\b", notes) for kind in ParameterType)
    assert catalogue_of([]).presets == {}
