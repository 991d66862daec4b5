"""Receipts of Aliyun short messages: `SmsReport`, a JSON array. They are not signed: the path is the secret."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from channels.callbacks import Callback, Heard, code, json_items, word
from channels.message import Receipt, ReceiptKind
from channels.receipts import dedupe_key
from channels.states import ErrorClass

_CHINA = timezone(timedelta(hours=8))
_MAINLAND = re.compile(r"1[3-9]\d{9}")
_ANSWER = '{"code":0,"msg":"成功"}'.encode()

#: Codes of carriers in our classes, the first that is found in a code; what none matches is `unrecognised`.
TERMS: tuple[tuple[re.Pattern[str], ErrorClass], ...] = (
    (re.compile(r"KEYWORD|REJECTD|SIGNATURE_BLACKLIST"), ErrorClass.CONTENT),
    (re.compile(r"MOBILE_IN_BLACK|BLACK_?LIST|-BLACK"), ErrorClass.UNSUBSCRIBED),
    (re.compile(r"LIMIT"), ErrorClass.THROTTLED),
    (re.compile(r"EXPIRED"), ErrorClass.DOWN),
    (re.compile(r"MOBILE_NOT_ON_SERVICE|^MK:0001|UNDELIV"), ErrorClass.BAD_RECIPIENT),
)


def read(callback: Callback, *, settings: Mapping[str, Any], now: datetime) -> Heard:  # noqa: ARG001 - one shape for all
    """Raises CallbackUnreadable."""
    items = json_items(callback.body)
    receipts = [receipt for item in items if (receipt := _receipt(item, now)) is not None]
    return Heard(receipts=receipts, left=len(items) - len(receipts), answer=_ANSWER, content_type="application/json")


def class_of(err_code: str) -> ErrorClass:
    return next((found for pattern, found in TERMS if pattern.search(err_code)), ErrorClass.UNRECOGNISED)


def e164(number: str) -> str:
    """As Aliyun writes numbers: mainland ones with or without 86, others with their country code and no plus."""
    digits = number.strip().removeprefix("+").removeprefix("00")
    return f"+86{digits}" if _MAINLAND.fullmatch(digits) else f"+{digits}"


def _receipt(item: object, now: datetime) -> Receipt | None:
    if not isinstance(item, dict) or not isinstance(item.get("success"), bool):
        return None
    phone, biz_id, reported = code(item, "phone_number"), word(item, "biz_id") or None, code(item, "report_time")
    if not phone:
        return None
    delivered, err_code = item["success"], code(item, "err_code")
    return Receipt(
        kind=ReceiptKind.DELIVERED if delivered else ReceiptKind.FAILED,
        occurred_at=_moment(reported, now),
        dedupe=dedupe_key(biz_id, phone, delivered, err_code, reported),
        provider_message_id=biz_id,
        reference=word(item, "out_id") or None,
        address=e164(phone),
        error=None if delivered else class_of(err_code),
        code=err_code,
        detail=word(item, "err_msg"),
    )


def _moment(text: str, now: datetime) -> datetime:
    """Their times are of China and do not say so."""
    try:
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=_CHINA).astimezone(UTC)
    except ValueError:
        return now
    return min(moment, now)
