"""QuerySendDetails: what became of the messages to one number on one day.

A message counts as delivered at once. A `recipient_error` fault on the endpoint `query` reports it as failed with the
fault's code; a `no_receipt` fault leaves it waiting for a receipt.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from sandbox.aliyun_messages import BusinessRefused
from sandbox.faults import Fault, Faults, Kind
from sandbox.ledger import ChannelLog, Record

_MAX_PAGE = 50
_DAYS_BACK = 30
_CHINA = timezone(timedelta(hours=8))
_WAITING, _FAILED, _DELIVERED = 1, 2, 3


def details(parameters: dict[str, str], log: ChannelLog, faults: Faults) -> tuple[int, list[dict[str, Any]]]:
    """The number of messages and one page of them, newest first. Raises BusinessRefused."""
    number = parameters.get("PhoneNumber", "")
    day = _day(parameters.get("SendDate", ""))
    size, page = _whole(parameters, "PageSize", _MAX_PAGE), _whole(parameters, "CurrentPage", None)
    wanted = parameters.get("BizId") or None
    found = [
        record
        for record in reversed(log.of_recipient(number))
        if record.provider == "aliyun"
        and wanted in (None, record.message.message_id)
        and _local(record.at).strftime("%Y%m%d") == day
    ]
    fault = faults.struck("sms", "query", (number,), provider="aliyun").get(number) if found else None
    return len(found), [_detail(record, fault) for record in found[(page - 1) * size : page * size]]


def _detail(record: Record, fault: Fault | None) -> dict[str, Any]:
    sent = _local(record.at).strftime("%Y-%m-%d %H:%M:%S")
    content = record.message.content if isinstance(record.message.content, dict) else {}
    detail = {
        "PhoneNum": record.message.recipient,
        "SendStatus": _DELIVERED,
        "ErrCode": "DELIVERED",
        "TemplateCode": content.get("template_code", ""),
        "Content": content.get("text", ""),
        "SendDate": sent,
        "ReceiveDate": sent,
        "OutId": record.message.reference or "",
    }
    if fault is not None and fault.kind is Kind.NO_RECEIPT:
        detail.update(SendStatus=_WAITING, ErrCode="", ReceiveDate="")
    elif fault is not None:
        detail.update(SendStatus=_FAILED, ErrCode=str(fault.code or "UNDELIVERED"))
    return detail


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at, _CHINA)


def _day(text: str) -> str:
    try:
        day = datetime.strptime(text, "%Y%m%d").replace(tzinfo=_CHINA)
    except ValueError:
        raise BusinessRefused("isv.INVALID_PARAMETERS", "SendDate must be yyyyMMdd.") from None
    if day < datetime.now(UTC) - timedelta(days=_DAYS_BACK + 1):
        raise BusinessRefused("isv.INVALID_PARAMETERS", f"SendDate may lie {_DAYS_BACK} days back.")
    return text


def _whole(parameters: dict[str, str], name: str, most: int | None) -> int:
    text = parameters.get(name, "")
    if not text.isdecimal() or int(text) < 1 or (most is not None and int(text) > most):
        raise BusinessRefused("isv.INVALID_PARAMETERS", f"{name} must be from 1{f' to {most}' if most else ' on'}.")
    return int(text)
