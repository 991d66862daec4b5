"""The receipts of the stand-ins, in the shape and with the signature that each provider gives them."""

import hashlib
import hmac
import json
import random
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urlencode

from sandbox.credentials import Accounts
from sandbox.ledger import Record
from sandbox.mail import decoded
from sandbox.mail_reports import complaint, notification

_CHINA = timezone(timedelta(hours=8))
_JSON = "application/json"
#: Receipts of one push, at most.
MOST = {"aliyun": 100, "jpush": 100, "twilio": 1, "wechat": 1, "smtp": 1}


@dataclass(frozen=True, slots=True)
class Push:
    """One request to whoever takes receipts."""

    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Said:
    """What becomes of a message; `code` None: it arrived. Of a mail that arrived, people may complain."""

    record: Record
    code: str | None = None
    complains: bool = False


def push_of(provider: str, said: Sequence[Said], *, url: str, token: str, accounts: Accounts) -> Push | None:
    """None: nobody asked for these. Twilio posts to where each message says, the others to `url`."""
    if provider == "twilio":
        return _twilio(said[0], accounts)
    if provider == "smtp":
        mail = _mail(said[0])
        return Push(url, {"Content-Type": "message/rfc822"}, mail) if mail else None
    if provider == "aliyun":
        return Push(url, {"Content-Type": _JSON}, json.dumps([_aliyun(one) for one in said]).encode())
    if provider == "jpush":
        login = b64encode(f"{accounts.jpush.app_key}:{accounts.jpush.master_secret}".encode()).decode()
        headers = {"Content-Type": _JSON, "Authorization": f"Basic {login}"}
        return Push(url, headers, json.dumps([_jpush(one) for one in said]).encode())
    return Push(_wechat_url(url, token), {"Content-Type": _JSON}, json.dumps(_wechat(said[0])).encode())


def _mail(said: Said) -> bytes | None:
    """Of a mail that arrives nobody is told: RFC 3461, unless it was asked for."""
    message = said.record.message
    whole = message.content if isinstance(message.content, bytes) and message.reference is not None else b""
    headers = dict(decoded(whole).get("headers", ()))
    recipient, mail_id = message.recipient, f"{message.message_id}.{message.recipient.replace('@', '.')}"
    if said.code is not None:
        words = f"550 {said.code} scripted"
        mail_id = f"bounce.{mail_id}"
        return notification(headers, recipient=recipient, status=said.code, diagnostic=words, mail_id=mail_id)
    return complaint(headers, recipient=recipient, mail_id=f"complaint.{mail_id}") if said.complains else None


def _aliyun(said: Said) -> dict[str, object]:
    at = datetime.fromtimestamp(said.record.at, _CHINA).strftime("%Y-%m-%d %H:%M:%S")
    return {
        "phone_number": said.record.message.recipient,
        "send_time": at,
        "report_time": at,
        "success": said.code is None,
        "err_code": said.code or "DELIVERED",
        "err_msg": "scripted" if said.code else "user received",
        "sms_size": "1",
        "biz_id": said.record.message.message_id,
        "out_id": said.record.message.reference or "",
    }


def _jpush(said: Said) -> dict[str, object]:
    message = said.record.message
    event = {"type": 4 if said.code is None else 5, "code": said.code or "", "itime": int(said.record.at * 1000)}
    return {**event, "msgid": message.message_id, "target": message.recipient}


def _wechat(said: Said) -> dict[str, object]:
    message = said.record.message
    content = message.content if isinstance(message.content, dict) else {}
    item = {
        "TemplateId": content.get("template_id", ""),
        "MsgID": message.message_id,
        "ErrorCode": said.code or "0",
        "ErrorStatus": "user block" if said.code else "success",
    }
    return {
        "ToUserName": "gh_sandbox",
        "FromUserName": message.recipient,
        "CreateTime": int(said.record.at),
        "MsgType": "event",
        "Event": "subscribe_msg_sent_event",
        "List": item,
    }


def _wechat_url(url: str, token: str) -> str:
    stamp, nonce = str(int(datetime.now(UTC).timestamp())), str(random.randrange(10**9))  # noqa: S311 - a stand-in's nonce
    signature = hashlib.sha1("".join(sorted((token, stamp, nonce))).encode()).hexdigest()
    return f"{url}?{urlencode({'signature': signature, 'timestamp': stamp, 'nonce': nonce})}"


def _twilio(said: Said, accounts: Accounts) -> Push | None:
    message = said.record.message
    if not message.reference:
        return None
    fields = {
        "AccountSid": accounts.twilio.account_sid,
        "MessageSid": message.message_id,
        "MessageStatus": "delivered" if said.code is None else "undelivered",
        "To": message.recipient,
        **({"ErrorCode": said.code} if said.code else {}),
    }
    text = message.reference + "".join(name + fields[name] for name in sorted(fields))
    signature = b64encode(hmac.digest(accounts.twilio.auth_token.encode(), text.encode(), "sha1")).decode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return Push(message.reference, headers, urlencode(fields).encode())
