"""The worst legal stack: how deep a price falls, and a margin, with all coupons of a theme in hand.

Of each product a customer buys one, or so many that a threshold of an offer is just reached, or fills up to it with
something else of the same scopes: that is where an offer takes its largest share. The worst of all is looked at once
more, with as much more as leaves a threshold when another offer comes before it. What an offer asks of other goods is
taken to be in the cart. Freight and gifts are left out: prices are of the goods.
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from functools import cached_property
from math import ceil

from offers.allocation import WHOLE
from offers.cart import Cart, CartLine
from offers.combination import STANDARD, Bounds, choose
from offers.effect import Amount, Bundle, By, Cheapest, Every, GoodsEffect, Per, Percent, Tiers
from offers.figures import BASIS_POINT
from offers.pricing import Pricer, price
from offers.rule import Condition, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """`price`, `cost` and `floor` are of one unit, in minor units; a cost of None is not known."""

    sku: str
    price: int
    cost: int | None = None
    floor: int = 0
    shop: str | None = None
    category: str | None = None
    brand: str | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What these offers together make of a product: goods of so much, by the list, are `paid` with so much."""

    product: Product
    offers: frozenset[str]
    listed: int
    paid: int
    optimal: bool = True

    @property
    def lowest_price(self) -> int:
        """Of one unit, minor units, rounded down."""
        return self.product.price * self.paid // self.listed

    @property
    def discount(self) -> Decimal:
        """Share of the price, 0 to 1, rounded up."""
        return (Decimal(self.listed - self.paid) / self.listed).quantize(BASIS_POINT, ROUND_CEILING)

    @property
    def margin(self) -> Decimal | None:
        """Share of what is paid, rounded down; where one unit is less than a minor unit, as if it were that."""
        share = _cost_of_paid(self)
        return None if share is None else Decimal(WHOLE - ceil(share * WHOLE)) / WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """`thinnest` is the stack with the lowest margin of products whose cost is known. None: there are none in scope."""

    deepest: Stack | None = None
    thinnest: Stack | None = None
    all_costs_known: bool = True

    @property
    def deepest_discount(self) -> Decimal:
        return Decimal(0) if self.deepest is None else self.deepest.discount

    @property
    def margin(self) -> Decimal | None:
        """Not known while the cost of a product in scope is not: it might be the worst."""
        return self.thinnest.margin if self.thinnest is not None and self.all_costs_known else None

    @property
    def optimal(self) -> bool:
        return all(stack.optimal for stack in (self.deepest, self.thinnest) if stack is not None)


def worst_stack(products: Iterable[Product], rules: Sequence[Rule], *, bounds: Bounds = STANDARD) -> Worst:
    """Over all products that an offer covers. Those that cost nothing by the list are passed over."""
    search = _Search()
    groups = _groups(products, [rule for rule in rules if isinstance(rule.effect, GoodsEffect)], bounds)
    for product, before in groups:
        search.look_at(_carts(product, before), product, before)
        if not (before.counts_units or product.floor):
            search.look_up(product, before)
    worst = {stack.product.sku for stack in (search.deepest, search.thinnest) if stack is not None}
    for product, before in groups:
        if product.sku in worst and (before.counts_units or product.floor):
            further = {more for amount in before.amounts for more in before.further(amount, product)}
            search.look_at(_at_amounts(sorted(further), product), product, before)
    known = all(product.cost is not None for product, _ in groups)
    return Worst(deepest=search.deepest, thinnest=search.thinnest, all_costs_known=known)


def _groups(products: Iterable[Product], rules: Sequence[Rule], bounds: Bounds) -> Sequence[tuple[Product, "_Before"]]:
    """Of products of a price that the same offers cover the one that is dearest to buy in, and one of unknown cost.

    The cheapest come first: of them an amount off takes the largest share, and the others need not be priced.
    """
    named = named_skus(rules)
    by_kind: dict[tuple[object, ...], _Before] = {}
    by_rules: dict[tuple[tuple[str, bool], ...], _Before] = {}
    groups: dict[tuple[object, ...], tuple[Product, _Before]] = {}
    for product in products:
        kind = (product.shop, product.category, product.brand, product.sku if product.sku in named else None)
        if kind not in by_kind:
            met = [_as_met(rule, product) for rule in rules if rule.scope.covers(product)]
            same = tuple((rule.id, rule.condition.scope is None) for rule in met)
            by_kind[kind] = by_rules.setdefault(same, _Before(met, product, bounds))
        before = by_kind[kind]
        if before.rules and product.price:
            key = (id(before), product.price, product.floor, product.cost is None)
            if key not in groups or (product.cost or 0) > (groups[key][0].cost or 0):
                groups[key] = product, before
    return sorted(groups.values(), key=lambda group: (group[0].price, group[0].sku))


def named_skus(rules: Iterable[Rule]) -> AbstractSet[str]:
    """By which products are told apart one by one."""
    scopes = [scope for rule in rules for scope in (rule.scope, rule.condition.scope) if scope is not None]
    return {sku for scope in scopes for items in (scope.named, scope.excluded) for sku in items.sku}


def _as_met(rule: Rule, product: Product) -> Rule:
    """What it asks for of other goods is in the cart."""
    of = rule.condition.scope
    return rule if of is None or of.covers(product) else replace(rule, condition=Condition())


class _Before:
    """What some products stand before: the same offers, which all cover them."""

    def __init__(self, rules: Sequence[Rule], product: Product, bounds: Bounds) -> None:
        self.rules, self._product, self._bounds = rules, replace(product, floor=0), bounds
        self.counts_units = any(_counts_units(rule) for rule in rules)
        self.pieces = sorted({1, *(many for rule in rules for many in _pieces(rule))})
        self.amounts = sorted({amount for rule in rules for amount in _amounts(rule) if amount})

    def at_worst(self, cart: Cart, product: Product) -> Stack:
        """A bound that is quick to find: as if each offer took as much as it ever does."""
        pricer = Pricer(cart, self.rules)
        ceilings = sorted(pricer.ceilings(pricer.start(), range(len(self.rules))).values(), reverse=True)
        listed = cart.lines[0].amount
        off = min(listed, sum(ceilings[: self._bounds.most]))
        return Stack(product=product, offers=frozenset(), listed=listed, paid=listed - off)

    def solve(self, cart: Cart, product: Product) -> Stack:
        choice = choose(cart, self.rules, bounds=self._bounds)
        return Stack(
            product=product,
            offers=frozenset(step.rule_id for step in choice.price.applied),
            listed=cart.lines[0].amount,
            paid=choice.price.lines[0],
            optimal=choice.optimal,
        )

    @cached_property
    def by_amount(self) -> Sequence[Stack]:
        """At the amounts that offers ask for, whatever one unit costs; the deepest first."""
        further = {more for amount in self.amounts for more in self.further(amount, self._of_one_unit(amount))}
        worths = [self._of_one_unit(amount) for amount in sorted({*self.amounts, *further})]
        return sorted((self.solve(_of(worth, 1), worth) for worth in worths), key=_left)

    def _of_one_unit(self, amount: int) -> Product:
        return replace(self._product, price=amount)

    def further(self, amount: int, product: Product) -> Iterator[int]:
        """So much as still leaves the amount when one other offer has taken its part before: a sum, or a share."""
        cart = next(_worth(amount, product))
        for rule in self.rules:
            left = price(cart, [rule]).goods
            if 0 < left < amount:
                yield amount + amount - left
                yield -(-amount * amount // left)


class _Search:
    def __init__(self) -> None:
        self.deepest: Stack | None = None
        self.thinnest: Stack | None = None

    def look_at(self, carts: Iterable[Cart], product: Product, before: _Before) -> None:
        for cart in carts:
            if self._is_worse(before.at_worst(cart, product)):
                self._take(before.solve(cart, product))

    def look_up(self, product: Product, before: _Before) -> None:
        """What is known of amounts already."""
        stack = next((stack for stack in before.by_amount if stack.listed > product.price), None)
        if stack is not None:
            self._take(replace(stack, product=product))

    def _take(self, stack: Stack) -> None:
        self.deepest = stack if self._is_deeper(stack) else self.deepest
        self.thinnest = stack if self._is_thinner(stack) else self.thinnest

    def _is_worse(self, stack: Stack) -> bool:
        return self._is_deeper(stack) or self._is_thinner(stack)

    def _is_deeper(self, stack: Stack) -> bool:
        return self.deepest is None or _left(stack) < _left(self.deepest)

    def _is_thinner(self, stack: Stack) -> bool:
        found = _cost_of_paid(stack)
        return found is not None and (self.thinnest is None or found > (_cost_of_paid(self.thinnest) or 0))


def _left(stack: Stack) -> Fraction:
    return Fraction(stack.paid, stack.listed)


def _cost_of_paid(stack: Stack) -> Fraction | None:
    product = stack.product
    return None if product.cost is None else product.cost / max(Fraction(1), product.price * _left(stack))


def _carts(product: Product, before: _Before) -> Iterator[Cart]:
    """The product stands in the first line of each. Without amounts where it does not matter what one unit costs."""
    for many in before.pieces:
        yield _of(product, many)
    if before.counts_units or product.floor:
        yield from _at_amounts(before.amounts, product)


def _at_amounts(amounts: Iterable[int], product: Product) -> Iterator[Cart]:
    for amount in amounts:
        if amount > product.price:
            yield from _worth(amount, product)


def _pieces(rule: Rule) -> Iterator[int]:
    """How many it asks for."""
    if rule.condition.min_qty:
        yield rule.condition.min_qty + rule.condition.apart
    match rule.effect:
        case Cheapest(group=many) | Bundle(qty=many):
            yield many
        case Tiers(by=By.QTY, tiers=steps):
            yield from (step.at for step in steps if step.at)


def _amounts(rule: Rule) -> Iterator[int]:
    """For how much money it asks."""
    yield rule.condition.min_amount
    match rule.effect:
        case Every(step=amount):
            yield amount
        case Tiers(by=By.AMOUNT, tiers=steps):
            yield from (step.at for step in steps)


def _worth(amount: int, product: Product) -> Iterator[Cart]:
    """Carts of so much, by the list: the product with something cheaper of its kind, or one more of it."""
    many, rest = divmod(amount, product.price)
    if not rest:
        yield _of(product, many)
        return
    rest_of_it = replace(product, price=rest, floor=product.floor * rest // product.price)
    yield Cart(lines=[*_of(product, many).lines, *_of(rest_of_it, 1).lines])
    yield _of(product, many + 1)


def _counts_units(rule: Rule) -> bool:
    """Whether it matters to it what one unit costs."""
    match rule.effect:
        case Amount() | Every() | Percent(per=Per.GROUP | Per.LINE) | Tiers(by=By.AMOUNT):
            return bool(rule.condition.min_qty)
    return True


def _of(product: Product, many: int) -> Cart:
    line = CartLine(
        qty=many,
        price=product.price,
        floor=product.floor,
        sku=product.sku,
        shop=product.shop,
        category=product.category,
        brand=product.brand,
    )
    return Cart(lines=[line])
