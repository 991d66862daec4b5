"""WeChat mini-program subscribe messages: one recipient a call, with an access token shared by all calls."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

from channels.access_token import AccessToken, AccessTokens, TokenRefused
from channels.account import AccountSettings, Origin, Timeout, content_of, read_settings
from channels.errors import AnswerLost, NotSent
from channels.message import Capabilities, Message, MiniProgramContent, Outcome
from channels.rate import RateWindow
from channels.refusal import Refusal, class_of_status, is_success, retry_after, unanswered, unreadable
from channels.states import Channel, ErrorClass
from channels.transport import HttpResponse, Transport, json_bytes, read_json

CAPABILITIES = Capabilities(
    channel=Channel.MINI_PROGRAM,
    batch_size=1,
    idempotent_replay=False,
    status_query=False,
    receipts=True,
    personal_content=True,
)
#: Of one mini-program without payments.
LIMITS = (RateWindow(per=timedelta(days=1), at_most=10_000_000),)

#: Its errcodes in our classes.
TERMS: Mapping[int, ErrorClass] = {
    -1: ErrorClass.DOWN,
    40001: ErrorClass.TOKEN,
    40014: ErrorClass.TOKEN,
    41001: ErrorClass.TOKEN,
    42001: ErrorClass.TOKEN,
    40003: ErrorClass.BAD_RECIPIENT,
    43101: ErrorClass.UNSUBSCRIBED,
    40013: ErrorClass.CONFIG,
    40037: ErrorClass.CONFIG,
    40125: ErrorClass.CONFIG,
    40164: ErrorClass.CONFIG,
    41030: ErrorClass.CONFIG,
    48001: ErrorClass.CONFIG,
    47001: ErrorClass.CONTENT,
    47003: ErrorClass.CONTENT,
    45009: ErrorClass.QUOTA,
    45011: ErrorClass.THROTTLED,
}
_SECRET_INVALID = 40001  # what a token call says of a wrong secret
_JSON = {"Content-Type": "application/json"}


class WeChatSettings(AccountSettings):
    app_id: str = Field(min_length=1)
    app_secret: SecretStr = Field(min_length=1)
    push_token: SecretStr | None = Field(None, min_length=3, description="signs what the platform pushes to us")
    push_aes_key: SecretStr | None = Field(None, min_length=43, max_length=43, description="of encrypted pushes")
    miniprogram_state: Literal["formal", "trial", "developer"] = "formal"
    lang: Literal["zh_CN", "en_US", "zh_HK", "zh_TW"] = "zh_CN"
    one_time_subscriptions: bool = False  # whoever claims deliveries counts them; calls are the same
    base_url: Origin = "https://api.weixin.qq.com"
    timeout: Timeout = 10.0


class WeChat:
    capabilities = CAPABILITIES

    def __init__(self, *, account: WeChatSettings, transport: Transport) -> None:
        self.app = account.app_id
        self._account = account
        self._transport = transport
        self._tokens = AccessTokens(fetch=self._fetch_token)
        self._fixed = {"miniprogram_state": account.miniprogram_state, "lang": account.lang}

    async def allocate_keys(self, count: int) -> Sequence[str]:  # noqa: ARG002 - there are no keys to be had
        return ()

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return [await self._send_one(message) for message in messages]

    async def close(self) -> None:
        await self._tokens.close()

    async def _send_one(self, message: Message) -> Outcome:
        body = self._body(message)
        answer = await self._tokens.call(lambda token: self._call(token, body))
        if isinstance(answer, Refusal):
            return answer.outcome(message)
        msgid = answer.get("msgid")
        return Outcome(delivery_id=message.delivery_id, provider_message_id=None if msgid is None else str(msgid))

    async def _call(self, token: str, body: bytes) -> dict[str, Any] | Refusal:
        url = f"{self._account.base_url}/cgi-bin/message/subscribe/send?access_token={quote(token, safe='')}"
        try:
            response = await self._transport.post(url, headers=_JSON, body=body, timeout=self._account.timeout)
        except (NotSent, AnswerLost) as error:
            return unanswered(error)
        answer = _read(response)
        if isinstance(answer, Refusal):
            return replace(answer, detail=answer.detail.replace(token, "***"))
        return answer if "errcode" in answer else unreadable(response.status, response.headers)

    def _body(self, message: Message) -> bytes:
        content = content_of(message, MiniProgramContent)
        body: dict[str, Any] = {
            "touser": message.address,
            "template_id": content.template,
            "data": {name: {"value": value} for name, value in content.data.items()},
            **self._fixed,
        }
        if content.page is not None:
            body["page"] = content.page
        return json_bytes(body)

    async def _fetch_token(self) -> AccessToken:
        secret = self._account.app_secret.get_secret_value()
        body = {
            "grant_type": "client_credential",
            "appid": self._account.app_id,
            "secret": secret,
            "force_refresh": False,
        }
        url = f"{self._account.base_url}/cgi-bin/stable_token"
        response = await self._transport.post(url, headers=_JSON, body=json_bytes(body), timeout=self._account.timeout)
        answer = _read(response)
        if isinstance(answer, Refusal):
            raise TokenRefused(_as_token_refusal(answer, secret))
        try:
            return AccessToken(str(answer["access_token"]), float(answer["expires_in"]))
        except (KeyError, TypeError, ValueError):
            raise TokenRefused(_as_token_refusal(unreadable(response.status, response.headers), secret)) from None


def from_settings(
    *, account: str, settings: Mapping[str, object], secrets: Mapping[str, object], transport: Transport
) -> WeChat:
    read = read_settings(WeChatSettings, account=account, settings=settings, secrets=secrets)
    return WeChat(account=read, transport=transport)


def class_of(errcode: int, status: int) -> ErrorClass:
    return TERMS.get(errcode) or class_of_status(status)


def _read(response: HttpResponse) -> dict[str, Any] | Refusal:
    try:
        answer = read_json(response.body)
        errcode = int(answer.get("errcode", 0))
    except (ValueError, TypeError, AttributeError):
        return unreadable(response.status, response.headers)
    if errcode == 0:
        return dict(answer) if is_success(response.status) else unreadable(response.status, response.headers)
    return Refusal(
        error=class_of(errcode, response.status),
        code=str(errcode),
        detail=str(answer.get("errmsg", "")),
        retry_after=retry_after(response.headers),
    )


def _as_token_refusal(refusal: Refusal, secret: str) -> Refusal:
    """No message was part of that call, so that no outcome of it is unknown; and the words must not hold the secret."""
    error = refusal.error
    if error is ErrorClass.UNKNOWN_OUTCOME:
        error = ErrorClass.DOWN
    if refusal.code == str(_SECRET_INVALID):
        error = ErrorClass.CONFIG
    return replace(refusal, error=error, detail=refusal.detail.replace(secret, "***"))
