"""The rules of all offers that carts of a product line may meet, held in memory for as long as they stay the same."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import NamedTuple

from sqlalchemy.orm import Session

from models.offer import LiveOffer
from models.queries import live_rules
from offers.live_rule import LiveRule, UseLimits
from offers.preset import OfferKind, ParameterType
from offers.presets import Catalogue
from offers.rule import Rule
from offers.service.presets import catalogue_of
from themes.offer_rule import rule_of_offer
from themes.revision import load
from themes.theme import Offer, Theme

#: Of revisions that are read already.
_MOST_KEPT = 1_000


class _Part(NamedTuple):
    """An offer of a revision, which never changes."""

    offer: Offer
    rule: Rule | None


@dataclass(frozen=True)
class LiveRules:
    """Of one product line, as they were at one version of its live offers."""

    version: int
    rules: Mapping[int, LiveRule]

    @cached_property
    def by_name(self) -> Mapping[str, LiveRule]:
        return {live.name: live for live in self.rules.values()}

    @cached_property
    def activities(self) -> Sequence[LiveRule]:
        return [live for live in self.rules.values() if live.kind is OfferKind.ACTIVITY and live.rule is not None]

    @cached_property
    def themes(self) -> Mapping[int, str]:
        """Key by id."""
        return {live.theme_id: live.name.partition("/")[0] for live in self.rules.values()}

    @cached_property
    def limited(self) -> Sequence[int]:
        """Those of which something may run out."""
        return [
            live.id
            for live in self.rules.values()
            if live.budget is not None or live.limits.counts or live.limits.total is not None
        ]

    @cached_property
    def counted(self) -> Sequence[LiveRule]:
        return [live for live in self.rules.values() if live.limits.counts]

    @cached_property
    def has_newcomers(self) -> bool:
        return any(live.newcomers for live in self.rules.values())


class RuleBook:
    """One for a process; threads may share it. It reads through whatever session it is handed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lines: dict[int, LiveRules] = {}
        self._revisions: dict[int, Mapping[str, _Part]] = {}

    def held(self, session: Session, *, product_line_id: int, now: datetime) -> LiveRules:
        """As they were when they were last looked at; whoever uses them sees whether their version still stands."""
        found = self._lines.get(product_line_id)
        return found or self.read(session, product_line_id=product_line_id, now=now)

    def read(self, session: Session, *, product_line_id: int, now: datetime) -> LiveRules:
        """As they are now. The version is read first: what changes meanwhile is seen as a change by whoever is next."""
        version = live_rules.version_of(session, product_line_id)
        rows = live_rules.usable(session, product_line_id=product_line_id, now=now)
        found = LiveRules(version=version, rules=self._rules(session, rows))
        with self._lock:
            self._lines[product_line_id] = found
        return found

    def of(self, session: Session, ids: Collection[int]) -> Mapping[int, LiveRule]:
        """Of any live offers, be they long over."""
        return self._rules(session, live_rules.by_ids(session, ids))

    def _rules(self, session: Session, rows: Sequence[tuple[LiveOffer, str]]) -> dict[int, LiveRule]:
        parts = self._parts(session, rows)
        return {row.id: _live_rule(row, theme, parts[row.revision_id][row.offer]) for row, theme in rows}

    def _parts(self, session: Session, rows: Sequence[tuple[LiveOffer, str]]) -> Mapping[int, Mapping[str, _Part]]:
        line_of = {row.revision_id: row.product_line_id for row, _ in rows}
        with self._lock:
            known = {one: self._revisions[one] for one in line_of if one in self._revisions}
        missing = line_of.keys() - known.keys()
        if missing:
            read = dict(_read(session, {one: line_of[one] for one in missing}))
            self._keep(read)
            known |= read
        return known

    def _keep(self, read: Mapping[int, Mapping[str, _Part]]) -> None:
        with self._lock:
            self._revisions.update(read)
            for oldest in list(self._revisions)[:-_MOST_KEPT]:
                del self._revisions[oldest]


def _read(session: Session, line_of: Mapping[int, int]) -> Iterator[tuple[int, Mapping[str, _Part]]]:
    catalogue = catalogue_of(session)
    for revision_id, content in live_rules.contents(session, line_of.keys()).items():
        theme = load(content)
        prices = live_rules.prices(session, product_line_id=line_of[revision_id], skus=_gifts(theme, catalogue))
        yield (
            revision_id,
            {
                offer.id: _Part(offer=offer, rule=rule_of_offer(theme, offer, catalogue, prices=prices))
                for offer in theme.offers()
            },
        )


def _gifts(theme: Theme, catalogue: Catalogue) -> Collection[str]:
    """Products that offers name by a parameter, whose prices tell what a gift is worth."""
    named = set[str]()
    for offer in theme.offers():
        preset = catalogue.of(offer.preset, offer.preset_version)
        for name in () if preset is None else preset.of_type(ParameterType.PRODUCTS):
            found = offer.parameters.get(name)
            if isinstance(found, tuple):
                named.update(sku for sku in found if isinstance(sku, str))
    return named


def _live_rule(row: LiveOffer, theme: str, part: _Part) -> LiveRule:
    return LiveRule(
        id=row.id,
        name=f"{theme}/{row.offer}",
        theme_id=row.theme_id,
        revision_id=row.revision_id,
        offer=row.offer,
        title=part.offer.name,
        kind=row.kind,
        claim_way=row.claim_way,
        newcomers=row.newcomers,
        rule=part.rule,
        redeem_in=part.offer.redeem_in,
        timezone=row.timezone,
        claim_from=row.claim_from,
        claim_to=row.claim_to,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        limits=UseLimits(
            total=row.total,
            per_customer=row.per_customer,
            per_day=row.per_day,
            per_customer_day=row.per_customer_day,
            per_channel=row.per_channel,
        ),
        budget=row.budget_minor,
        given_back=part.offer.given_back,
        refund=part.offer.refund,
        closed=row.closed,
    )
