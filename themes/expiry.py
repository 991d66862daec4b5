"""When messages of a theme come too late: from the first end among its own and those of the offers that they name."""

from collections.abc import Iterator
from datetime import datetime
from operator import attrgetter
from typing import NamedTuple

from jinja2 import nodes

from channels.states import Channel
from themes.messages import fields_of
from themes.templating import environment_of
from themes.theme import Offer, Theme

_LOOKUPS = frozenset({"coupon", "activity", "code"})


_at = attrgetter("at")  # of ends at the same moment the first one is told


class End(NamedTuple):
    """Nothing leaves from `at` on, because of `of`."""

    at: datetime
    of: str


def first_end(theme: Theme, channel: Channel) -> End:
    """The earliest end: of the theme, or of the time in which an offer of the message may be claimed or used."""
    ends = [End(theme.window.ends_at, "the theme"), *_ends_of(_offers_of_message(theme, channel))]
    return min(ends, key=_at)


def first_of_all(theme: Theme) -> End:
    """The earliest of all channels that the theme uses."""
    ends = (first_end(theme, channel) for channel in theme.channels.used())
    return min(ends, key=_at, default=End(theme.window.ends_at, "the theme"))


def named_offers(theme: Theme, channel: Channel) -> frozenset[str] | None:
    """Ids of the offers that the message looks up by name.

    None where that cannot be told: it looks up none, and may speak of some in plain words, or one that is only known
    when it is rendered.
    """
    message = theme.channels.used().get(channel)
    fields = fields_of(channel, message.model_dump(), theme.templates) if message else ()
    trees = [environment_of(channel, html=field.html).parse(field.text) for field in fields]
    named = {offer_id for tree in trees for offer_id in _looked_up(tree)}
    return None if None in named or not named else frozenset(filter(None, named))


def _looked_up(tree: nodes.Node) -> Iterator[str | None]:
    """The id of each lookup; None for one that the text alone does not tell."""
    calls = [call for call in tree.find_all(nodes.Call) if _is_lookup(call.node)]
    for call in calls:
        only = call.args[0] if len(call.args) == 1 and not call.kwargs else None
        yield only.value if isinstance(only, nodes.Const) and isinstance(only.value, str) else None
    if sum(_is_lookup(name) for name in tree.find_all(nodes.Name)) > len(calls):
        yield None  # under another name it may be asked for anything


def _is_lookup(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name in _LOOKUPS


def _offers_of_message(theme: Theme, channel: Channel) -> Iterator[Offer]:
    named = named_offers(theme, channel)
    return (offer for offer in theme.offers() if named is None or offer.id in named)


def _ends_of(offers: Iterator[Offer]) -> Iterator[End]:
    for offer in offers:
        if offer.valid.ends_at is not None:
            yield End(offer.valid.ends_at, offer.id)
        if offer.claim is not None:
            yield End(offer.claim.ends_at, f"claiming {offer.id}")
