"""What the suite has to know of a provider: one `Case` each. A new provider is one more entry of `CASES`."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid5

import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from channels.message import (
    Content,
    EmailContent,
    Message,
    MiniProgramContent,
    Outcome,
    Provider,
    PushContent,
    SmsContent,
)
from channels.registry import build_provider
from channels.states import Channel, ErrorClass
from channels.transport import HttpTransport

#: The stand-in does not know this one.
OTHER_KEY = (
    rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)
NAMESPACE = UUID("6f2b2c6e-5f0c-4a57-9c1e-8a0f5f6b7a11")


@dataclass(frozen=True)
class Sandbox:
    """A running `python -m sandbox`."""

    http: str
    smtp_host: str
    smtp_port: int

    def fault(self, case: "Case", **fault: object) -> None:
        self._call("POST", "/_faults", {"channel": case.channel, "provider": case.provider, **fault})

    def summary(self, case: "Case") -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", f"/_log?channel={case.channel}")["channels"][case.channel]
        return found

    def records(self, case: "Case") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._call("GET", f"/_log?channel={case.channel}&records=1&limit=5000")["records"]
        return found

    def recipients(self, case: "Case") -> list[str]:
        return sorted(record["recipient"] for record in self.records(case))

    def reset(self) -> None:
        self._call("DELETE", "/_faults")
        self._call("DELETE", "/_log")

    def expire_tokens(self) -> None:
        self._call("DELETE", "/_tokens")

    def service_account(self, **changes: str) -> str:
        return json.dumps({**self._call("GET", "/_service_account"), **changes})

    def _call(self, method: str, path: str, content: object = None) -> dict[str, Any]:
        answer = requests.request(method, f"{self.http}{path}", json=content, timeout=10)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@dataclass(frozen=True)
class Refused:
    """A fault for one recipient or one call, and what it has to come out as."""

    fault: Mapping[str, object]
    error: ErrorClass
    code: str


@dataclass(frozen=True)
class Case:
    channel: Channel
    provider: str
    address: str  # with {} for the number of the recipient
    content: Content
    settings: Callable[[Sandbox], dict[str, object]]
    secrets: Callable[[Sandbox], dict[str, object]]
    bad_recipient: Refused  # for one of many
    refusals: Sequence[Refused]  # of a call or of its only message
    wrong_secret: Callable[[Sandbox], dict[str, object]]
    wrong_secret_code: str
    throttle_code: str
    default_wait: float | None = None  # seconds that a throttle without a wait still names
    preparing_calls: int = 0  # for a token or keys, before any number of messages can leave

    def messages(self, count: int) -> list[Message]:
        addresses = [self.address.format(n) for n in range(count)]
        return [Message(delivery_id=uuid5(NAMESPACE, a), address=a, content=self.content) for a in addresses]

    def run(self, sandbox: Sandbox, use: Callable[[Provider], Awaitable[Any]], **settings: object) -> Any:
        """Give `use` a provider that lives for this one event loop."""

        async def within() -> Any:
            transport = HttpTransport()
            provider = self.build(sandbox, transport, settings=settings)
            try:
                return await use(provider)
            finally:
                await provider.close()
                await transport.close()

        return asyncio.run(within())

    def build(
        self,
        sandbox: Sandbox,
        transport: HttpTransport,
        *,
        settings: Mapping[str, object],
        secrets: Mapping[str, object] | None = None,
    ) -> Provider:
        return build_provider(
            account="conformance",
            channel=self.channel,
            provider=self.provider,
            settings={**self.settings(sandbox), **settings},
            secrets=self.secrets(sandbox) if secrets is None else secrets,
            transport=transport,
        )

    def deliver(self, sandbox: Sandbox, count: int, **settings: object) -> list[Outcome]:
        async def use(provider: Provider) -> list[Outcome]:
            return await deliver(provider, self.messages(count))

        found: list[Outcome] = self.run(sandbox, use, **settings)
        return found


async def deliver(provider: Provider, messages: Sequence[Message]) -> list[Outcome]:
    """All at once, in calls as large as the provider takes, with keys where it knows any."""
    keyed = await with_keys(provider, messages)
    size = provider.capabilities.batch_size
    calls = [provider.send(keyed[start : start + size]) for start in range(0, len(keyed), size)]
    return [outcome for outcomes in await asyncio.gather(*calls) for outcome in outcomes]


async def with_keys(provider: Provider, messages: Sequence[Message]) -> list[Message]:
    if not provider.capabilities.idempotent_replay:
        return list(messages)
    keys = await provider.allocate_keys(len(messages))
    return [replace(message, key=key) for message, key in zip(messages, keys, strict=True)]


def scripted(kind: str, error: ErrorClass, code: object, shown: str | None = None, **fault: object) -> Refused:
    return Refused({"kind": kind, "code": code, **fault}, error, str(code) if shown is None else shown)


def answered(status: int, error: ErrorClass) -> Refused:
    """A bare HTTP status, not in the provider's format."""
    return Refused({"kind": "status", "status": status}, error, f"HTTP {status}")


ALIYUN = Case(
    channel=Channel.SMS,
    provider="aliyun",
    address="+8613900{:06d}",
    content=SmsContent(text="女神节：逛吃喝，我们买单"),
    settings=lambda sandbox: {
        "access_key_id": "sandbox-ak",
        "sign_name": "逛吃",
        "template_code": "SMS_1",
        "base_url": sandbox.http,
    },
    secrets=lambda _: {"access_key_secret": "sandbox-secret"},
    bad_recipient=scripted("recipient_error", ErrorClass.BAD_RECIPIENT, "isv.MOBILE_NUMBER_ILLEGAL"),
    refusals=(
        scripted("recipient_error", ErrorClass.THROTTLED, "isv.BUSINESS_LIMIT_CONTROL"),
        scripted("status", ErrorClass.CONTENT, "isv.SMS_CONTENT_ILLEGAL"),
        scripted("status", ErrorClass.CONFIG, "isv.AMOUNT_NOT_ENOUGH"),
        scripted("status", ErrorClass.QUOTA, "isv.DAY_LIMIT_CONTROL"),
        scripted("status", ErrorClass.DOWN, "isp.SYSTEM_ERROR"),
        scripted("status", ErrorClass.DOWN, "ServiceUnavailable", status=503),
        scripted("status", ErrorClass.TOKEN, "SignatureNonceUsed", status=400),
        scripted("status", ErrorClass.UNRECOGNISED, "isv.NEVER_HEARD_OF"),
    ),
    wrong_secret=lambda _: {"access_key_secret": "another"},
    wrong_secret_code="SignatureDoesNotMatch",
    throttle_code="Throttling.User",
)
SMTP = Case(
    channel=Channel.EMAIL,
    provider="smtp",
    address="p{}@home.example",
    content=EmailContent(
        subject="女神节",
        text="逛吃喝\n.我们买单",
        html="<p>逛吃喝</p>",
        headers={"List-Unsubscribe": "<https://shop.example/u/1>"},
    ),
    settings=lambda sandbox: {
        "host": sandbox.smtp_host,
        "port": sandbox.smtp_port,
        "security": "none",
        "sender": "news@shop.example",
        "sender_name": "逛吃",
        "username": "sandbox",
    },
    secrets=lambda _: {"password": "sandbox-smtp"},
    bad_recipient=scripted("recipient_error", ErrorClass.BAD_RECIPIENT, "550 5.1.1"),
    refusals=(
        scripted("recipient_error", ErrorClass.QUOTA, "452 4.2.2"),
        scripted("recipient_error", ErrorClass.THROTTLED, "450 4.2.1"),
        scripted("status", ErrorClass.CONTENT, "554 5.7.1"),
        scripted("status", ErrorClass.CONFIG, "550 5.7.26"),
        scripted("status", ErrorClass.CONFIG, "530 5.7.0", endpoint="mail"),
        scripted("status", ErrorClass.DOWN, "451 4.3.0"),
        scripted("status", ErrorClass.DOWN, "421 4.3.2"),
        scripted("status", ErrorClass.DOWN, "421 4.3.2", endpoint="mail"),
        Refused({"kind": "down"}, ErrorClass.DOWN, "421 4.3.2"),
        scripted("status", ErrorClass.UNRECOGNISED, "571 5.9.9"),
    ),
    wrong_secret=lambda _: {"password": "another"},
    wrong_secret_code="535 5.7.8",
    throttle_code="450 4.7.28",
)
JPUSH = Case(
    channel=Channel.PUSH,
    provider="jpush",
    address="reg{:08d}",
    content=PushContent(title="女神节", body="逛吃喝，我们买单", extras={"theme": "womens-day"}),
    settings=lambda sandbox: {"app_key": "sandboxappkey0000000000", "base_url": sandbox.http},
    secrets=lambda _: {"master_secret": "sandbox-master"},
    bad_recipient=scripted("recipient_error", ErrorClass.BAD_RECIPIENT, 1011),
    refusals=(
        Refused(
            {"kind": "recipient_error", "code": 1003, "message": "registration_id is invalid"},
            ErrorClass.BAD_RECIPIENT,
            "1003",
        ),
        scripted("recipient_error", ErrorClass.CONTENT, 1005),
        scripted("status", ErrorClass.CONFIG, 2003, status=403),
        scripted("status", ErrorClass.DOWN, 1000, status=500),
        scripted("status", ErrorClass.UNKNOWN_OUTCOME, 1030, status=503),
        scripted("status", ErrorClass.UNRECOGNISED, 4711, status=400),
    ),
    wrong_secret=lambda _: {"master_secret": "another"},
    wrong_secret_code="1004",
    throttle_code="2002",
    default_wait=60.0,
    preparing_calls=1,
)
WECHAT = Case(
    channel=Channel.MINI_PROGRAM,
    provider="wechat",
    address="openid{:08d}",
    content=MiniProgramContent(template="tpl-1", data={"thing1": "女神节", "time2": "15:01"}, page="pages/index"),
    settings=lambda sandbox: {"app_id": "wxsandbox", "base_url": sandbox.http},
    secrets=lambda _: {"app_secret": "sandbox-wechat"},
    bad_recipient=scripted("recipient_error", ErrorClass.BAD_RECIPIENT, 40003),
    refusals=(
        scripted("recipient_error", ErrorClass.UNSUBSCRIBED, 43101),
        scripted("status", ErrorClass.CONTENT, 47003),
        scripted("status", ErrorClass.CONFIG, 40037),
        scripted("status", ErrorClass.QUOTA, 45009),
        scripted("status", ErrorClass.DOWN, -1),
        scripted("status", ErrorClass.TOKEN, 40001),
        scripted("status", ErrorClass.UNRECOGNISED, 45047),
        scripted("status", ErrorClass.CONFIG, 40164, endpoint="token"),
        answered(503, ErrorClass.DOWN),
        answered(504, ErrorClass.UNKNOWN_OUTCOME),
    ),
    wrong_secret=lambda _: {"app_secret": "another"},
    wrong_secret_code="40125",
    throttle_code="45011",
    preparing_calls=1,
)
TWILIO = Case(
    channel=Channel.SMS,
    provider="twilio",
    address="+1415555{:04d}",
    content=SmsContent(text="Women's Day: wander, eat, drink, we pay. STOP to opt out"),
    settings=lambda sandbox: {
        "account_sid": "AC00000000000000000000000000000000",
        "sender": "+14155550100",
        "base_url": sandbox.http,
    },
    secrets=lambda _: {"auth_token": "sandbox-twilio"},
    bad_recipient=scripted("recipient_error", ErrorClass.BAD_RECIPIENT, 21211),
    refusals=(
        scripted("recipient_error", ErrorClass.BAD_RECIPIENT, 21614),
        scripted("recipient_error", ErrorClass.UNSUBSCRIBED, 21610),
        scripted("recipient_error", ErrorClass.CONTENT, 21617),
        scripted("status", ErrorClass.CONFIG, 21606, status=400),
        scripted("status", ErrorClass.CONFIG, 20404, status=404),
        scripted("status", ErrorClass.THROTTLED, 14107, status=400),
        scripted("status", ErrorClass.DOWN, 20500, status=500),
        scripted("status", ErrorClass.DOWN, 21730, status=503),
        Refused({"kind": "status", "status": 504}, ErrorClass.UNKNOWN_OUTCOME, "20504"),
        scripted("status", ErrorClass.UNRECOGNISED, 21408, status=400),
    ),
    wrong_secret=lambda _: {"auth_token": "another"},
    wrong_secret_code="20003",
    throttle_code="20429",
)
FCM = Case(
    channel=Channel.PUSH,
    provider="fcm",
    address="device-token-{:08d}",
    content=PushContent(title="女神节", body="逛吃喝，我们买单", extras={"theme": "womens-day"}),
    settings=lambda sandbox: {"base_url": sandbox.http},
    secrets=lambda sandbox: {"service_account": sandbox.service_account()},
    bad_recipient=scripted("recipient_error", ErrorClass.BAD_RECIPIENT, "UNREGISTERED"),
    refusals=(
        scripted("recipient_error", ErrorClass.BAD_RECIPIENT, "INVALID_ARGUMENT"),
        scripted("recipient_error", ErrorClass.BAD_RECIPIENT, "SENDER_ID_MISMATCH"),
        Refused({"kind": "status", "status": 400}, ErrorClass.CONTENT, "INVALID_ARGUMENT"),
        Refused({"kind": "status", "status": 403}, ErrorClass.CONFIG, "PERMISSION_DENIED"),
        scripted("status", ErrorClass.CONFIG, "THIRD_PARTY_AUTH_ERROR"),
        Refused({"kind": "status", "status": 401}, ErrorClass.TOKEN, "UNAUTHENTICATED"),
        scripted("status", ErrorClass.DOWN, "UNAVAILABLE"),
        scripted("status", ErrorClass.DOWN, "INTERNAL"),
        Refused({"kind": "status", "status": 504}, ErrorClass.UNKNOWN_OUTCOME, "UNKNOWN"),
        scripted("status", ErrorClass.UNRECOGNISED, "NEVER_HEARD_OF", status=400),
        Refused({"kind": "status", "status": 404}, ErrorClass.UNRECOGNISED, "NOT_FOUND"),
        Refused({"kind": "status", "status": 503, "endpoint": "token"}, ErrorClass.DOWN, "HTTP 503"),
    ),
    wrong_secret=lambda sandbox: {"service_account": sandbox.service_account(private_key=OTHER_KEY)},
    wrong_secret_code="invalid_grant",
    throttle_code="QUOTA_EXCEEDED",
    default_wait=60.0,
    preparing_calls=1,
)
CASES = (ALIYUN, TWILIO, SMTP, JPUSH, FCM, WECHAT)
