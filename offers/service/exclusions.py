"""Exclusions between offers of different themes, and the offers that a marketer may want to exclude."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from models.queries import catalogue, exclusions, live_offers, themes
from models.queries.exclusions import OffersOf
from models.theme import Theme
from offers.overlap import Reach
from offers.presets import Catalogue
from offers.scope import Scope
from offers.service.presets import catalogue_of
from themes.lifecycle import ThemeState
from themes.meeting import RUNNING, Meeting, Offered, Product, meetings, window_of
from themes.offer_rule import effective_scope, takes_off
from themes.revision import freeze, offer_of
from themes.theme import Theme as ThemeValue
from themes.theme import elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions:
    """What the offers of a theme meet. The scope of those that are `uncovered` has no product: they meet nothing."""

    meetings: Sequence[Meeting]
    uncovered: Sequence[str]

    @property
    def open(self) -> Sequence[Meeting]:
        """Those that are not excluded: both would take effect."""
        return [one for one in self.meetings if not one.excluded]

    def in_words(self, key: str) -> str:
        """One line for the report of a draft; "" where there is nothing to look at."""
        if not self.open:
            return ""
        beyond = sum("/" in one.other for one in self.open)
        where = f", with other themes: {beyond}" if beyond else ""
        count = f"{len(self.open)}{where}"
        return f"pairs of offers that can take effect together: {count} (themeline exclusions suggest {key})"


def known_offers(session: Session, names: Iterable[str], *, product_line: str) -> frozenset[str]:
    """Of offers named as THEME/OFFER those that there are in a product line."""
    found = exclusions.existing(session, _split(names), product_line=product_line)
    return frozenset(elsewhere(one.theme, one.offer) for one in found)


def keep_exclusions(session: Session, theme: Theme, value: ThemeValue) -> None:
    """Remember which offers of other themes a theme's file excludes; what their files name stays."""
    pairs = [(own, other) for own, other in map(_own_first, value.exclusions) if "/" in other]
    there = exclusions.existing(session, _split(other for _, other in pairs), product_line=value.product_line)
    by_name = {elsewhere(one.theme, one.offer): one for one in there}
    named = [(own, by_name[other]) for own, other in pairs if other in by_name]
    if exclusions.keep_pairs(session, theme_id=theme.id, named=named):
        live_offers.changed(session, product_line_id=theme.product_line_id)


def with_exclusions(session: Session, theme: Theme, value: ThemeValue) -> ThemeValue:
    """The theme with the pairs that files of other themes name: whoever names one, it is part of both offers."""
    own = {offer.id for offer in value.offers()}
    pairs = [pair for pair in exclusions.pairs_of(session, theme.id) if pair.own in own]
    more = {_ordered(pair.own, elsewhere(pair.theme, pair.other)) for pair in pairs if pair.by_other}
    if more <= set(value.exclusions):
        return value
    return value.model_copy(update={"exclusions": tuple(sorted({*value.exclusions, *more}))})


def suggest(session: Session, theme: Theme) -> Suggestions:
    """Every offer that one of this theme meets: of the same theme, and of others of the product line that run.

    Running is everything from review on; a theme that has ended or was taken down is left out, whatever coupons of it
    may still be in somebody's hands.
    """
    content = theme.draft if theme.revision_id is None else themes.revision_by_id(session, theme.revision_id).content
    own = OffersOf(theme_id=theme.id, theme=theme.key, title=theme.title, state=theme.state, offers=content["offers"])
    return _suggestions(session, own, product_line_id=theme.product_line_id)


def suggest_for(session: Session, value: ThemeValue) -> Suggestions:
    """The same of a theme that is not saved yet, or not as this."""
    line = themes.product_line_by_key(session, value.product_line)
    if line is None:
        return Suggestions(meetings=(), uncovered=())
    saved = themes.theme_by_key(session, value.key)
    own = OffersOf(
        theme_id=0 if saved is None else saved.id,
        theme=value.key,
        title=value.title,
        state=ThemeState.DRAFT if saved is None else saved.state,
        offers=freeze(value).content["offers"],
    )
    return _suggestions(session, own, product_line_id=line.id)


def _suggestions(session: Session, part: OffersOf, *, product_line_id: int) -> Suggestions:
    presets = catalogue_of(session)
    found = exclusions.offers_in(session, product_line_id=product_line_id, states=RUNNING, but=part.theme_id)
    own = _offered(part, presets)
    others = [one for theme in found for one in _offered(theme, presets)]
    reach = _reach(session, product_line_id, [one.scope for one in (*own, *others)])
    ticked = _ticked(session, part)
    return Suggestions(
        meetings=list(meetings(own, others, reach, ticked)),
        uncovered=[one.offer.id for one in own if not reach.covers_any(one.scope)],
    )


def _offered(part: OffersOf, presets: Catalogue) -> list[Offered]:
    offers = [offer_of(values) for values in part.offers.values()]
    return [
        Offered(
            offer=offer,
            theme=part.theme,
            state=part.state,
            scope=effective_scope(offer, presets),
            window=window_of(offer),
        )
        for offer in offers
        if takes_off(offer, presets)
    ]


def _reach(session: Session, product_line_id: int, scopes: Iterable[Scope]) -> Reach[Product]:
    named = {sku for scope in scopes for sku in (*scope.named.sku, *scope.excluded.sku)}
    return Reach[Product](catalogue.representatives(session, product_line_id=product_line_id, named=named))


def _ticked(session: Session, part: OffersOf) -> frozenset[tuple[str, str]]:
    """The pairs of a theme's content, and those that other files have named since."""
    inside = {_ordered(one, other) for one, values in part.offers.items() for other in values.get("excluded_from", ())}
    since = exclusions.pairs_of(session, part.theme_id)
    return frozenset(inside | {_ordered(pair.own, elsewhere(pair.theme, pair.other)) for pair in since})


def _own_first(pair: tuple[str, str]) -> tuple[str, str]:
    one, other = pair
    return (other, one) if "/" in one else (one, other)


def _ordered(one: str, other: str) -> tuple[str, str]:
    return min(one, other), max(one, other)


def _split(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(theme, offer) for theme, _, offer in (name.partition("/") for name in names)]
