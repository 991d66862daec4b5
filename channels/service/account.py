"""Provider accounts: kept, paused, resumed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from channels.price import Price
from channels.rate import RateWindow
from channels.service.errors import AccountUnfit, AccountUnknown
from channels.states import Channel
from models.delivery import ProviderAccount
from models.queries import permits, provider_accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed on for an account: how fast, at what price, and beside which others it is used."""

    pool: str | None = None
    weight: int = 1
    windows: Sequence[RateWindow] = ()
    price: Price | None = None


_NO_TERMS = Terms()


def account_by_key(session: Session, key: str) -> ProviderAccount:
    account = provider_accounts.by_key(session, key)
    if account is None:
        raise AccountUnknown(key)
    return account


def upsert_account(
    session: Session,
    *,
    key: str,
    product_line_id: int,
    channel: Channel,
    provider: str,
    settings: Mapping[str, Any],
    secrets: bytes | None,
    terms: Terms = _NO_TERMS,
) -> ProviderAccount:
    """Add an account or change its settings and secrets (already encrypted); a pause stays as it is.

    Raises:
        AccountUnfit: the account is there for another channel or product line, which its distributions rely on.
    """
    known = provider_accounts.by_key(session, key)
    if known is not None and (known.channel, known.product_line_id) != (channel, product_line_id):
        raise AccountUnfit(
            key=key, problem=f"is {known.channel} of product line {known.product_line_id}: take another key"
        )
    return provider_accounts.upsert(
        session,
        key=key,
        product_line_id=product_line_id,
        channel=channel,
        provider=provider,
        settings=settings,
        secrets=secrets,
        pool=terms.pool,
        weight=terms.weight,
        windows=permits.stored_windows(terms.windows),
        price=terms.price,
    )


def pause_account(session: Session, *, key: str, because: str) -> None:
    provider_accounts.pause(session, account_id=account_by_key(session, key).id, because=because)


def resume_account(session: Session, *, key: str) -> None:
    """Lift a pause, and a back-off that is under way."""
    provider_accounts.resume(session, account_id=account_by_key(session, key).id)
