"""A revision: the content of a theme, frozen, with a hash for the theme part and for each offer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from offers.presets import OfferKind
from themes.canonical import canonical_json, normalised_values, sha256_hex
from themes.errors import ThemeError
from themes.theme import Offer, Theme

FORMAT = 1


class RevisionUnreadable(ThemeError):
    """The content is not that of a revision which this version of the program wrote or can still read."""

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the content of the revision cannot be read: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """`content` is plain JSON: `{format, theme: {…}, offers: {id: {…}}}`; hashes are SHA-256 in hexadecimal."""

    content: Mapping[str, Any]
    hash: str
    theme_hash: str
    offer_hashes: Mapping[str, str]

    def canonical(self) -> str:
        return canonical_json(self.content)


def freeze(theme: Theme) -> Revision:
    """The same content gives the same hashes, however the file ordered or wrote it."""
    return revision_of(_content(theme))


def revision_of(content: Mapping[str, Any]) -> Revision:
    """The revision whose content this is, its hashes computed afresh."""
    try:
        offers = {offer_id: sha256_hex(offer) for offer_id, offer in content["offers"].items()}
        return Revision(
            content=content, hash=sha256_hex(content), theme_hash=sha256_hex(content["theme"]), offer_hashes=offers
        )
    except (KeyError, AttributeError, TypeError) as error:
        raise RevisionUnreadable(reason=f"{error!r}") from error


def load(content: Mapping[str, Any]) -> Theme:
    """The theme that was frozen.

    Raises:
        RevisionUnreadable: the content is not that of a revision.
    """
    if content.get("format") != FORMAT:
        raise RevisionUnreadable(reason=f"its format is {content.get('format')!r}, not {FORMAT}")
    try:
        offers = [offer_of(values) for values in content["offers"].values()]
        by_kind = {kind: [offer for offer in offers if offer.kind is kind] for kind in OfferKind}
        lists = {"coupons": by_kind[OfferKind.COUPON], "activities": by_kind[OfferKind.ACTIVITY]}
        return Theme.model_validate({**content["theme"], **lists})
    except (ValidationError, KeyError, AttributeError, TypeError) as error:
        raise RevisionUnreadable(reason=str(error)) from error


def offer_of(values: Mapping[str, Any]) -> Offer:
    """An offer as the content of a revision has it."""
    return Offer.model_validate({name: value for name, value in values.items() if name != "excluded_from"})


def _content(theme: Theme) -> dict[str, Any]:
    # Defaults are left out: a later version may add keys, and yet old content keeps its hash.
    part = theme.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"coupons", "activities"})
    ids = {"coupons": [offer.id for offer in theme.coupons], "activities": [offer.id for offer in theme.activities]}
    offers = {offer.id: _offer_part(theme, offer) for offer in theme.offers()}
    content: dict[str, Any] = normalised_values({"format": FORMAT, "theme": {**part, **ids}, "offers": offers})
    return content


def _offer_part(theme: Theme, offer: Offer) -> dict[str, Any]:
    part = offer.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    excluded = theme.excluded_from(offer.id)
    return {**part, "excluded_from": list(excluded)} if excluded else part
