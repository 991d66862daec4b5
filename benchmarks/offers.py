"""`python -m benchmarks.offers`: how long the best combination takes to find.

Carts of ten lines, each before thirty offers that all take something off, of every effect there is. Each pair excludes
each other with a chance that differs from cart to cart, of 0 to 30 in 100; one offer in thirty excludes all others.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median, quantiles

from rich.console import Console

from garbage import rest_the_collector
from offers.cart import Cart, CartLine
from offers.combination import choose
from offers.effect import (
    Amount,
    Bundle,
    By,
    Cheapest,
    Effect,
    Every,
    FreightAmount,
    FreightPercent,
    Per,
    Percent,
    Step,
    Target,
    Tiers,
    UnitAmount,
    UnitPrice,
)
from offers.preset import OfferKind
from offers.pricing import price
from offers.rule import Condition, Rule
from offers.scope import EVERYTHING, Items, Scope

CARTS, LINES, CANDIDATES, SEED, PASSES = 300, 10, 30, 20_261_122, 3
LEAST_OFTEN, MOST_OFTEN = 0.0, 0.3  # that a pair excludes each other
LADDER = [Step(at=10_000, amount=800), Step(at=30_000, amount=3_000), Step(at=60_000, amount=7_000)]
PIECES = [Step(at=2, bp=500), Step(at=3, bp=1_000), Step(at=5, bp=1_500)]

EFFECTS: Mapping[str, Callable[[Random], Effect]] = {
    "percent": lambda pick: Percent(bp=pick.choice([500, 1_000, 2_000, 3_000]), cap=pick.choice([None, 2_000, 5_000])),
    "percent of each line": lambda pick: Percent(bp=pick.choice([500, 1_000]), per=Per.LINE),
    "amount": lambda pick: Amount(value=pick.choice([500, 1_000, 2_000, 3_000, 5_000])),
    "unit amount": lambda pick: UnitAmount(value=pick.choice([50, 200, 300])),
    "unit price": lambda pick: UnitPrice(value=pick.choice([1_900, 4_900, 9_900])),
    "ladder": lambda _: Tiers(by=By.AMOUNT, tiers=LADDER),
    "ladder of pieces": lambda _: Tiers(by=By.QTY, tiers=PIECES),
    "every": lambda pick: Every(step=20_000, amount=pick.choice([1_500, 2_500])),
    "cheapest": lambda pick: Cheapest(group=3, bp=pick.choice([5_000, 10_000]), target=pick.choice(list(Target))),
    "bundle": lambda pick: Bundle(qty=3, price=pick.choice([9_900, 19_900])),
    "freight share": lambda _: FreightPercent(bp=5_000),
    "freight amount": lambda _: FreightAmount(value=600),
}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    median_ms: float
    p99_ms: float
    exact: float  # share of the carts

    def __str__(self) -> str:
        return f"median {self.median_ms:.1f} ms, p99 {self.p99_ms:.1f} ms, exact {self.exact:.1%}"


def measure(carts: int = CARTS) -> Chosen:
    """All carts one after the other, several times: of each figure the median, for a machine that others use too."""
    pick = Random(SEED)  # noqa: S311 - the same carts on every run
    cases = [(cart, _candidates(pick, cart)) for cart in _carts(pick, carts)]
    rest_the_collector()  # as the service does
    passes = [_pass(cases) for _ in range(PASSES)]
    return Chosen(
        median_ms=median(one.median_ms for one in passes),
        p99_ms=median(one.p99_ms for one in passes),
        exact=passes[0].exact,
    )


def _pass(cases: Sequence[tuple[Cart, Sequence[Rule]]]) -> Chosen:
    seconds, exact = [], 0
    for cart, rules in cases:
        began = time.perf_counter()
        choice = choose(cart, rules)
        seconds.append(time.perf_counter() - began)
        exact += choice.optimal
    p99 = quantiles(seconds, n=100)[-1]
    return Chosen(median_ms=median(seconds) * 1_000, p99_ms=p99 * 1_000, exact=exact / len(cases))


def _carts(pick: Random, many: int) -> Iterator[Cart]:
    for _ in range(many):
        lines = [
            CartLine(
                qty=pick.choice([1, 1, 1, 2, 3, 5]),
                price=pick.randint(990, 29_900),
                shop=pick.choice("mn"),
                category=pick.choice("abcd"),
                brand=pick.choice("xyz"),
                floor=pick.choice([0, 0, 0, 500]),
            )
            for _ in range(LINES)
        ]
        yield Cart(lines=lines, freight=pick.choice([600, 1_200]))


def _candidates(pick: Random, cart: Cart) -> list[Rule]:
    often, rules = pick.uniform(LEAST_OFTEN, MOST_OFTEN), list[Rule]()
    while len(rules) < CANDIDATES:
        excludes = frozenset(rule.id for rule in rules if pick.random() < often)
        rule = _rule(pick, f"offer-{len(rules):02}", excludes)
        if price(cart, [rule]).applied:
            rules.append(rule)
    return rules


def _rule(pick: Random, rule_id: str, excludes: frozenset[str]) -> Rule:
    return Rule(
        id=rule_id,
        effect=EFFECTS[pick.choice(list(EFFECTS))](pick),
        kind=pick.choice(list(OfferKind)),
        priority=pick.choice([0, 0, 0, 1, 2]),
        exclusive=pick.random() < 1 / CANDIDATES,
        excludes=excludes,
        scope=pick.choice([EVERYTHING, Scope(named=_some(pick))]),
        condition=Condition(min_amount=pick.choice([0, 0, 5_000, 10_000, 20_000])),
        only_undiscounted=pick.random() < 1 / CANDIDATES,
    )


def _some(pick: Random) -> Items:
    return pick.choice(
        [
            Items(category=frozenset(pick.sample("abcd", 2))),
            Items(brand=frozenset(pick.choice("xyz"))),
            Items(shop=frozenset(pick.choice("mn"))),
        ]
    )


if __name__ == "__main__":
    Console().print(str(measure()))
