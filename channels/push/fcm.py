"""Firebase Cloud Messaging, HTTP v1 over HTTP/2: one message a call, under a token that all calls share."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from time import time
from typing import Any, Literal

from pydantic import Field, SecretStr

from channels.access_token import AccessToken, AccessTokens, TokenRefused
from channels.account import AccountSettings, Origin, Timeout, content_of, read_settings
from channels.errors import AccountSettingsInvalid, AnswerLost, NotSent
from channels.message import Capabilities, Message, Outcome, PushContent
from channels.push.service_account import GRANT_TYPE, ServiceAccount, ServiceAccountUnreadable, read_service_account
from channels.rate import RateWindow
from channels.refusal import Refusal, class_of_status, is_success, retry_after, unanswered, unreadable
from channels.states import Channel, ErrorClass
from channels.transport import HttpResponse, Transport, json_bytes, read_json

CAPABILITIES = Capabilities(
    channel=Channel.PUSH,
    batch_size=1,
    idempotent_replay=False,
    status_query=False,
    receipts=False,
    personal_content=True,
)
#: Of one project; the window is not aligned to the clock.
LIMITS = (RateWindow(per=timedelta(minutes=1), at_most=600_000),)
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
KINDS = ("token", "fid")

#: Its error codes in our classes, and below them the status words of Google's front ends, which have none.
TERMS: Mapping[str, ErrorClass] = {
    "UNREGISTERED": ErrorClass.BAD_RECIPIENT,
    "SENDER_ID_MISMATCH": ErrorClass.BAD_RECIPIENT,
    "INVALID_ARGUMENT": ErrorClass.CONTENT,  # unless it is the address, see `_blames_address`
    "THIRD_PARTY_AUTH_ERROR": ErrorClass.CONFIG,
    "APNS_AUTH_ERROR": ErrorClass.CONFIG,
    "QUOTA_EXCEEDED": ErrorClass.THROTTLED,
    "UNAVAILABLE": ErrorClass.DOWN,
    "INTERNAL": ErrorClass.DOWN,
    "UNAUTHENTICATED": ErrorClass.TOKEN,
    "PERMISSION_DENIED": ErrorClass.CONFIG,
    "RESOURCE_EXHAUSTED": ErrorClass.THROTTLED,
}
#: What a throttled project waits when Google does not say.
_QUOTA_WAIT = timedelta(seconds=60)
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_ADDRESS_FIELDS = frozenset({"message.token", "message.fid"})
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class FcmSettings(AccountSettings):
    service_account: SecretStr = Field(min_length=1, description="the JSON file of the service account, as downloaded")
    project_id: str | None = Field(
        None, pattern=r"^[a-z][a-z0-9-]{2,}$", description="if not the service account's own"
    )
    address_kind: Literal["token", "fid"] = Field("token", description="what an address without a prefix is")
    time_to_live: int = Field(86_400, ge=0, le=2_419_200, description="seconds that a phone may be offline")
    token_url: Origin | None = Field(None, description="where tokens come from, if not where the service account says")
    base_url: Origin = "https://fcm.googleapis.com"
    timeout: Timeout = 10.0


class Fcm:
    capabilities = CAPABILITIES

    def __init__(self, *, account: FcmSettings, service: ServiceAccount, transport: Transport) -> None:
        self._account = account
        self._service = service
        self._transport = transport
        self._tokens = AccessTokens(fetch=self._fetch_token)
        self.app = account.project_id or service.project_id
        self._url = f"{account.base_url}/v1/projects/{self.app}/messages:send"
        self._token_url = f"{account.token_url}/token" if account.token_url else service.token_uri

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
        return Outcome(delivery_id=message.delivery_id, provider_message_id=str(answer["name"]))

    async def _call(self, token: str, body: bytes) -> dict[str, Any] | Refusal:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        try:
            response = await self._transport.post(
                self._url, headers=headers, body=body, timeout=self._account.timeout, http2=True
            )
        except (NotSent, AnswerLost) as error:
            return unanswered(error)
        answer = _read(response)
        if isinstance(answer, Refusal):
            return replace(answer, detail=answer.detail.replace(token, "***"))
        return answer

    def _body(self, message: Message) -> bytes:
        content = content_of(message, PushContent)
        kind, address = self._address(message.address)
        # A phone that gets the message twice shows it once: there are no idempotency keys.
        same, seconds = str(message.delivery_id), self._account.time_to_live
        expires_at = int(time()) + seconds if seconds else 0
        told: dict[str, Any] = {
            kind: address,
            "notification": {"title": content.title, "body": content.body},
            "android": {"ttl": f"{seconds}s", "notification": {"tag": same}},
            "apns": {"headers": {"apns-collapse-id": same, "apns-expiration": str(expires_at)}},
        }
        if content.extras:
            told["data"] = dict(content.extras)
        return json_bytes({"message": told})

    def _address(self, address: str) -> tuple[str, str]:
        kind, colon, rest = address.partition(":")
        return (kind, rest) if colon and kind in KINDS else (self._account.address_kind, address)

    async def _fetch_token(self) -> AccessToken:
        assertion = self._service.assertion(scope=SCOPE, audience=self._service.token_uri, now=int(time()))
        body = f"grant_type={GRANT_TYPE}&assertion={assertion}".encode()
        response = await self._transport.post(self._token_url, headers=_FORM, body=body, timeout=self._account.timeout)
        return _read_token(response)


def from_settings(
    *, account: str, settings: Mapping[str, object], secrets: Mapping[str, object], transport: Transport
) -> Fcm:
    read = read_settings(FcmSettings, account=account, settings=settings, secrets=secrets)
    try:
        service = read_service_account(read.service_account.get_secret_value())
    except ServiceAccountUnreadable as problem:
        raise AccountSettingsInvalid(account=account, problems=[f"service_account: {problem}"]) from None
    return Fcm(account=read, service=service, transport=transport)


def class_of(code: str, status: int) -> ErrorClass:
    return TERMS.get(code) or class_of_status(status)


def _read(response: HttpResponse) -> dict[str, Any] | Refusal:
    try:
        answer = read_json(response.body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return unreadable(response.status, response.headers)
    if isinstance(answer.get("error"), dict):
        return _refusal(answer["error"], response)
    accepted = is_success(response.status) and "name" in answer
    return answer if accepted else unreadable(response.status, response.headers)


def _refusal(error: Mapping[str, Any], response: HttpResponse) -> Refusal:
    said, own = str(error.get("message", "")), _detail(error, _FCM_ERROR).get("errorCode")
    code = str(own or error.get("status") or "")
    meant = class_of(code, response.status)
    if code == "INVALID_ARGUMENT" and _blames_address(error, said, is_own=own is not None):
        meant = ErrorClass.BAD_RECIPIENT
    wait = retry_after(response.headers)
    if wait is None and meant is ErrorClass.THROTTLED:
        wait = _QUOTA_WAIT
    about = meant is ErrorClass.BAD_RECIPIENT
    return Refusal(error=meant, code=code, detail=said, retry_after=wait, about_recipient=about)


def _blames_address(error: Mapping[str, Any], said: str, *, is_own: bool) -> bool:
    """FCM's own INVALID_ARGUMENT is about the address, unless it names other fields of the message."""
    violations = _detail(error, _BAD_REQUEST).get("fieldViolations")
    fields = {str(item.get("field")) for item in violations or () if isinstance(item, dict)}
    if fields:
        return bool(fields & _ADDRESS_FIELDS)
    return is_own or "registration token is not a valid" in said


def _detail(error: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    details = error.get("details")
    items = details if isinstance(details, list) else []
    return next((item for item in items if isinstance(item, dict) and item.get("@type") == kind), {})


def _read_token(response: HttpResponse) -> AccessToken:
    """Raises TokenRefused."""
    try:
        answer = read_json(response.body)
    except ValueError:
        answer = None
    match answer:
        case {"access_token": str(token), "expires_in": int() | float() as seconds} if is_success(response.status):
            return AccessToken(token, float(seconds))
        case {"error": str(code), **more}:
            said = str(more.get("error_description", ""))
            raise TokenRefused(_no_token(code, said, response))
        case _:
            refusal = unreadable(response.status, response.headers)
    # No message was part of the call, so that no outcome of it is unknown.
    lost = refusal.error is ErrorClass.UNKNOWN_OUTCOME
    raise TokenRefused(replace(refusal, error=ErrorClass.DOWN) if lost else refusal)


def _no_token(code: str, said: str, response: HttpResponse) -> Refusal:
    meant = ErrorClass.CONFIG if response.status in {400, 401} else class_of_status(response.status)
    return Refusal(error=meant, code=code, detail=said, retry_after=retry_after(response.headers))
