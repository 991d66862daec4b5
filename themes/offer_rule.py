"""A theme's offers as pricing sees them: rules in plain numbers, and how they read in words."""

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from offers.errors import OfferError
from offers.preset import ClaimWay, Preset
from offers.preset_rule import Common, Terms, in_words, rule_of
from offers.presets import Catalogue
from offers.rule import Rule
from offers.scope import Items as PlainItems
from offers.scope import Scope as PlainScope
from themes import money
from themes.notation import Money, Percent
from themes.theme import Items, Offer, Scope, Theme, elsewhere

NO_PRICES: Mapping[str, int] = MappingProxyType({})


def rules_of(theme: Theme, catalogue: Catalogue, *, prices: Mapping[str, int] = NO_PRICES) -> Sequence[Rule]:
    """The rules of the offers that take anything off a cart, each known as THEME/OFFER wherever it is told.

    An offer of a preset that the catalogue lacks, or whose terms make no rule, is left out.
    """
    found = (rule_of_offer(theme, offer, catalogue, prices=prices) for offer in theme.offers())
    return [rule for rule in found if rule is not None]


def rule_of_offer(
    theme: Theme, offer: Offer, catalogue: Catalogue, *, prices: Mapping[str, int] = NO_PRICES
) -> Rule | None:
    """The same for one of them, by the preset and the version that it was drafted with."""
    preset = catalogue.of(offer.preset, offer.preset_version)
    if preset is None:
        return None
    common = Common(
        id=elsewhere(theme.key, offer.id),
        kind=offer.kind,
        scope=scope_of(offer.scope),
        priority=offer.priority,
        exclusive=offer.exclusive,
        excludes=frozenset(_everywhere(theme, name) for name in theme.excluded_from(offer.id)),
        only_undiscounted=offer.only_undiscounted,
        expires=offer.valid.ends_at,
        prices=prices,
    )
    try:
        return rule_of(preset, plain_terms(offer.parameters), common)
    except OfferError:
        return None


def words_of(offer: Offer, catalogue: Catalogue, *, currency: str, language: str = "en") -> str | None:
    """What it does, in words; None: nobody knows its preset any more."""
    preset = catalogue.of(offer.preset, offer.preset_version)
    if preset is None:
        return None
    return in_words(
        preset, plain_terms(offer.parameters), money=partial(money.in_words, currency=currency), language=language
    )


def effective_scope(offer: Offer, catalogue: Catalogue) -> PlainScope:
    """What it takes anything off: its scope, or the parameter that its preset has in the place of that."""
    preset = catalogue.of(offer.preset, offer.preset_version)
    terms = plain_terms(offer.parameters)
    own = None if preset is None else preset.alternative(terms).scope
    found: PlainScope = terms[own.removeprefix("$")] if own else scope_of(offer.scope)
    return found


def takes_off(offer: Offer, catalogue: Catalogue) -> bool:
    """Whether it takes anything off a cart by itself, as far as is known; a package of coupons does not."""
    preset = catalogue.of(offer.preset, offer.preset_version)
    return preset is None or preset.alternative(plain_terms(offer.parameters)).effect is not None


def held_coupons(preset: Preset | None, parameters: Mapping[str, Any]) -> Sequence[str] | None:
    """The coupons of a package; None: it is none."""
    is_package = preset is not None and preset.claim.by is ClaimWay.PACKAGE
    return parameters["coupons"] if is_package else None


def scope_of(scope: Scope) -> PlainScope:
    """In a file product, category and brand say what, any of them; shop says where; `except` takes away."""
    return PlainScope(named=_plain_items(scope), excluded=_plain_items(scope.excluded))


def _plain_items(items: Items) -> PlainItems:
    return PlainItems(
        sku=frozenset(items.product),
        shop=frozenset(items.shop),
        category=frozenset(items.category),
        brand=frozenset(items.brand),
    )


def plain_terms(parameters: Mapping[str, Any]) -> Terms:
    """Parameters in plain numbers: minor units, basis points."""
    return {name: _plain(value) for name, value in parameters.items()}


def _plain(value: Any) -> Any:  # noqa: ANN401 - any type of parameter
    if isinstance(value, Money):
        return value.minor
    if isinstance(value, Percent):
        return value.basis_points
    if isinstance(value, Scope):
        return scope_of(value)
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return value


def _everywhere(theme: Theme, name: str) -> str:
    return name if "/" in name else elsewhere(theme.key, name)
