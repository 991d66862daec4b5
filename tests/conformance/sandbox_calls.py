"""Calls to the stand-ins as their providers document them, written apart from the clients that are under test."""

import base64
import hashlib
import hmac
import json
import smtplib
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote, urlencode

import requests

from sandbox.process import Running

TIMEOUT = 10
APP_KEY = "sandboxappkey0000000000"
WECHAT_ACCOUNT = {"grant_type": "client_credential", "appid": "wxsandbox", "secret": "sandbox-wechat"}


@dataclass
class AliyunCall:
    """One signed call; whatever is set differently from its default makes it a wrong one."""

    action: str
    query: dict[str, str]
    form: dict[str, str] | None = None
    key: str = "sandbox-ak"
    secret: str = "sandbox-secret"
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    date: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    version: str = "2017-05-25"
    unsigned: frozenset[str] = frozenset()
    changed_body: bytes | None = None

    def send(self, sandbox: Running) -> requests.Response:
        body = urlencode(self.form).encode() if self.form else b""
        query = "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in sorted(self.query.items()))
        headers = {
            "host": f"127.0.0.1:{sandbox.http_port}",
            "x-acs-action": self.action,
            "x-acs-version": self.version,
            "x-acs-date": self.date,
            "x-acs-signature-nonce": self.nonce,
            "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        }
        if body:
            headers["content-type"] = "application/x-www-form-urlencoded"
        signed = sorted(set(headers) - self.unsigned)
        lines = "".join(f"{name}:{headers[name]}\n" for name in signed)
        canonical = f"POST\n/\n{query}\n{lines}\n{';'.join(signed)}\n{headers['x-acs-content-sha256']}"
        to_sign = f"ACS3-HMAC-SHA256\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.new(self.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
        headers["Authorization"] = (
            f"ACS3-HMAC-SHA256 Credential={self.key},SignedHeaders={';'.join(signed)},Signature={signature}"
        )
        data = body if self.changed_body is None else self.changed_body
        return requests.post(f"{sandbox.http}/?{query}", data=data, headers=headers, timeout=TIMEOUT)


def sms_batch(numbers: list[str], *, out_id: str = "batch-1", **other: Any) -> AliyunCall:
    form = {
        "PhoneNumberJson": json.dumps(numbers),
        "SignNameJson": json.dumps(["Shop"] * len(numbers), ensure_ascii=False),
        "TemplateParamJson": json.dumps([{"name": f"用户 {n}"} for n in range(len(numbers))], ensure_ascii=False),
    }
    return AliyunCall("SendBatchSms", {"TemplateCode": "SMS_1", "OutId": out_id}, form, **other)


def sms_details(number: str, **other: str) -> AliyunCall:
    china_day = datetime.fromtimestamp(datetime.now(UTC).timestamp() + 8 * 3600, UTC).strftime("%Y%m%d")
    query = {"PhoneNumber": number, "SendDate": china_day, "PageSize": "10", "CurrentPage": "1", **other}
    return AliyunCall("QuerySendDetails", query)


def new_cid() -> str:
    return f"{APP_KEY}-{uuid.uuid4()}"


def basic(pair: str = f"{APP_KEY}:sandbox-master") -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def single(target: str, alert: str = "Hello") -> dict[str, Any]:
    android = {"title": "Women's Day", "alert": alert}
    return {"platform": "all", "target": target, "notification": {"android": android, "ios": {"alert": android}}}


def push_batch(sandbox: Running, pushes: dict[str, Any], **headers: str) -> requests.Response:
    url = f"{sandbox.http}/v3/push/batch/regid/single"
    return requests.post(url, json={"pushlist": pushes}, headers={**basic(), **headers}, timeout=TIMEOUT)


def token(sandbox: Running, **other: Any) -> dict[str, Any]:
    body = {**WECHAT_ACCOUNT, **other}
    found: dict[str, Any] = requests.post(f"{sandbox.http}/cgi-bin/stable_token", json=body, timeout=TIMEOUT).json()
    return found


def subscribe(sandbox: Running, access_token: str, openid: str = "openid-1", **other: Any) -> requests.Response:
    message = {
        "touser": openid,
        "template_id": "template-1",
        "page": "pages/index",
        "data": {"thing1": {"value": "春日漫游"}, "amount2": {"value": "¥20.50"}},
        "miniprogram_state": "formal",
        "lang": "zh_CN",
        **other,
    }
    url = f"{sandbox.http}/cgi-bin/message/subscribe/send?access_token={access_token}"
    return requests.post(url, data=json.dumps(message, ensure_ascii=False).encode(), timeout=TIMEOUT)


def mail_to(recipient: str, message_id: str = "<1@shop.example>") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Shop <shop@shop.example>", recipient, "女王节"
    mail["Message-ID"] = message_id
    mail["List-Unsubscribe"] = "<https://shop.example/u/1>"
    mail.set_content("Dear customer,\n.dots at the start stay\n")
    mail.add_alternative("<p>亲爱的顾客</p>", subtype="html")
    return mail


def smtp(sandbox: Running) -> smtplib.SMTP:
    return smtplib.SMTP(sandbox.smtp_host, sandbox.smtp_port, timeout=TIMEOUT)


def log(sandbox: Running, channel: str) -> dict[str, int]:
    answer = requests.get(f"{sandbox.http}/_log", timeout=TIMEOUT).json()
    counts: dict[str, int] = answer["channels"][channel]
    return counts


def records(sandbox: Running, channel: str, **asked: str) -> list[dict[str, Any]]:
    query = {"channel": channel, "records": "1", **asked}
    found: list[dict[str, Any]] = requests.get(f"{sandbox.http}/_log", params=query, timeout=TIMEOUT).json()["records"]
    return found


def fault(sandbox: Running, channel: str, kind: str, **other: Any) -> int:
    content = {"channel": channel, "kind": kind, **other}
    answer = requests.post(f"{sandbox.http}/_faults", json=content, timeout=TIMEOUT)
    assert answer.status_code == 200, answer.text
    number: int = answer.json()["id"]
    return number
