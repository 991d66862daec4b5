"""What a message may say of its recipient."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote
from uuid import UUID

from themes.signed_links import LinkKind, LinkSigner

#: Values that a customer may lack, and the column of the customers' table that then is empty.
NULLABLE: Mapping[str, str] = {"customer.name": "name"}

#: Stands for a delivery in the links of a preview, which do nothing.
PREVIEW = "preview"

#: As long as a code is, and with a character that none has: nobody can claim anything with it.
MADE_UP_CODE = "TEST-TEST-TEST*"

CUSTOMER_FIELDS = ("id", "name", "country", "language", "timezone")

#: What `{{ … }}` in a message may name of a recipient.
VARIABLES = frozenset({*(f"customer.{field}" for field in CUSTOMER_FIELDS), "link", "unsubscribe_link"})


class _MadeUpCodes(dict[str, str]):
    """One for every coupon that is asked for."""

    def __contains__(self, _: object) -> bool:
        return True

    def __missing__(self, _: str) -> str:
        return MADE_UP_CODE


#: Where nobody's code is to be taken: a preview, a test send, an estimate.
MADE_UP_CODES: Mapping[str, str] = _MadeUpCodes()


def recipient(
    *,
    external_id: str,
    name: str | None,
    country: str,
    language: str,
    timezone: str,
    theme_key: str,
    public_url: str,
    reference: str,
) -> dict[str, Any]:
    """The values of one recipient to look at, as the renderer takes them: what she is sent has codes of her own.

    `reference` stands for the delivery in links.
    """
    return {
        "customer": {
            "id": external_id,
            "name": name,
            "country": country,
            "language": language,
            "timezone": timezone,
        },
        "codes": MADE_UP_CODES,
        **links(theme_key, public_url=public_url, reference=reference),
    }


def links(theme_key: str, *, public_url: str, reference: str) -> dict[str, str]:
    """Where a message leads: to the theme, and out of the list."""
    return {
        "link": f"{public_url}/t/{quote(theme_key, safe='')}",
        "unsubscribe_link": f"{public_url}/u/{reference}",
    }


class RecipientLinks:
    """The links of one theme's messages: prepared once, asked for each recipient."""

    def __init__(self, theme_key: str, *, public_url: str, signer: LinkSigner) -> None:
        self.to_theme = {"link": f"{public_url}/t/{quote(theme_key, safe='')}"}
        self._leave = f"{public_url}/{LinkKind.UNSUBSCRIBE.value}"
        self._signer = signer

    def of(self, delivery_id: UUID) -> dict[str, str]:
        """As `links` has them; the way out of the list is signed, so that it works without a login."""
        token = self._signer.token(LinkKind.UNSUBSCRIBE, delivery_id)
        return {**self.to_theme, "unsubscribe_link": f"{self._leave}/{token}"}


def sample(*, theme_key: str, public_url: str) -> dict[str, Any]:
    """Somebody made up, for previews of a theme that reaches nobody yet."""
    return recipient(
        external_id="0",
        name="A customer",
        country="GB",
        language="en",
        timezone="Europe/London",
        theme_key=theme_key,
        public_url=public_url,
        reference=PREVIEW,
    )
