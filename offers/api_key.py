"""Keys with which the server of a shop asks: made by chance, shown once, known by their hash only."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from documents.problem import did_you_mean, listed
from offers.errors import OfferError
from themes.theme import RedeemIn

MOST_PER_SECOND = 100_000
MOST_CHARACTERS = 100
_BYTES = 32
#: So that whoever finds one in a file or a log knows what it is.
_PREFIX = "tl_"
_FORM = re.compile(r"tl_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: one key, which sees one product line only, and whose claims and redemptions are of one channel."""

    key_id: int
    product_line_id: int
    channel: RedeemIn
    per_second: int


class ApiKeyInvalid(OfferError, ValueError):
    """What a key is to have cannot be."""

    def __init__(self, *, problem: str) -> None:
        self.problem = problem
        super().__init__(f"no key can be made so: {problem}")


class ApiKeyNameTaken(OfferError):
    """A name stands for one key of a product line, for good: what was done with it stays on record."""

    def __init__(self, *, product_line: str, name: str, revoked: bool) -> None:
        self.product_line, self.name, self.revoked = product_line, name, revoked
        which = "a revoked key" if revoked else "a key"
        super().__init__(f"{product_line} has {which} of the name {name!r} already: take another name")


class ApiKeyUnknown(OfferError):
    """There is no key of that name."""

    def __init__(self, *, product_line: str, name: str, known: Sequence[str]) -> None:
        self.product_line, self.name, self.known = product_line, name, tuple(known)
        super().__init__(
            f"{product_line} has no key of the name {name!r}{did_you_mean(name, known)}; there are {listed(known)}"
        )


def new_secret() -> str:
    """256 bits by chance."""
    return _PREFIX + secrets.token_urlsafe(_BYTES)


def hash_of(secret: str) -> str:
    """SHA-256 in hex. Nothing slower is needed: no list of likely secrets holds one that was made by chance."""
    return hashlib.sha256(secret.encode()).hexdigest()


def looks_like_secret(text: str) -> bool:
    """Whether it is worth asking the database."""
    return _FORM.fullmatch(text) is not None


def checked_name(name: str) -> str:
    """Raises ApiKeyInvalid."""
    plain = name.strip()
    if not plain or len(plain) > MOST_CHARACTERS or not plain.isprintable():
        raise ApiKeyInvalid(problem=f"its name needs 1 to {MOST_CHARACTERS} characters that can be printed")
    return plain


def checked_rate(per_second: int) -> int:
    """Raises ApiKeyInvalid."""
    if not 1 <= per_second <= MOST_PER_SECOND:
        raise ApiKeyInvalid(problem=f"{per_second} requests a second are not 1 to {MOST_PER_SECOND}")
    return per_second
