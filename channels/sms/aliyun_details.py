"""What `QuerySendDetails` tells of the messages to one phone, and what that says of a delivery that is asked about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from channels.message import Fate, Found, Inquiry

CHINA = timezone(timedelta(hours=8))
#: Its clock and ours need not agree.
_CLOCKS = timedelta(minutes=5)
#: A call may take until then to be recorded, which may be the next day.
_LATE = timedelta(minutes=15)
_FATES = {1: Fate.SENT, 2: Fate.FAILED, 3: Fate.DELIVERED}


@dataclass(frozen=True, slots=True, kw_only=True)
class SendDetail:
    """What became of one message. `status` is 1 on its way, 2 failed, 3 delivered."""

    phone: str
    reference: str  # the delivery that leads the call which carried the message
    status: int
    code: str
    text: str
    sent_at: datetime | None  # None: it cannot be read


def read_detail(item: Mapping[str, Any]) -> SendDetail:
    return SendDetail(
        phone=str(item.get("PhoneNum", "")),
        reference=str(item.get("OutId", "")),
        status=int(item.get("SendStatus", 1)),
        code=str(item.get("ErrCode", "")),
        text=str(item.get("Content", "")),
        sent_at=_time(str(item.get("SendDate", ""))),
    )


def days_of(question: Inquiry) -> Sequence[date]:
    """The days, as China counts them, on which the call may have been recorded."""
    times = (question.began_at - _CLOCKS, question.began_at, question.began_at + _LATE)
    return sorted({at.astimezone(CHINA).date() for at in times})


def found(question: Inquiry, details: Sequence[SendDetail]) -> Found:
    """Of what was sent since the call began. Where that fared differently, it is known only that it was sent."""
    since = question.began_at - _CLOCKS
    near = [detail for detail in details if detail.sent_at is None or detail.sent_at >= since]
    own = [detail for detail in near if detail.reference == str(question.delivery_id)]
    near = own or near
    if not near:
        return Found(delivery_id=question.delivery_id, fate=None)
    fates = {_FATES.get(detail.status, Fate.SENT) for detail in near}
    fate = fates.pop() if len(fates) == 1 else Fate.SENT
    return Found(
        delivery_id=question.delivery_id,
        fate=fate,
        references=tuple(dict.fromkeys(detail.reference for detail in near if detail.reference)),
        code=near[0].code if fate is not Fate.SENT else "",
    )


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA).astimezone(UTC)
    except ValueError:
        return None
