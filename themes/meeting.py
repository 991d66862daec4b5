"""Which offers meet: their windows do, and their scopes share a product of the catalogue."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from offers.overlap import Reach
from offers.scope import Scope
from themes.lifecycle import ThemeState
from themes.theme import Offer, elsewhere

#: In these an offer runs, or is to be decided on, or will run.
RUNNING = frozenset(
    {ThemeState.IN_REVIEW, ThemeState.APPROVED, ThemeState.SCHEDULED, ThemeState.LIVE, ThemeState.PAUSED}
)


class Product(Protocol):
    """One of the catalogue."""

    @property
    def sku(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def shop(self) -> str | None: ...
    @property
    def category(self) -> str | None: ...
    @property
    def brand(self) -> str | None: ...


class Window(NamedTuple):
    starts_at: datetime
    ends_at: datetime

    def meeting(self, other: "Window") -> "Window | None":
        both = Window(max(self.starts_at, other.starts_at), min(self.ends_at, other.ends_at))
        return both if both.starts_at < both.ends_at else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """An offer of a theme, with what it takes anything off."""

    offer: Offer
    theme: str
    state: ThemeState
    scope: Scope
    window: Window

    @property
    def name(self) -> str:
        return elsewhere(self.theme, self.offer.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Two offers that can take effect in one cart, and what shows it."""

    offer: str
    other: str  # by its id in the same theme, else THEME/OFFER
    other_title: str
    state: ThemeState  # of the other's theme
    starts_at: datetime  # of the time that both have
    ends_at: datetime
    sku: str
    product: str
    excluded: bool  # whether the pair is ticked already


def window_of(offer: Offer) -> Window:
    """When it can be used: of a coupon that is valid for days after its claim, from the first claim on to the last."""
    valid, claim = offer.valid, offer.claim
    if valid.starts_at is not None and valid.ends_at is not None:
        return Window(valid.starts_at, valid.ends_at)
    if claim is None or valid.days is None:
        raise ValueError(f"offer {offer.id!r} has no window: its validity is in days, and it is not claimed")
    return Window(claim.starts_at, claim.ends_at + timedelta(days=valid.days))


def meetings(
    own: Sequence[Offered], others: Iterable[Offered], reach: Reach[Product], excluded: Collection[tuple[str, str]]
) -> Iterator[Meeting]:
    """Whatever of these meets an own offer; own offers among each other are told once.

    `excluded` are the pairs that may not take effect together, by their names within the theme, in order.
    """
    beside = list(others)
    for number, one in enumerate(own):
        for other in (*own[number + 1 :], *beside):
            window = one.window.meeting(other.window)
            product = reach.shared(one.scope, other.scope) if window else None
            if window and product:
                known_as = other.offer.id if other.theme == one.theme else other.name
                pair = (min(one.offer.id, known_as), max(one.offer.id, known_as))
                yield Meeting(
                    offer=one.offer.id,
                    other=known_as,
                    other_title=other.offer.name,
                    state=other.state,
                    starts_at=window.starts_at,
                    ends_at=window.ends_at,
                    sku=product.sku,
                    product=product.name,
                    excluded=pair in excluded,
                )
