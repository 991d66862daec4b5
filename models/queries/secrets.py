"""Everything that is kept encrypted, so that it can be put under another key."""

from collections.abc import Sequence
from enum import StrEnum

from sqlalchemy import Row, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.delivery import ProviderAccount
from models.person import Person
from models.receipt import CallbackEndpoint


class Secrets(StrEnum):
    """A table that has an encrypted column."""

    PEOPLE = "people"
    PROVIDER_ACCOUNTS = "provider_accounts"
    CALLBACK_ENDPOINTS = "callback_endpoints"


_COLUMNS: dict[
    Secrets, tuple[InstrumentedAttribute[int], InstrumentedAttribute[str], InstrumentedAttribute[bytes | None]]
]
_COLUMNS = {
    Secrets.PEOPLE: (Person.id, Person.login, Person.totp_secret),
    Secrets.PROVIDER_ACCOUNTS: (ProviderAccount.id, ProviderAccount.key, ProviderAccount.secrets),
    Secrets.CALLBACK_ENDPOINTS: (CallbackEndpoint.id, CallbackEndpoint.account, CallbackEndpoint.secret),
}


def locked_secrets(
    session: Session, kept: Secrets, *, after_id: int, limit: int
) -> Sequence[Row[tuple[int, str, bytes | None]]]:
    """The next rows that hold a secret (id, name, token), locked, in the order of their ids."""
    row_id, name, token = _COLUMNS[kept]
    query = select(row_id, name, token).where(token.is_not(None), row_id > after_id).order_by(row_id).limit(limit)
    return session.execute(query.with_for_update(key_share=True)).all()


def replace_secret(session: Session, kept: Secrets, row_id: int, token: bytes) -> None:
    key, _, column = _COLUMNS[kept]
    session.execute(update(column.class_).where(key == row_id).values({column.key: token}))
