"""Keys of the HTTP API: made, listed, revoked, and looked up by what a request shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models.api_key import ApiKey
from models.product_line import ProductLine
from models.queries import api_keys, themes
from offers.api_key import (
    ApiKeyNameTaken,
    ApiKeyUnknown,
    Caller,
    checked_name,
    checked_rate,
    hash_of,
    looks_like_secret,
    new_secret,
)
from offers.errors import ProductLineUnknown
from themes.theme import RedeemIn


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReport:
    """A key, without its secret, which nobody knows any more."""

    product_line: str
    name: str
    channel: RedeemIn
    per_second: int
    created_by: str
    created_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None


def create_key(
    session: Session, *, product_line: str, name: str, channel: RedeemIn, per_second: int, by: str, now: datetime
) -> str:
    """Returns the secret, which is kept nowhere.

    Raises:
        ProductLineUnknown
        ApiKeyInvalid: the name, or the rate.
        ApiKeyNameTaken
    """
    line, plain, secret = _line(session, product_line), checked_name(name), new_secret()
    made = api_keys.insert_if_new(
        session,
        product_line_id=line.id,
        name=plain,
        channel=channel,
        per_second=checked_rate(per_second),
        hash_=hash_of(secret),
        by=by,
        now=now,
    )
    if not made:
        there = api_keys.by_name(session, product_line_id=line.id, name=plain)
        revoked = there is not None and there.revoked_at is not None
        raise ApiKeyNameTaken(product_line=line.key, name=plain, revoked=revoked)
    return secret


def revoke_key(session: Session, *, product_line: str, name: str, by: str, now: datetime) -> KeyReport:
    """Refuse the key from now on; processes that know it do so within seconds. One that is revoked stays as it is.

    Raises:
        ProductLineUnknown
        ApiKeyUnknown
    """
    line = _line(session, product_line)
    key = api_keys.locked_by_name(session, product_line_id=line.id, name=name.strip())
    if key is None:
        known = api_keys.names(session, product_line_id=line.id)
        raise ApiKeyUnknown(product_line=line.key, name=name, known=known)
    if key.revoked_at is None:
        key.revoked_by, key.revoked_at = by, now
        session.flush()
    return _report(key, line.key)


def keys(session: Session) -> Sequence[KeyReport]:
    """By product line and name, revoked ones among them."""
    return [_report(key, line) for key, line in api_keys.with_product_line(session)]


def caller_of(session: Session, *, secret: str) -> Caller | None:
    """Whose secret it is. None: nobody's, or of a key that was revoked."""
    key = api_keys.valid(session, hash_of(secret)) if looks_like_secret(secret) else None
    if key is None:
        return None
    return Caller(key_id=key.id, product_line_id=key.product_line_id, channel=key.channel, per_second=key.per_second)


def _line(session: Session, key: str) -> ProductLine:
    line = themes.product_line_by_key(session, key)
    if line is None:
        raise ProductLineUnknown(key=key, known=themes.product_line_keys(session))
    return line


def _report(key: ApiKey, line: str) -> KeyReport:
    return KeyReport(
        product_line=line,
        name=key.name,
        channel=key.channel,
        per_second=key.per_second,
        created_by=key.created_by,
        created_at=key.created_at,
        revoked_by=key.revoked_by,
        revoked_at=key.revoked_at,
    )
