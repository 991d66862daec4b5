"""What becomes of a theme's offers as the theme moves: opened at launch, closed by pause, end and takedown."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from sqlalchemy.orm import Session

from models.queries import live_offers, themes
from models.queries.live_offers import Opening
from models.theme import Theme
from offers.errors import PresetUnknown
from offers.preset import OfferKind
from offers.presets import Catalogue
from offers.service.presets import catalogue_of
from offers.states import Closed
from themes.lifecycle import Move
from themes.revision import load
from themes.theme import Offer
from themes.theme import Theme as ThemeValue

_OPENING = frozenset({Move.START, Move.LAUNCH_NOW})
_CLOSING: Mapping[Move, Closed | None] = MappingProxyType(
    {Move.PAUSE: Closed.PAUSED, Move.RESUME: None, Move.END: Closed.ENDED, Move.TAKEDOWN: Closed.TAKEN_DOWN}
)


def follow(session: Session, theme: Theme, a_move: Move, *, now: datetime) -> None:
    """In the transaction that moves the theme, so that nobody sees the one without the other."""
    if a_move in _OPENING:
        open_offers(session, theme, now=now)
    elif a_move in _CLOSING:
        live_offers.close_all(session, theme_id=theme.id, because=_CLOSING[a_move])
        live_offers.changed(session, product_line_id=theme.product_line_id)


def open_offers(session: Session, theme: Theme, *, now: datetime) -> None:
    """Let the offers of a theme's revision be claimed and used, within their own periods.

    Raises:
        PresetUnknown: an offer is of a preset that this release does not know, nor whether it is given for nothing.
    """
    if theme.revision_id is None:
        raise LookupError(f"theme {theme.key!r} has no revision to open the offers of")
    value = load(themes.revision_by_id(session, theme.revision_id).content)
    catalogue = catalogue_of(session)
    live_offers.open_all(
        session,
        theme_id=theme.id,
        revision_id=theme.revision_id,
        product_line_id=theme.product_line_id,
        openings=[opening_of(value, offer, catalogue) for offer in value.offers()],
        now=now,
    )
    live_offers.changed(session, product_line_id=theme.product_line_id)


def void_held(session: Session, theme: Theme, *, now: datetime) -> int:
    """Take back what customers hold of a theme that is taken down. Returns how many coupons."""
    return live_offers.void_held(session, theme_id=theme.id, now=now)


def opening_of(theme: ThemeValue, offer: Offer, catalogue: Catalogue) -> Opening:
    preset = catalogue.of(offer.preset, offer.preset_version)
    if preset is None:
        raise PresetUnknown(preset=offer.preset, version=offer.preset_version, known=sorted(catalogue.presets))
    claim = offer.claim if offer.kind is OfferKind.COUPON else None
    return Opening(
        offer=offer.id,
        kind=offer.kind,
        claim_way=preset.claim.by if offer.kind is OfferKind.COUPON else None,
        newcomers=preset.claim.newcomers,
        timezone=theme.timezone,
        claim_from=claim.starts_at if claim else None,
        claim_to=claim.ends_at if claim else None,
        valid_from=offer.valid.starts_at,
        valid_to=offer.valid.ends_at,
        valid_days=offer.valid.days,
        total=offer.total,
        per_customer=offer.per_customer,
        per_day=offer.per_day,
        per_customer_day=offer.per_customer_day,
        per_channel={channel.value: most for channel, most in offer.per_channel.items()},
        budget_minor=offer.budget.minor if offer.budget else None,
    )
