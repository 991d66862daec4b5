"""Twilio, Messages (2010-04-01): one recipient a call; asked by number for outcomes that stayed unknown."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Self
from urllib.parse import quote, urlencode, urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from channels.account import AccountSettings, Origin, Timeout, content_of, read_settings
from channels.errors import AnswerLost, NotSent, QueryRefused
from channels.message import Capabilities, Fate, Found, Inquiry, Message, Outcome, SmsContent
from channels.rate import RateWindow
from channels.refusal import Refusal, class_of_status, is_success, retry_after, unanswered, unreadable
from channels.states import Channel, ErrorClass
from channels.transport import HttpResponse, Transport, json_text, read_json

CAPABILITIES = Capabilities(
    channel=Channel.SMS,
    batch_size=1,
    idempotent_replay=False,
    status_query=True,
    receipts=True,
    personal_content=True,
)
#: It limits each number, not the account: 1 segment/s from a US long code, 100 from a short code, and queues what is
#: beyond that for up to 4 hours. So only the account file can say how much is right.
LIMITS: tuple[RateWindow, ...] = ()
VERSION = "2010-04-01"
_FORM = "application/x-www-form-urlencoded"
_PAGE = 1000  # messages per page, at most
#: Its clock and ours need not agree; more messages to tell apart are better than one that is overlooked.
_CLOCKS = timedelta(minutes=5)

#: Its codes in our classes; those of its receipts have a table beside their reader. A person looks at 21408 and 21612
#: (no permission for the region, no route to the number): neither the address nor the account is at fault.
TERMS: Mapping[int, ErrorClass] = {
    **dict.fromkeys((21211, 21217, 21614), ErrorClass.BAD_RECIPIENT),
    21610: ErrorClass.UNSUBSCRIBED,
    **dict.fromkeys(
        (20003, 20404, 21212, 21603, 21604, 21605, 21606, 21608, 21609, 21655, 21701, 90007), ErrorClass.CONFIG
    ),
    **dict.fromkeys((21602, 21617, 21656), ErrorClass.CONTENT),
    **dict.fromkeys((14107, 20429), ErrorClass.THROTTLED),
    **dict.fromkeys((20500, 20503, 21730), ErrorClass.DOWN),
    **dict.fromkeys((21408, 21612), ErrorClass.UNRECOGNISED),
}
#: What is wrong with one number, or with the text for one person.
_ABOUT_ONE = frozenset({21211, 21217, 21408, 21610, 21612, 21614, 21617, 21656})

#: Its statuses of a message in our words; those of one that is on its way count as sent.
FATES: Mapping[str, Fate] = {
    **dict.fromkeys(("accepted", "scheduled", "queued", "sending", "sent"), Fate.SENT),
    **dict.fromkeys(("delivered", "read"), Fate.DELIVERED),
    **dict.fromkeys(("undelivered", "failed", "canceled"), Fate.FAILED),
}


def _callback(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment:
        raise ValueError("must be an address such as https://host/callbacks/account")
    if parts.username or parts.query:
        raise ValueError("must hold neither a query nor credentials: Twilio signs what it posts")
    return value


class TwilioSettings(AccountSettings):
    account_sid: str = Field(pattern=r"^AC[0-9a-fA-F]{32}$")
    auth_token: SecretStr = Field(min_length=1)
    api_key: str | None = Field(
        None, min_length=1, description="the key that calls are made with, in place of the account"
    )
    api_key_secret: SecretStr | None = Field(None, min_length=1)
    sender: str | None = Field(None, min_length=1, description="the number or name that a message comes from")
    messaging_service_sid: str | None = Field(None, pattern=r"^MG[0-9a-fA-F]{32}$")
    validity_seconds: int = Field(36_000, ge=1, le=36_000, description="how long a message may wait at Twilio")
    status_callback: Annotated[str, AfterValidator(_callback)] | None = Field(
        None, description="where receipts are posted"
    )
    base_url: Origin = "https://api.twilio.com"
    timeout: Timeout = 10.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.sender is None) == (self.messaging_service_sid is None):
            raise ValueError("either sender or messaging_service_sid is needed, and not both")
        if (self.api_key is None) != (self.api_key_secret is None):
            raise ValueError("api_key and api_key_secret are given together or not at all")
        return self

    def credential(self) -> str:
        user, secret = self.api_key or self.account_sid, self.api_key_secret or self.auth_token
        return b64encode(f"{user}:{secret.get_secret_value()}".encode()).decode()


class TwilioSms:
    capabilities = CAPABILITIES

    def __init__(self, *, account: TwilioSettings, transport: Transport) -> None:
        self._account = account
        self._transport = transport
        self._url = f"{account.base_url}/{VERSION}/Accounts/{account.account_sid}/Messages.json"
        self._login = {"Authorization": f"Basic {account.credential()}"}
        self._headers = {**self._login, "Content-Type": _FORM}
        source = {"From": account.sender, "MessagingServiceSid": account.messaging_service_sid}
        self._fixed = {name: value for name, value in source.items() if value is not None}
        self._fixed["ValidityPeriod"] = str(account.validity_seconds)

    async def allocate_keys(self, count: int) -> Sequence[str]:  # noqa: ARG002 - there are no keys to be had
        return ()

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return [await self._send_one(message) for message in messages]

    async def inquire(self, questions: Sequence[Inquiry]) -> Sequence[Found]:
        """By number and time: a record of Twilio's carries nothing of ours.

        So what is found is ours only if it is the only one (then `provider_message_id` names it) and no other delivery
        has that id.

        Raises:
            NotSent, AnswerLost, QueryRefused: there was no answer, ask again later.
        """
        return [_found(question, await self._listed(question)) for question in questions]

    async def close(self) -> None:
        """Nothing is held open: the transport belongs to who made it."""

    async def _send_one(self, message: Message) -> Outcome:
        body = urlencode(self._form(message)).encode()
        try:
            response = await self._transport.post(
                self._url, headers=self._headers, body=body, timeout=self._account.timeout
            )
        except (NotSent, AnswerLost) as error:
            return unanswered(error).outcome(message)
        answer = _read(response)
        if isinstance(answer, Refusal):
            return answer.outcome(message)
        request_id = response.headers.get("Twilio-Request-Id")
        return Outcome(delivery_id=message.delivery_id, provider_message_id=str(answer["sid"]), request_id=request_id)

    def _form(self, message: Message) -> dict[str, str]:
        content = content_of(message, SmsContent)
        form = {"To": message.address, **self._fixed}
        if content.template is None:
            form["Body"] = content.text
        else:
            form["ContentSid"] = content.template
            form["ContentVariables"] = json_text(dict(content.params))
        if self._account.status_callback is not None:
            form["StatusCallback"] = f"{self._account.status_callback}?delivery={message.delivery_id}"
        return form

    async def _listed(self, question: Inquiry) -> list[dict[str, Any]]:
        """All messages to the number since the call began; page after page, as their order is not told."""
        since = question.began_at - _CLOCKS
        found: list[dict[str, Any]] = []
        page: str | None = f"{self._url}?To={quote(question.address, safe='')}&PageSize={_PAGE}"
        while page is not None:
            answer = await self._page(page)
            found += [item for item in answer["messages"] if _created_at(item) >= since and _is_outbound(item)]
            page = self._following(answer)
        return found

    async def _page(self, url: str) -> dict[str, Any]:
        response = await self._transport.get(url, headers=self._login, timeout=self._account.timeout)
        answer = _read(response, needed="messages")
        if isinstance(answer, Refusal):
            raise answer.of_query()
        return answer

    def _following(self, answer: Mapping[str, Any]) -> str | None:
        path = answer.get("next_page_uri")
        if path is None:
            return None
        if not str(path).startswith("/"):
            raise QueryRefused(error=ErrorClass.UNRECOGNISED, code="", detail="the next page is at no path")
        return f"{self._account.base_url}{path}"


def from_settings(
    *, account: str, settings: Mapping[str, object], secrets: Mapping[str, object], transport: Transport
) -> TwilioSms:
    read = read_settings(TwilioSettings, account=account, settings=settings, secrets=secrets)
    return TwilioSms(account=read, transport=transport)


def class_of(code: int, status: int) -> ErrorClass:
    return TERMS.get(code) or class_of_status(status)


def _read(response: HttpResponse, *, needed: str = "sid") -> dict[str, Any] | Refusal:
    try:
        answer = read_json(response.body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        return unreadable(response.status, response.headers)
    if not is_success(response.status) and answer.get("code") is not None:
        return _refusal(answer, response)
    return answer if is_success(response.status) and needed in answer else unreadable(response.status, response.headers)


def _refusal(answer: Mapping[str, Any], response: HttpResponse) -> Refusal:
    code = str(answer["code"])
    known = int(code) if code.isdecimal() else 0
    return Refusal(
        error=class_of(known, response.status),
        code=code,
        detail=str(answer.get("message", "")),
        request_id=response.headers.get("Twilio-Request-Id"),
        retry_after=retry_after(response.headers),
        about_recipient=known in _ABOUT_ONE,
    )


def _created_at(item: Mapping[str, Any]) -> datetime:
    """A message whose time cannot be read may be the one that is asked about."""
    try:
        return parsedate_to_datetime(str(item.get("date_created"))).astimezone(UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)


def _is_outbound(item: Mapping[str, Any]) -> bool:
    return not str(item.get("direction", "")).startswith("inbound")


def _found(question: Inquiry, listed: Sequence[Mapping[str, Any]]) -> Found:
    fates = {FATES.get(str(item.get("status")), Fate.SENT) for item in listed}
    if not fates:
        return Found(delivery_id=question.delivery_id, fate=None)
    if len(listed) > 1:
        words = f"{len(listed)} messages to this number since then: Twilio does not tell whose they are"
        return Found(delivery_id=question.delivery_id, fate=fates.pop() if len(fates) == 1 else Fate.SENT, detail=words)
    (item,) = listed
    code = item.get("error_code")
    return Found(
        delivery_id=question.delivery_id,
        fate=fates.pop(),
        provider_message_id=str(item.get("sid")),
        code="" if code is None else str(code),
        detail=str(item.get("error_message") or ""),
    )
