"""What the links of a message do when somebody follows them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from channels.message import ReceiptKind
from channels.receipts import dedupe_key
from channels.states import ErrorClass
from models.queries import endpoints
from models.queries import receipts as rows
from models.queries.endpoints import Addressee
from models.queries.receipts import Blocked

#: What a suppression and a withdrawn consent are said to come from.
SOURCE = "unsubscribe link"


def unsubscribe(session: Session, *, delivery_id: UUID, now: datetime) -> Addressee | None:
    """Take the person whom a delivery went to off the list of its product line and channel; twice is once.

    None: there is no such delivery any more.
    """
    addressee = endpoints.addressee(session, delivery_id)
    if addressee is None:
        return None
    blocked = Blocked(addressee.product_line_id, addressee.channel, addressee.address, ErrorClass.UNSUBSCRIBED.value)
    rows.suppress(session, [blocked], source=SOURCE, now=now)
    rows.opt_out(session, [(addressee.customer_id, addressee.channel)], source=SOURCE, now=now)
    _record(session, delivery_id, ReceiptKind.UNSUBSCRIBED, now)
    return addressee


def record_opened(session: Session, *, delivery_id: UUID, now: datetime) -> None:
    _record(session, delivery_id, ReceiptKind.OPENED, now)


def record_click(session: Session, *, delivery_id: UUID, target: str, now: datetime) -> None:
    _record(session, delivery_id, ReceiptKind.CLICKED, now, target)


def _record(session: Session, delivery_id: UUID, kind: ReceiptKind, now: datetime, detail: str = "") -> None:
    dedupe = dedupe_key(kind.value, delivery_id, detail)
    endpoints.record_link(session, delivery_id=delivery_id, kind=kind, dedupe=dedupe, detail=detail, now=now)
