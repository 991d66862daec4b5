"""The theme file: from its text to a Theme, or to everything that is wrong with it."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from channels.states import Channel
from documents.problem import Problem, listed
from documents.shape import Findings, read_fields, unknown_key
from documents.source import Source, SourceUnreadable, join_path, read_source
from offers.presets import Catalogue, OfferKind, standard_catalogue
from themes.checks import check_messages_fit, check_offers, check_placements
from themes.errors import ThemeInvalid
from themes.money import EXPONENTS
from themes.notation import (
    Amount,
    Currency,
    Key,
    Line,
    Login,
    Notation,
    PolicyName,
    ProductLine,
    Vocabulary,
    Zone,
    normalised,
    zone_of,
)
from themes.offer_file import ReadOffer, make_offer, read_offer
from themes.template_check import check_messages
from themes.theme import MESSAGES, Audience, ChannelMessage, Channels, Exclusions, Goals, Period, Placement, Theme

__all__ = ["Problem", "ThemeInvalid", "Vocabulary", "offers_elsewhere", "parse_theme", "template_names"]

Listed = Annotated[list[Any], Field(strict=True)]


class ThemeFile(BaseModel):
    """The top level of the file. Offers and messages are read one by one, each against its own model."""

    model_config = ConfigDict(extra="forbid")

    theme: Key
    title: Line
    product_line: ProductLine
    author: Login
    currency: Currency
    timezone: Zone
    window: Period
    goals: Goals = Goals()
    budget: Amount
    coupons: Listed = Field(default_factory=list)
    activities: Listed = Field(default_factory=list)
    exclusions: Exclusions = ()
    audience: Audience
    channels: Annotated[dict[str, Any], Field(strict=True)]
    placements: tuple[Placement, ...] = ()
    policy: PolicyName


def parse_theme(
    text: str, *, templates: Mapping[str, str], known: Vocabulary, catalogue: Catalogue | None = None
) -> Theme:
    """Read a theme file.

    Args:
        text: the YAML of the theme file.
        templates: the text of each template file beside it, by name.
        known: what is known outside the file.
        catalogue: the rule presets; without it the ones that come with the project.

    Raises:
        ThemeInvalid: with every problem that could be seen at once.
    """
    source = _source(text)
    templates = {name: normalised(template) for name, template in templates.items()}
    findings = Findings(lines=source.lines, unread=source.problems)
    notation = _notation(source.values, known)
    fields = read_fields(ThemeFile, source.values, at="", context=notation, findings=findings)
    offers = _read_offers(fields, notation=notation, catalogue=catalogue or standard_catalogue(), findings=findings)
    messages = _read_messages(fields.get("channels"), notation=notation, findings=findings)
    check_placements(fields.get("placements", ()), findings=findings)
    check_offers(
        offers,
        window=fields.get("window"),
        exclusions=_own_names(source.values.get("exclusions"), fields.get("theme")),
        notation=notation,
        findings=findings,
    )
    check_messages_fit(messages, templates, findings=findings)
    check_messages(messages, templates, offers=offers, known=known, findings=findings)
    if problems := findings.in_order():
        raise ThemeInvalid(problems)
    return _theme(fields, offers, messages, templates)


def template_names(text: str) -> tuple[str, ...]:
    """The template files that the theme file refers to, for whoever reads them from the disk or a form.

    Raises:
        ThemeInvalid: the file is not YAML at all. What else is wrong `parse_theme` tells.
    """
    channels = _source(text).values.get("channels")
    email = channels.get("email") if isinstance(channels, Mapping) else None
    named = [email.get(part) for part in ("html", "text")] if isinstance(email, Mapping) else []
    return tuple(dict.fromkeys(name for name in named if isinstance(name, str)))


class Elsewhere(NamedTuple):
    """What a theme file names of other themes."""

    product_line: str
    offers: frozenset[str]  # as THEME/OFFER


def offers_elsewhere(text: str) -> Elsewhere:
    """The offers of other themes that the theme file names, for whoever knows whether there are such.

    Raises:
        ThemeInvalid: the file is not YAML at all.
    """
    values = _source(text).values
    pairs = _own_names(values.get("exclusions"), values.get("theme"))
    named = (pair for pair in pairs if isinstance(pair, list)) if isinstance(pairs, list) else ()
    names = frozenset(name for pair in named for name in pair if isinstance(name, str) and "/" in name)
    return Elsewhere(product_line=str(values.get("product_line")), offers=names)


def _own_names(exclusions: object, key: object) -> object:
    """The pairs as the file has them; an offer of this theme is known by its id alone, however it was named."""
    if not isinstance(exclusions, list | tuple):
        return exclusions
    return [
        [name.removeprefix(f"{key}/") if isinstance(name, str) else name for name in pair]
        if isinstance(pair, list | tuple)
        else pair
        for pair in exclusions
    ]


def _source(text: str) -> Source:
    try:
        return read_source(text, is_not="a theme: keys such as 'theme:' and 'title:' are missing")
    except SourceUnreadable as unreadable:
        raise ThemeInvalid(unreadable.problems) from unreadable


def _notation(values: Mapping[str, object], known: Vocabulary) -> Notation:
    currency = values.get("currency")
    return Notation(
        zone=zone_of(values.get("timezone")),
        currency=currency if isinstance(currency, str) and currency in EXPONENTS else None,
        known=known,
    )


def _read_offers(
    fields: Mapping[str, Any], *, notation: Notation, catalogue: Catalogue, findings: Findings
) -> list[ReadOffer]:
    lists = ((OfferKind.COUPON, "coupons"), (OfferKind.ACTIVITY, "activities"))
    return [
        read_offer(values, kind=kind, at=join_path(name, at), notation=notation, catalogue=catalogue, findings=findings)
        for kind, name in lists
        for at, values in enumerate(fields.get(name, ()))
    ]


def _read_messages(values: Any, *, notation: Notation, findings: Findings) -> dict[Channel, dict[str, Any]]:  # noqa: ANN401 - as the file has it
    if values is None:
        return {}
    if not values:
        findings.add("channels", "has no channel; a theme needs at least one", allowed=listed(Channels.model_fields))
    messages = {}
    for name, message in values.items():
        path = join_path("channels", name)
        if name in Channels.model_fields:
            channel = Channel(name)
            messages[channel] = read_fields(MESSAGES[channel], message, at=path, context=notation, findings=findings)
        else:
            unknown_key(name, Channels.model_fields, at="channels", findings=findings)
    return messages


def _theme(
    fields: Mapping[str, Any],
    offers: list[ReadOffer],
    messages: Mapping[Channel, dict[str, Any]],
    templates: Mapping[str, str],
) -> Theme:
    made = [offer for read in offers if (offer := make_offer(read, window=fields["window"]))]
    values = {
        name: value for name, value in fields.items() if name not in {"theme", "coupons", "activities", "channels"}
    }
    sent: dict[str, ChannelMessage] = {
        channel.value: MESSAGES[channel].model_construct(**message) for channel, message in messages.items()
    }
    email = messages.get(Channel.EMAIL, {})
    used = {name: templates[name] for name in (email.get("html"), email.get("text")) if name}
    return Theme.model_validate(
        {
            **values,
            "key": fields["theme"],
            "exclusions": _own_names(fields["exclusions"], fields["theme"]),
            "coupons": [offer for offer in made if offer.kind is OfferKind.COUPON],
            "activities": [offer for offer in made if offer.kind is OfferKind.ACTIVITY],
            "channels": Channels.model_validate(sent),
            "templates": used,
        }
    )
