"""Messages of themes to our own people, for a look."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from models.delivery import ProviderAccount
from models.inquiry import TestSend
from models.person import Person


def begin(session: Session, sending: TestSend) -> int:
    session.add(sending)
    session.flush()
    return sending.id


def finish(session: Session, sending_id: int, *, values: dict[str, Any], now: datetime) -> None:
    statement = update(TestSend).where(TestSend.id == sending_id).values(**values, finished_at=now)
    session.execute(statement.execution_options(synchronize_session=False))


def of_theme(session: Session, theme_id: int) -> Sequence[Row[Any]]:
    """The newest first."""
    query = (
        select(
            TestSend.began_at,
            TestSend.channel,
            Person.login.label("to"),
            ProviderAccount.key.label("account"),
            TestSend.asked_by,
            TestSend.finished_at,
            TestSend.error_class,
            TestSend.code,
            TestSend.detail,
            TestSend.provider_message_id,
        )
        .join(Person, Person.id == TestSend.person_id)
        .join(ProviderAccount, ProviderAccount.id == TestSend.account_id)
        .where(TestSend.theme_id == theme_id)
        .order_by(TestSend.id.desc())
    )
    return session.execute(query).all()
