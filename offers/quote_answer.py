"""What a quote document is answered, as JSON has it. Amounts are minor units."""

from collections.abc import Mapping
from typing import Any

from offers.combination import choose
from offers.effect import Gift
from offers.pricing import Applied, Price
from offers.quote_document import Quote
from offers.reason import Reason
from offers.refund import prorated, repriced

LANGUAGES = ("en", "zh")


def answer(quote: Quote) -> dict[str, Any]:
    """What the cart costs, which offer took what from which line, and why each other one did not apply."""
    choice = choose(
        quote.cart,
        quote.rules,
        mode=quote.mode,
        forced=quote.forced,
        threshold=quote.threshold,
        sequence=quote.sequence,
    )
    told = {**told_price(choice.price), "optimal": choice.optimal}
    return {**told, "refund": _refund(quote, choice.price)} if quote.returned else told


def told_price(price: Price) -> dict[str, Any]:
    return {
        "list_total": price.list_total,
        "goods": price.goods,
        "discount": price.discount,
        "freight": price.freight,
        "freight_discount": price.freight_discount,
        "payable": price.payable,
        "lines": list(price.lines),
        "line_discounts": price.line_discounts,
        "units": _units(price),
        "applied": sorted(step.rule_id for step in price.applied),
        "steps": [_step(step) for step in price.applied],
        "gifts": [_gift(gift) for gift in price.gifts],
        "gift_value": price.gift_value,
        "withheld": price.withheld,
        "left_out": {rule_id: told_reason(reason) for rule_id, reason in sorted(price.left_out.items())},
    }


def told_reason(reason: Reason) -> dict[str, Any]:
    return {
        "reason": reason.why.value,
        "needed": reason.needed,
        "found": reason.found,
        "others": list(reason.others),
        "words": {language: reason.in_words(language) for language in LANGUAGES},
    }


def _units(price: Price) -> Mapping[str, list[int]]:
    """What came off each unit, of the lines that have several and on which they need not be the same."""
    discounts = price.line_discounts
    return {
        str(at): list(price.unit_discounts(at))
        for at, line in enumerate(price.cart.lines)
        if line.qty > 1 and discounts[at]
    }


def _step(step: Applied) -> dict[str, Any]:
    return {
        "offer": step.rule_id,
        "stage": step.stage.name.lower(),
        "off": list(step.off),
        "freight_off": step.freight_off,
        "gift": None if step.gift is None else _gift(step.gift),
        "withheld": step.withheld,
    }


def _gift(gift: Gift) -> dict[str, Any]:
    return {"sku": gift.sku, "qty": gift.qty, "price": gift.price, "instead": list(gift.instead)}


def _refund(quote: Quote, price: Price) -> dict[str, int]:
    """By both policies; `freight` is how much of either is freight."""
    by_units = prorated(price, quote.returned)
    by_rest = repriced(price, quote.rules, quote.returned, threshold=quote.threshold, sequence=quote.sequence)
    return {"prorated": by_units.total, "reprice": by_rest.total, "freight": by_units.freight}
