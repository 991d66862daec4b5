"""When messages of a theme come too late: from the first end among its own and those of its offers."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from themes.theme import Theme


class End(NamedTuple):
    """Nothing leaves from `at` on, because of `of`."""

    at: datetime
    of: str


def first_end(theme: Theme) -> End:
    """The earliest end: of the theme, or of the time in which an offer may be claimed or used."""
    return min([End(theme.window.ends_at, "the theme"), *_ends_of_offers(theme)])


def _ends_of_offers(theme: Theme) -> Iterator[End]:
    for offer in theme.offers():
        if offer.valid.ends_at is not None:
            yield End(offer.valid.ends_at, offer.id)
        if offer.claim is not None:
            yield End(offer.claim.ends_at, f"claiming {offer.id}")
