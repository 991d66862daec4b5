"""Where providers call us, and what a link in a message leads to."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.message import ReceiptKind
from channels.states import Channel
from models.customer import Customer
from models.delivery import Delivery, ProviderAccount
from models.product_line import ProductLine
from models.receipt import CallbackEndpoint
from models.theme import Theme

# A link is no provider's word; it counts among those of the account that the message went out by.
_RECORD_LINK = text("""
    INSERT INTO receipts (account_id, dedupe, kind, occurred_at, received_at, reference, address, code, detail, join_at)
    SELECT COALESCE(dl.account_id, d.account_id), :dedupe, :kind, :now, :now, dl.id, dl.address, '', :detail, :now
    FROM deliveries dl
    JOIN distributions d ON d.id = dl.distribution_id
    JOIN themes t ON t.id = dl.theme_id
    JOIN product_lines p ON p.id = t.product_line_id
    WHERE dl.id = :delivery_id
      AND CASE :kind WHEN 'opened' THEN p.tracks_opens WHEN 'clicked' THEN p.tracks_clicks ELSE true END
    ON CONFLICT (account_id, dedupe) DO NOTHING
    RETURNING id
""")


class Endpoint(NamedTuple):
    """An account as its callbacks need it; `settings` and `secrets` as they are stored."""

    account_id: int
    account: str
    channel: Channel
    provider: str
    settings: dict[str, object]
    secrets: bytes | None
    callback_secret: bytes | None  # None: it was never given an address with one


class Addressee(NamedTuple):
    """Whom a delivery went to."""

    delivery_id: UUID
    channel: Channel
    address: str
    customer_id: int
    language: str
    product_line_id: int
    product_line: str  # its name


def endpoint(session: Session, account: str) -> Endpoint | None:
    query = (
        select(
            ProviderAccount.id,
            ProviderAccount.key,
            ProviderAccount.channel,
            ProviderAccount.provider,
            ProviderAccount.settings,
            ProviderAccount.secrets,
            CallbackEndpoint.secret,
        )
        .outerjoin(CallbackEndpoint, CallbackEndpoint.account_id == ProviderAccount.id)
        .where(ProviderAccount.key == account)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else Endpoint(*row)


def callback_secret(session: Session, account_id: int) -> bytes | None:
    return session.scalar(select(CallbackEndpoint.secret).where(CallbackEndpoint.account_id == account_id))


def keep_callback_secret(
    session: Session, *, account: ProviderAccount, secret: bytes, replace: bool, now: datetime
) -> bytes:
    """The secret that holds afterwards: the one that was there, unless it is to be replaced."""
    statement = insert(CallbackEndpoint).values(account_id=account.id, account=account.key, secret=secret, made_at=now)
    where = [CallbackEndpoint.account_id]
    if replace:
        statement = statement.on_conflict_do_update(index_elements=where, set_={"secret": secret, "made_at": now})
    else:
        statement = statement.on_conflict_do_nothing(index_elements=where)
    session.execute(statement)
    query = select(CallbackEndpoint.secret).where(CallbackEndpoint.account_id == account.id)
    return session.scalars(query, execution_options={"populate_existing": True}).one()


def addressee(session: Session, delivery_id: UUID) -> Addressee | None:
    query = (
        select(
            Delivery.id,
            Delivery.channel,
            Delivery.address,
            Delivery.customer_id,
            Customer.language,
            ProductLine.id,
            ProductLine.name,
        )
        .join(Customer, Customer.id == Delivery.customer_id)
        .join(Theme, Theme.id == Delivery.theme_id)
        .join(ProductLine, ProductLine.id == Theme.product_line_id)
        .where(Delivery.id == delivery_id)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else Addressee(*row)


def record_link(
    session: Session, *, delivery_id: UUID, kind: ReceiptKind, dedupe: str, detail: str = "", now: datetime
) -> bool:
    """Whether it was new. Opened and clicked are recorded only where the product line tracks them."""
    values = {"delivery_id": delivery_id, "kind": kind.value, "dedupe": dedupe, "detail": detail, "now": now}
    return session.execute(_RECORD_LINK, values).first() is not None
