"""JPush (极光), REST v3: a call carries up to 1,000 personal messages, each under its own idempotency key (cid)."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal

from pydantic import Field, SecretStr

from channels.account import AccountSettings, Origin, Timeout, content_of, read_settings
from channels.errors import AnswerLost, KeysRefused, NotSent
from channels.message import Capabilities, Message, Outcome, PushContent
from channels.rate import RateWindow
from channels.refusal import Refusal, class_of_status, is_success, retry_after, unanswered, unreadable
from channels.states import Channel, ErrorClass
from channels.transport import HttpResponse, Transport, json_bytes, read_json

CAPABILITIES = Capabilities(
    channel=Channel.PUSH,
    batch_size=1000,
    idempotent_replay=True,
    status_query=False,
    receipts=True,  # of accounts that pay for it,
    personal_content=True,
)
#: Of one app key that is not paid for.
LIMITS = (RateWindow(per=timedelta(minutes=1), at_most=600),)

#: Its codes in our classes.
TERMS: Mapping[int, ErrorClass] = {
    1000: ErrorClass.DOWN,
    1002: ErrorClass.CONTENT,
    1003: ErrorClass.CONTENT,  # unless it names the registration id, see `class_of`
    1004: ErrorClass.CONFIG,
    1005: ErrorClass.CONTENT,
    1008: ErrorClass.CONFIG,
    1011: ErrorClass.BAD_RECIPIENT,
    1020: ErrorClass.CONFIG,
    1030: ErrorClass.UNKNOWN_OUTCOME,  # a timeout inside: some may be on their way
    2002: ErrorClass.THROTTLED,
    2003: ErrorClass.CONFIG,
}
_PARAMETER_INVALID = 1003
_RECIPIENT_WORDS = ("registration", "regid", "target")
_WAIT_HEADERS = ("Retry-After", "X-Rate-Limit-Reset")


class JPushSettings(AccountSettings):
    app_key: str = Field(min_length=1)
    master_secret: SecretStr = Field(min_length=1)
    platform: Literal["all", "android", "ios", "hmos", "quickapp"] = "all"
    apns_production: bool = True
    time_to_live: int = Field(86_400, ge=0, le=864_000, description="seconds that a phone may be offline")
    keys_per_call: int = Field(1000, ge=1, le=1000, description="cids per call; a free account gets 10")
    base_url: Origin = "https://api.jpush.cn"
    timeout: Timeout = 15.0


class JPush:
    capabilities = CAPABILITIES

    def __init__(self, *, account: JPushSettings, transport: Transport) -> None:
        self.app = account.app_key
        self._account = account
        self._transport = transport
        credential = f"{account.app_key}:{account.master_secret.get_secret_value()}"
        self._headers = {
            "Authorization": f"Basic {b64encode(credential.encode()).decode()}",
            "Content-Type": "application/json",
        }
        self._platform = "all" if account.platform == "all" else [account.platform]
        self._options = {"time_to_live": account.time_to_live, "apns_production": account.apns_production}

    async def allocate_keys(self, count: int) -> Sequence[str]:
        """Valid for one day.

        Raises:
            NotSent, AnswerLost: there was no answer.
            KeysRefused: the provider gives none.
        """
        keys: list[str] = []
        while len(keys) < count:
            keys += await self._some_keys(min(count - len(keys), self._account.keys_per_call))
        return keys[:count]

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        body = json_bytes({"pushlist": {_key(message): self._push(message) for message in messages}})
        url = f"{self._account.base_url}/v3/push/batch/regid/single"
        try:
            response = await self._transport.post(url, headers=self._headers, body=body, timeout=self._account.timeout)
        except (NotSent, AnswerLost) as error:
            refusal = unanswered(error)
            return [refusal.outcome(message) for message in messages]
        answer = _read(response)
        if isinstance(answer, Refusal):
            answer = _not_about_one(answer, messages)
            return [answer.outcome(message) for message in messages]
        return [_outcome(message, answer.get(_key(message))) for message in messages]

    async def close(self) -> None:
        """Nothing is held open: the transport belongs to who made it."""

    async def _some_keys(self, count: int) -> list[str]:
        url = f"{self._account.base_url}/v3/push/cid?count={count}&type=push"
        response = await self._transport.get(url, headers=self._headers, timeout=self._account.timeout)
        answer = _read(response)
        refusal = answer if isinstance(answer, Refusal) else unreadable(response.status, response.headers)
        keys = None if isinstance(answer, Refusal) else answer.get("cidlist")
        if not keys or not isinstance(keys, list):
            raise KeysRefused(
                error=refusal.error, code=refusal.code, detail=refusal.detail, retry_after=refusal.retry_after
            )
        return [str(key) for key in keys]

    def _push(self, message: Message) -> dict[str, Any]:
        content = content_of(message, PushContent)
        android: dict[str, Any] = {"alert": content.body, "title": content.title}
        ios: dict[str, Any] = {"alert": {"title": content.title, "body": content.body}}
        if content.extras:
            android["extras"] = ios["extras"] = dict(content.extras)
        return {
            "platform": self._platform,
            "target": message.address,
            "notification": {"alert": content.body, "android": android, "ios": ios},
            "options": self._options,
        }


def from_settings(
    *, account: str, settings: Mapping[str, object], secrets: Mapping[str, object], transport: Transport
) -> JPush:
    read = read_settings(JPushSettings, account=account, settings=settings, secrets=secrets)
    return JPush(account=read, transport=transport)


def class_of(code: int, said: str, status: int) -> ErrorClass:
    if code == _PARAMETER_INVALID and any(word in said.lower() for word in _RECIPIENT_WORDS):
        return ErrorClass.BAD_RECIPIENT
    return TERMS.get(code) or class_of_status(status)


def _key(message: Message) -> str:
    if message.key is None:
        raise ValueError(f"delivery {message.delivery_id} has no key: allocate_keys comes before send")
    return message.key


def _read(response: HttpResponse) -> dict[str, Any] | Refusal:
    try:
        answer = read_json(response.body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return unreadable(response.status, response.headers)
    if "error" in answer:
        return _refusal(answer["error"], response.status, response.headers)
    return answer if is_success(response.status) else unreadable(response.status, response.headers)


def _refusal(error: object, status: int, headers: Mapping[str, str]) -> Refusal:
    if not isinstance(error, dict):
        return unreadable(status, headers)
    code, said = error.get("code"), str(error.get("message", ""))
    known = code if isinstance(code, int) else -1
    return Refusal(
        error=class_of(known, said, status),
        code="" if code is None else str(code),
        detail=said,
        retry_after=retry_after(headers, *_WAIT_HEADERS),
    )


def _not_about_one(refusal: Refusal, messages: Sequence[Message]) -> Refusal:
    """A call refused as a whole for one bad address does not tell whose: nobody's address is condemned for that."""
    if refusal.error is not ErrorClass.BAD_RECIPIENT or len(messages) == 1:
        return refusal
    return Refusal(error=ErrorClass.UNRECOGNISED, code=refusal.code, detail=refusal.detail)


def _outcome(message: Message, answer: object) -> Outcome:
    if isinstance(answer, dict) and "msg_id" in answer:
        return Outcome(delivery_id=message.delivery_id, provider_message_id=str(answer["msg_id"]))
    if isinstance(answer, dict) and "error" in answer:
        return replace(_refusal(answer["error"], 200, {}), about_recipient=True).outcome(message)
    missing = Refusal(error=ErrorClass.UNKNOWN_OUTCOME, detail="the answer says nothing of this message")
    return missing.outcome(message)
