"""From an offer's preset and its own terms to the rule that pricing applies, and to words that people read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import Any

from offers.effect import EFFECTS, By, Effect, Gift, Per, Step, Target, Tiers
from offers.preset import OfferKind, Parameter, ParameterType, Preset
from offers.preset_template import FORMS, filled, percent, told
from offers.rule import Condition, Rule
from offers.scope import EVERYTHING, Items, Scope

#: Parameters in plain numbers: minor units, basis points, counts; scopes as `Scope`, steps as mappings of the same.
Terms = Mapping[str, Any]
#: How an amount of minor units is told in its currency.
Money = Callable[[int], str]

_CHOICES: Mapping[str, type[StrEnum]] = MappingProxyType({"per": Per, "by": By, "target": Target})


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every offer has, whatever its preset."""

    id: str
    kind: OfferKind
    scope: Scope = EVERYTHING
    priority: int = 0
    exclusive: bool = False
    excludes: frozenset[str] = frozenset()
    only_undiscounted: bool = False
    expires: datetime | None = None
    #: What products cost, minor units: what a gift is worth.
    prices: Mapping[str, int] = field(default_factory=dict)


def rule_of(preset: Preset, terms: Terms, common: Common) -> Rule | None:
    """The rule of an offer; None: it takes nothing off a cart by itself, as a package of coupons does not.

    Raises:
        LadderFalls, StepOfNothing: no offer can have such terms.
    """
    alternative = preset.alternative(terms)
    if alternative.effect is None:
        return None
    return Rule(
        id=common.id,
        effect=_effect(filled(alternative.effect, terms), common.prices),
        kind=common.kind,
        priority=common.priority,
        exclusive=common.exclusive,
        excludes=common.excludes,
        scope=filled(alternative.scope, terms) or common.scope,
        condition=Condition(**filled(alternative.condition, terms)),
        only_undiscounted=common.only_undiscounted,
        expires=common.expires,
    )


def _effect(values: Mapping[str, Any], prices: Mapping[str, int]) -> Effect:
    kind: Callable[..., Effect] = EFFECTS[values["type"]]
    given: dict[str, Any] = {
        key: _CHOICES[key](value) if key in _CHOICES else value for key, value in values.items() if key != "type"
    }
    if kind is Tiers:
        given["tiers"] = tuple(Step(**step) for step in given["tiers"])
    if kind is Gift:
        first, *others = given.pop("one_of")
        worth = max(prices.get(sku, 0) for sku in (first, *others))
        return Gift(sku=first, instead=tuple(others), price=worth, **given)
    return kind(**given)


def in_words(preset: Preset, terms: Terms, *, money: Money, language: str = "en") -> str:
    """What an offer does, for those who approve it and those who use it; `language` is en or zh."""
    reads = preset.alternative(terms).reads
    each = "" if reads.each is None else reads.each.of(language)
    say = _Saying(money=money, language=language, each=each)
    return told(reads.of(language), say.values(preset.parameters, terms))


def scope_in_words(scope: Scope, language: str = "en") -> str:
    """Which goods a scope names: `category bags or brand x, in shop s, except product 7`."""
    words = _CHINESE if language == "zh" else _ENGLISH
    named = _items(scope.named, words) or words["everything"]
    return named + (words["except"] + _items(scope.excluded, words) if scope.excluded else "")


_ENGLISH = MappingProxyType(
    {
        "everything": "everything",
        "sku": "product ",
        "category": "category ",
        "brand": "brand ",
        "or": " or ",
        "shop": "in shop ",
        "shop_and": ", ",
        "except": ", except ",
        "and": ", ",
    }
)
_CHINESE = MappingProxyType(
    {
        "everything": "全部商品",
        "sku": "商品 ",
        "category": "类目 ",
        "brand": "品牌 ",
        "or": "或",
        "shop": "店铺 ",
        "shop_and": "，限",
        "except": "，不含",
        "and": "、",
    }
)


def _items(items: Items, words: Mapping[str, str]) -> str:
    lists = {"sku": items.sku, "category": items.category, "brand": items.brand}
    what = words["or"].join(words[name] + words["and"].join(sorted(one)) for name, one in lists.items() if one)
    where = words["shop"] + words["and"].join(sorted(items.shop)) if items.shop else ""
    return words["shop_and"].join(part for part in (what, where) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Saying:
    money: Money
    language: str
    each: str  # how a step reads

    def values(self, parameters: Mapping[str, Parameter], terms: Terms) -> dict[str, Callable[[str], str]]:
        return dict(self._given(parameters, terms))

    def _given(self, parameters: Mapping[str, Parameter], terms: Terms) -> Iterator[tuple[str, Callable[[str], str]]]:
        for name, parameter in parameters.items():
            if terms.get(name) is not None:
                yield name, partial(self._value, parameter, terms[name])

    def _value(self, parameter: Parameter, value: Any, form: str) -> str:  # noqa: ANN401 - as plain as its type
        match parameter.type:
            case ParameterType.MONEY:
                return self.money(value)
            case ParameterType.PERCENT:
                return FORMS[form](value) if form else percent(value)
            case ParameterType.SCOPE:
                return scope_in_words(value, self.language)
            case ParameterType.PRODUCTS | ParameterType.COUPONS | ParameterType.STEPS:
                return _BETWEEN[parameter.type][self.language == "zh"].join(self._items(parameter, value))
        return str(value)

    def _items(self, parameter: Parameter, values: Sequence[Any]) -> Sequence[str]:
        if parameter.type is not ParameterType.STEPS:
            return values
        return [told(self.each, self.values(parameter.fields, step)) for step in values]


#: In English and in Chinese: one of the products, all of the coupons and steps.
_BETWEEN: Mapping[ParameterType, tuple[str, str]] = MappingProxyType(
    {
        ParameterType.PRODUCTS: (" or ", "或"),
        ParameterType.COUPONS: (", ", "、"),
        ParameterType.STEPS: ("; ", "；"),
    }
)
