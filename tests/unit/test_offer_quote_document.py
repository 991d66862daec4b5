"""The quote document: every key of it, everything that is wrong with one at once, and what it is answered."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from documents.problem import Problem
from documents.source import parts_of, read_source
from offers.cart import Cart, CartLine
from offers.combination import Mode
from offers.effect import Amount, By, Percent, Step, Tiers
from offers.errors import QuoteInvalid
from offers.preset import OfferKind
from offers.pricing import Threshold
from offers.quote_answer import answer
from offers.quote_document import Quote, read_quote, read_quotes
from offers.quote_notation import (
    PARTS,
    CartPart,
    ConditionPart,
    ItemsPart,
    LinePart,
    OfferPart,
    QuotePart,
    StepPart,
)
from offers.reason import Why
from offers.rule import Condition, Rule
from offers.scope import Items, Scope

TEXT = """
cart:
  freight: 800
  lines:
  - {qty: 3, price: 2999, sku: teapot, category: kitchen, brand: acme, shop: leeds, floor: 2000}
  - {qty: 1, price: 12000, sku: 85123}
offers:
- id: kitchen-day
  kind: activity
  priority: 3
  exclusive: false
  excludes: [ladder]
  scope: {category: [kitchen], except: {product: [vase]}}
  only_undiscounted: true
  expires: 2027-03-08T00:00+08:00
  effect: {type: percent, bp: 1000, per: line, cap: 5000}
- id: ladder
  condition: {min_amount: 5000, min_qty: 2, scope: {sku: [85123], product: [teapot]}}
  effect: {type: tiers, by: amount, tiers: [{at: 100, amount: 20}, {at: 200, amount: 50, freight_free: true}]}
mode: best
forced: [ladder]
threshold: stage_entry
sequence: [ladder, kitchen-day]
return: {0: 2}
"""


def quote(text: str) -> Quote:
    (found,) = read_quotes(text)
    assert isinstance(found, Quote), str(found)
    return found


def problems(*edits: tuple[str, str]) -> tuple[Problem, ...]:
    text = TEXT
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    (found,) = read_quotes(text)
    assert isinstance(found, QuoteInvalid)
    return found.problems


def test_every_key_is_read() -> None:
    teapot = CartLine(qty=3, price=2999, sku="teapot", category="kitchen", brand="acme", shop="leeds", floor=2000)
    steps = [Step(at=100, amount=20), Step(at=200, amount=50, freight_free=True)]
    found = quote(TEXT)
    assert found.cart == Cart(lines=[teapot, CartLine(qty=1, price=12000, sku="85123")], freight=800)
    assert found.rules[0] == Rule(
        id="kitchen-day",
        kind=OfferKind.ACTIVITY,
        priority=3,
        excludes=frozenset({"ladder"}),
        scope=Scope(named=Items(category=frozenset({"kitchen"})), excluded=Items(sku=frozenset({"vase"}))),
        only_undiscounted=True,
        expires=datetime(2027, 3, 7, 16, tzinfo=UTC),
        effect=Percent(bp=1000, per=found.rules[0].effect.per, cap=5000),  # type: ignore[union-attr] # a share
    )
    assert found.rules[1] == Rule(
        id="ladder",
        condition=Condition(min_amount=5000, min_qty=2, scope=Scope(named=Items(sku=frozenset({"85123", "teapot"})))),
        effect=Tiers(by=By.AMOUNT, tiers=tuple(steps)),
    )
    assert (found.mode, found.forced, found.threshold) == (Mode.BEST, ("ladder",), Threshold.STAGE_ENTRY)
    assert (found.sequence, found.returned) == (("ladder", "kitchen-day"), {0: 2})


def test_what_is_left_out_has_its_default() -> None:
    found = quote("cart: {lines: [{qty: 1, price: 5}]}\noffers: [{id: a, effect: {type: amount, value: 1}}]")
    assert found.cart == Cart(lines=[CartLine(qty=1, price=5)])
    assert found.rules == [Rule(id="a", effect=Amount(value=1))]
    assert (found.mode, found.threshold, found.forced, found.returned) == (Mode.ALL, Threshold.RUNNING, (), {})


TYPES = "; found 'precent'; allowed: amount, bundle, cheapest, every, freight_amount, freight_fixed"
WRONG: list[tuple[tuple[str, str], str, int, str]] = [
    # unknown keys, with the nearest known one, at each level
    (("mode:", "moed:"), "moed", 20, "is not a known key; did you mean 'mode'?"),
    (("freight:", "fright:"), "cart.fright", 3, "did you mean 'freight'?"),
    (("shop:", "shpo:"), "cart.lines[0].shpo", 5, "did you mean 'shop'?"),
    (("priority:", "prioritty:"), "offers[0].prioritty", 10, "did you mean 'priority'?"),
    (("scope: {category", "scope: {categroy"), "offers[0].scope.categroy", 13, "did you mean 'category'?"),
    (("{product: [vase", "{prodct: [vase"), "offers[0].scope.except.prodct", 13, "did you mean 'product'?"),
    (("min_qty:", "min_qyt:"), "offers[1].condition.min_qyt", 18, "did you mean 'min_qty'?"),
    (("per: line", "pre: line"), "offers[0].effect.pre", 16, "did you mean 'per'?"),
    (("200, amount:", "200, amuont:"), "offers[1].effect.tiers[1].amuont", 19, "did you mean 'amount'?"),
    # words that are not among those allowed
    (("type: percent", "type: precent"), "offers[0].effect.type", 16, f"did you mean 'percent'?{TYPES}"),
    (("kind: activity", "kind: actvity"), "offers[0].kind", 9, "allowed: 'coupon' or 'activity'"),
    (("mode: best", "mode: bset"), "mode", 20, "allowed: 'all', 'best' or 'priority'"),
    (("per: line", "per: row"), "offers[0].effect.per", 16, "allowed: 'group', 'line' or 'unit'"),
    (("stage_entry", "entry"), "threshold", 22, "allowed: 'running' or 'stage_entry'"),
    # whole numbers only
    (("qty: 3", "qty: 3.0"), "cart.lines[0].qty", 5, "has to be a whole number; found 3.0"),
    (("qty: 3", "qty: true"), "cart.lines[0].qty", 5, "has to be a whole number; found True"),
    (("qty: 3", "qty: '3'"), "cart.lines[0].qty", 5, "has to be a whole number; found '3'"),
    (("price: 2999", "price: 29.99"), "cart.lines[0].price", 5, "has to be a whole number; found 29.99"),
    (("bp: 1000", "bp: 10.5"), "offers[0].effect.bp", 16, "has to be a whole number"),
    # within limits
    (("qty: 3", "qty: 0"), "cart.lines[0].qty", 5, "found 0; allowed: 1 or more"),
    (("price: 2999", "price: -1"), "cart.lines[0].price", 5, "found -1; allowed: 0 or more"),
    (("price: 2999", "price: 10000000001"), "cart.lines[0].price", 5, "allowed: 10000000000 or less"),
    (("floor: 2000", "floor: -1"), "cart.lines[0].floor", 5, "allowed: 0 or more"),
    (("freight: 800", "freight: -1"), "cart.freight", 3, "allowed: 0 or more"),
    (("bp: 1000", "bp: 10001"), "offers[0].effect.bp", 16, "allowed: 10000 or less"),
    (("bp: 1000", "bp: -1"), "offers[0].effect.bp", 16, "allowed: 0 or more"),
    (("qty: 3", "qty: 100000"), "cart.lines", 4, "has too many units; found 100001; allowed: 100000 in all lines"),
    # what is missing
    (("bp: 1000, ", ""), "offers[0].effect.bp", 16, "is missing"),
    (("type: percent, ", ""), "offers[0].effect.type", 16, "is missing"),
    (("- id: kitchen-day\n  kind", "- kind"), "offers[0].id", 8, "is missing"),
    (("qty: 3, ", ""), "cart.lines[0].qty", 5, "is missing"),
    (("  effect: {type: percent, bp: 1000, per: line, cap: 5000}\n", ""), "offers[0].effect", 8, "is missing"),
    # ladders
    (("at: 200, amount: 50", "at: 200, amount: 5"), "offers[1].effect.tiers[1]", 19, "gives less than the one at 100"),
    (("at: 200, amount: 50", "at: 200, bp: 5"), "offers[1].effect.tiers[1]", 19, "gives less than the one at 100"),
    (("amount: 50,", "amount: 50, bp: 5,"), "offers[1].effect.tiers[1]", 19, "has an amount and a share"),
    (("{at: 100, amount: 20}", "{at: 100}"), "offers[1].effect.tiers[0]", 19, "gives nothing"),
    (("by: amount, ", ""), "offers[1].effect.by", 19, "is missing"),
    # scopes
    (("{category: [kitchen], except: {product: [vase]}}", "{}"), "offers[0].scope", 13, "has to be everything or a"),
    (("scope: {category", "scope: {all: true, category"), "offers[0].scope", 13, "has to be everything or a"),
    (("category: [kitchen]", "category: []"), "offers[0].scope.category", 13, "allowed: at least 1"),
    (("category: [kitchen]", "category: kitchen"), "offers[0].scope.category", 13, "has to be a list"),
    # names that are not there
    (("excludes: [ladder]", "excludes: [lader]"), "offers[0].excludes[0]", 12, "did you mean 'ladder'?"),
    (("excludes: [ladder]", "excludes: [kitchen-day]"), "offers[0].excludes[0]", 12, "is the offer itself"),
    (("forced: [ladder]", "forced: [lader]"), "forced[0]", 21, "is not among the offers; did you mean 'ladder'?"),
    (("forced: [ladder]", "forced: [ladder, ladder]"), "forced", 21, "more than once"),
    (("forced: [ladder]", "forced: [ladder, kitchen-day]"), "forced", 21, "'kitchen-day' and 'ladder' may not take"),
    (("sequence: [ladder", "sequence: [lader"), "sequence[0]", 23, "nor an offer; did you mean 'ladder'?"),
    (("sequence: [ladder", "sequence: [item"), "sequence[0]", 23, "is a stage among offers"),
    (("sequence: [ladder", "sequence: [kitchen-day"), "sequence", 23, "more than once"),
    # times
    (("2027-03-08T00:00+08:00", "2027-03-08T00:00"), "offers[0].expires", 15, "is not a time with its zone"),
    (("2027-03-08T00:00+08:00", "tomorrow"), "offers[0].expires", 15, "for example 2027-03-06T00:00+00:00"),
    (("2027-03-08T00:00+08:00", "1"), "offers[0].expires", 15, "is not a time with its zone"),
    # units that come back
    (("{0: 2}", "{2: 1}"), "return.2", 24, "is not a line of the cart; allowed: 0 to 1"),
    (("{0: 2}", "{0: 4}"), "return.0", 24, "is more than the line has; found 4; allowed: 1 to 3"),
    (("{0: 2}", "{0: 0}"), "return.0", 24, "allowed: 1 or more"),
    (("{0: 2}", "{00: 1}"), "return.00", 24, "is not a line of the cart"),
    # shapes
    (("return: {0: 2}", "return: [2]"), "return", 24, "has to be a mapping of keys"),
    (("effect: {type: percent, bp: 1000, per: line, cap: 5000}", "effect: percent"), "offers[0].effect", 16, "mapping"),
    (("sku: teapot", "sku: [teapot]"), "cart.lines[0].sku", 5, "has to be text"),
    # YAML's own
    (("mode: best", "mode: best\nmode: all"), "mode", 21, "is given twice; the first is at line 20"),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "path", "line", "told"), WRONG, ids=[f"{row[1]} {row[0][1]}"[:60] for row in WRONG])
def test_a_mistake_is_told_with_its_place_its_line_and_what_is_allowed(
    edit: tuple[str, str], path: str, line: int, told: str
) -> None:
    (problem,) = problems(edit)
    assert (problem.path, problem.line) == (path, line)
    assert told in str(problem)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_lines() -> None:
    found = problems(("qty: 3", "qty: 0"), ("bp: 1000", "bp: x"), ("min_qty: 2", "min_qty: -2"), ("mode:", "moed:"))
    assert [problem.path for problem in found] == [
        "cart.lines[0].qty",
        "offers[0].effect.bp",
        "offers[1].condition.min_qty",
        "moed",
    ]


def test_ids_are_distinct_and_say_something() -> None:
    lonely = ("excludes: [ladder]", "excludes: []")
    (same,) = problems(lonely, ("- id: ladder", "- id: kitchen-day"), ("forced: [ladder]", ""), ("sequence: [", "#"))
    assert str(same) == "offers[1].id (line 17): is the id of offers[0] too; found 'kitchen-day'"
    (blank,) = problems(lonely, ("- id: ladder", "- id: ' '"), ("forced: [ladder]", ""), ("sequence: [", "#"))
    assert str(blank) == "offers[1].id (line 17): is empty; found ' '"


def test_an_offer_that_is_wrong_is_no_unknown_one() -> None:
    assert [problem.path for problem in problems(("tiers, by: amount", "tiers, by: amuont"))] == ["offers[1].effect.by"]


def test_of_groups_no_more_units_are_cheaper_than_they_have() -> None:
    (found,) = read_quotes(
        "cart: {lines: [{qty: 1, price: 5}]}\noffers: [{id: a, effect: {type: cheapest, group: 2, n: 3}}]"
    )
    assert isinstance(found, QuoteInvalid)
    assert "offers[0].effect.n (line 2): is more than its group has; found 3; allowed: 2 or less" in str(found)


def test_a_step_of_nothing_is_refused() -> None:
    (found,) = read_quotes(
        "cart: {lines: [{qty: 1, price: 5}]}\noffers: [{id: a, effect: {type: every, step: 0, amount: 1}}]"
    )
    assert isinstance(found, QuoteInvalid)
    assert [(problem.path, problem.allowed) for problem in found.problems] == [("offers[0].effect.step", "1 or more")]


def test_a_cart_needs_a_line() -> None:
    (found,) = read_quotes("cart: {lines: []}")
    assert isinstance(found, QuoteInvalid)
    assert [str(problem) for problem in found.problems] == [
        "cart.lines (line 1): list should have at least 1 item after validation, not 0; found []; allowed: at least 1"
    ]


SOUND = "cart: {lines: [{qty: 1, price: 5}]}\n"


def test_one_broken_document_stops_none_of_the_others_and_tells_the_line_of_the_file() -> None:
    text = f"{SOUND}---\ncart: [\n---\n{SOUND}---\n---\n- 1\n--- {{cart: 5}}\n---\n{SOUND}bad: 1\n---\n{SOUND}"
    found = list(read_quotes(text))
    assert [isinstance(one, Quote) for one in found] == [True, False, True, False, False, False, False, True]
    told = [one.problems[0] for one in found if isinstance(one, QuoteInvalid)]
    assert [(problem.path, problem.line) for problem in told] == [("", 4), ("", 6), ("", 7), ("cart", 9), ("bad", 12)]
    assert "is not YAML at line 4" in told[0].message
    assert told[1].message == "is not a quote: keys such as 'cart:' are missing"


def test_what_is_missing_at_the_top_is_told_with_the_line_at_which_its_document_begins() -> None:
    _, wrong = read_quotes(f"{SOUND}---\nmode: best\n")
    assert isinstance(wrong, QuoteInvalid)
    assert [str(problem) for problem in wrong.problems] == ["cart (line 2): is missing"]


def test_plain_values_are_read_as_a_document_is() -> None:
    assert read_quote(yaml.safe_load(SOUND)) == quote(SOUND)
    with pytest.raises(QuoteInvalid) as wrong:
        read_quote({"cart": {"lines": [{"qty": 1.0, "price": None}]}, "offers": {}})
    assert {problem.path for problem in wrong.value.problems} == {"cart.lines[0].qty", "cart.lines[0].price", "offers"}


def test_the_answer_tells_who_took_what_and_why_others_did_not() -> None:
    found = answer(
        quote(
            """
cart:
  freight: 800
  lines: [{qty: 3, price: 2000, sku: teapot, floor: 1500}, {qty: 1, price: 3000, sku: lamp}]
offers:
- {id: day, kind: activity, excludes: [coupon], scope: {sku: [teapot]}, effect: {type: percent, bp: 3000, per: line}}
- {id: coupon, effect: {type: amount, value: 100}}
- {id: twenty, effect: {type: amount, value: 20}}
- {id: mug, effect: {type: gift, sku: mug, price: 900, instead: [cup]}}
- {id: half-way, effect: {type: freight_percent, bp: 5000}}
- {id: rich, condition: {min_amount: 10000}, effect: {type: amount, value: 1}}
return: {0: 1}
"""
        )
    )
    assert found == {
        "list_total": 9000,
        "goods": 7480,
        "discount": 1520,
        "freight": 400,
        "freight_discount": 400,
        "payable": 7880,
        "lines": [4500, 2980],
        "line_discounts": [1500, 20],
        "units": {"0": [500, 500, 500]},
        "applied": ["day", "half-way", "mug", "twenty"],
        "steps": [
            {"offer": "day", "stage": "item", "off": [1500, 0], "freight_off": 0, "gift": None, "withheld": 300},
            {"offer": "twenty", "stage": "coupon", "off": [0, 20], "freight_off": 0, "gift": None, "withheld": 0},
            {"offer": "half-way", "stage": "freight", "off": [0, 0], "freight_off": 400, "gift": None, "withheld": 0},
            {"offer": "mug", "stage": "gift", "off": [0, 0], "freight_off": 0, "gift": MUG, "withheld": 0},
        ],
        "gifts": [MUG],
        "gift_value": 900,
        "withheld": 300,
        "optimal": True,
        "left_out": {
            "coupon": {
                "reason": "excluded",
                "needed": None,
                "found": None,
                "others": ["day"],
                "words": {"en": "it may not take effect beside day", "zh": "与 day 互斥"},
            },
            "rich": {
                "reason": "below_amount",
                "needed": 10000,
                "found": 7500,
                "others": [],
                "words": {"en": "7500 is spent of the 10000 that it needs", "zh": "需满 10000, 目前 7500"},
            },
        },
        "refund": {"prorated": 1500, "reprice": 1500, "freight": 0},
    }


MUG = {"sku": "mug", "qty": 1, "price": 900, "instead": ["cup"]}


def test_the_answer_is_json_and_without_a_return_tells_no_refund() -> None:
    found = answer(quote(SOUND))
    assert json.loads(json.dumps(found)) == found
    assert "refund" not in found


def test_the_example_of_the_page_is_answered_as_the_page_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pricing.md").read_text(encoding="utf-8")
    document, told = (re.findall(rf"```{form}\n(.*?)```", page, re.DOTALL) for form in ("yaml", "json"))
    assert [answer(quote(document[0]))] == [json.loads(text) for text in told]


def test_the_page_has_every_key_type_and_reason() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pricing.md").read_text(encoding="utf-8")
    parts: Sequence[type[BaseModel]] = (
        QuotePart,
        CartPart,
        LinePart,
        OfferPart,
        StepPart,
        ConditionPart,
        ItemsPart,
        *PARTS.values(),
    )
    names = {name for part in parts for name in part.model_fields} - {"cart", "lines", "freight"}
    words = {*names, "all", "except", "cart.lines", "cart.freight", *PARTS, *Why, *Mode, *Threshold, *OfferKind}
    assert sorted(word for word in words if f"`{word}`" not in page and f"`{word}:" not in page) == []


def test_a_forced_coupon_is_used_in_every_mode_and_what_it_excludes_gives_way() -> None:
    for mode in Mode:
        found = answer(quote(f"{EXCLUDED}forced: [small]\nmode: {mode}"))
        assert (mode, found["applied"]) == (mode, ["small"])
        assert found["left_out"]["big"]["others"] == ["small"]


EXCLUDED = """
cart: {lines: [{qty: 1, price: 1000}]}
offers:
- {id: big, kind: activity, excludes: [small], effect: {type: amount, value: 500}}
- {id: small, effect: {type: amount, value: 100}}
"""


plain: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["lines", "qty", "id", "x"]), inner),
    max_leaves=8,
)
KEYS = ["cart", "offers", "mode", "forced", "threshold", "sequence", "return"]


@given(st.dictionaries(st.sampled_from(KEYS), plain))
def test_whatever_stands_in_a_document_it_is_read_or_refused(values: dict[str, Any]) -> None:
    with suppress(QuoteInvalid):
        assert answer(read_quote(values))


def _edited(path: list[str | int], value: object) -> dict[str, Any]:
    """The example with another value in one place."""
    (part,) = parts_of(TEXT)
    values: Any = read_source(part.text, is_not="").values
    at = values
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return dict(values)


PLACES: list[list[str | int]] = [
    ["cart", "lines", 0, "qty"],
    ["cart", "lines", 0],
    ["cart", "freight"],
    ["offers", 0, "scope"],
    ["offers", 0, "excludes"],
    ["offers", 0, "effect"],
    ["offers", 1, "effect", "tiers"],
    ["offers", 1, "effect", "tiers", 0],
    ["offers", 1, "condition"],
    ["offers", 1, "id"],
    ["forced"],
    ["sequence"],
    ["return"],
]


@given(st.sampled_from(PLACES), plain)
def test_whatever_stands_in_one_place_of_a_document_it_is_read_or_refused(path: list[str | int], value: object) -> None:
    with suppress(QuoteInvalid):
        assert answer(read_quote(_edited(path, value)))
