"""The worked cases: each by the functions themselves, and once more as a quote document."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from offers.allocation import split
from offers.cart import Cart, CartLine
from offers.combination import Choice, Mode, choose
from offers.effect import (
    Amount,
    Bundle,
    By,
    Cheapest,
    Effect,
    FreightPercent,
    Per,
    Percent,
    Step,
    Tiers,
    UnitPrice,
)
from offers.preset import OfferKind
from offers.pricing import Price, Threshold
from offers.quote_answer import answer
from offers.quote_document import Quote, read_quotes
from offers.refund import prorated, repriced
from offers.rule import Condition, Rule
from offers.scope import Items, Scope

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases" / "offers.yaml").read_text(encoding="utf-8"))["cases"]
KEYS = ("cart", "offers", "mode", "forced", "threshold", "sequence", "return")


def asked() -> Iterator[Any]:
    """Every question of the file with what is expected: a case, each variant of it, each of its modes."""
    for case in CASES:
        for number, variant in enumerate([{}, *case.get("variants", [])]):
            whole = {**case, **variant}
            for mode, expected in whole["expect"].get("by_mode", {whole.get("mode"): whole["expect"]}).items():
                question = {**whole, "mode": mode or "all"}
                words = [case["id"], *([f"variant {number}"] if number else []), *([mode] if mode else [])]
                yield pytest.param(question, expected, id=" ".join(words))


ASKED = list(asked())
PRICED = [param for param in ASKED if param.values[0]["kind"] in {"price", "refund"}]


@pytest.mark.parametrize("case", [case for case in CASES if case["kind"] == "allocate"], ids=lambda case: case["id"])
def test_an_amount_is_parted_as_the_case_says(case: Mapping[str, Any]) -> None:
    assert split(case["amount"], case["weights"], case.get("caps")) == case["expect"]["parts"]


@pytest.mark.parametrize(("question", "expected"), PRICED)
def test_the_functions_answer_as_the_case_says(question: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    rules = [rule(values) for values in question["offers"]]
    threshold = Threshold(question.get("threshold", "running"))
    forced = question.get("forced", ())
    choice = choose(cart(question["cart"]), rules, mode=Mode(question["mode"]), forced=forced, threshold=threshold)
    found = facts(choice)
    if "return" in question:
        returned = {int(at): many for at, many in question["return"].items()}
        found["prorated"] = prorated(choice.price, returned).total
        found["reprice"] = repriced(choice.price, rules, returned).total
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize(("question", "expected"), PRICED)
def test_the_quote_document_is_answered_as_the_case_says(
    question: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    text = yaml.safe_dump({key: question[key] for key in KEYS if key in question}, allow_unicode=True)
    (quote,) = read_quotes(text)
    assert isinstance(quote, Quote), str(quote)
    told = answer(quote)
    found = {**told, **told.get("refund", {})}
    assert {name: found[name] for name in expected} == expected


def test_the_file_has_cases_of_every_kind_and_none_is_left_out() -> None:
    assert {case["kind"] for case in CASES} == {"allocate", "price", "refund"}
    assert {param.values[0]["id"] for param in ASKED} == {case["id"] for case in CASES}
    assert len(PRICED) > len(CASES)


def facts(choice: Choice) -> dict[str, Any]:
    price: Price = choice.price
    names = ["list_total", "goods", "discount", "freight", "payable", "gift_value", "withheld"]
    return {
        **{name: getattr(price, name) for name in names},
        "lines": list(price.lines),
        "line_discounts": list(price.line_discounts),
        "applied": sorted(step.rule_id for step in price.applied),
        "optimal": choice.optimal,
        "units": {
            str(at): list(price.unit_discounts(at))
            for at, line in enumerate(price.cart.lines)
            if line.qty > 1 and price.line_discounts[at]
        },
    }


def cart(values: Mapping[str, Any]) -> Cart:
    return Cart(lines=[CartLine(**line) for line in values["lines"]], freight=values.get("freight", 0))


def rule(values: Mapping[str, Any]) -> Rule:
    plain = {name: values[name] for name in ("id", "priority", "exclusive") if name in values}
    return Rule(
        **plain,
        kind=OfferKind(values.get("kind", "coupon")),
        excludes=frozenset(values.get("excludes", ())),
        scope=Scope(named=Items(**{name: frozenset(words) for name, words in values.get("scope", {}).items()})),
        condition=Condition(**values.get("condition", {})),
        effect=effect(**values["effect"]),
    )


def effect(type: str, **values: Any) -> Effect:  # noqa: A002 - the file's own word
    match type:
        case "percent":
            return Percent(**{**values, "per": Per(values.get("per", "group"))})
        case "tiers":
            return Tiers(by=By(values["by"]), tiers=[Step(**step) for step in values["tiers"]])
    kinds: Mapping[str, Any] = {
        "amount": Amount,
        "unit_price": UnitPrice,
        "bundle": Bundle,
        "cheapest": Cheapest,
        "freight_percent": FreightPercent,
    }
    made: Effect = kinds[type](**values)
    return made
