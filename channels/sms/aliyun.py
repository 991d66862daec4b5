"""Aliyun short messages, Dysmsapi 2017-05-25: `SendBatchSms`; `QuerySendDetails` for outcomes that stayed unknown."""

import secrets as randomness
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from channels.account import AccountSettings, Origin, Timeout, content_of, read_settings
from channels.errors import AnswerLost, NotSent
from channels.message import Capabilities, Found, Inquiry, Message, Outcome, SmsContent
from channels.rate import RateWindow
from channels.refusal import Refusal, class_of_status, retry_after, unanswered, unreadable
from channels.sms import acs3
from channels.sms.aliyun_details import SendDetail, days_of, found, read_detail
from channels.sms.bisection import Bisection
from channels.sms.form import form_body
from channels.states import Channel, ErrorClass
from channels.transport import Transport, json_text, read_json

CAPABILITIES = Capabilities(
    channel=Channel.SMS,
    batch_size=100,
    idempotent_replay=False,
    status_query=True,
    receipts=True,
    personal_content=True,
)
#: SendBatchSms, of one account.
LIMITS = (RateWindow(per=timedelta(seconds=1), at_most=5_000),)
VERSION = "2017-05-25"
_FORM = "application/x-www-form-urlencoded"
_PAGE = 50  # details per page, at most

#: Its codes in our classes. A code with a dot that is not here counts as what stands before the dot.
TERMS: Mapping[str, ErrorClass] = {
    **dict.fromkeys(
        (
            "isp.RAM_PERMISSION_DENY",
            "isv.OUT_OF_SERVICE",
            "isv.PRODUCT_UN_SUBSCRIPT",
            "isv.PRODUCT_UNSUBSCRIBE",
            "isv.ACCOUNT_NOT_EXISTS",
            "isv.ACCOUNT_ABNORMAL",
            "isv.AMOUNT_NOT_ENOUGH",
            "isv.SMS_TEMPLATE_ILLEGAL",
            "isv.SMS_SIGNATURE_ILLEGAL",
            "isv.SMS_SIGN_ILLEGAL",
            "isv.SIGN_STATE_ILLEGAL",
            "isv.SMS_SIGNATURE_SCENE_ILLEGAL",
            "isv.EXTEND_CODE_ERROR",
            "isv.DENY_IP_RANGE",
            "isv.DOMESTIC_NUMBER_NOT_SUPPORTED",
            "SignatureDoesNotMatch",
            "IncompleteSignature",
            "InvalidAccessKeyId",
            "InvalidTimeStamp",
            "Forbidden",
        ),
        ErrorClass.CONFIG,
    ),
    **dict.fromkeys(
        (
            "isv.SMS_CONTENT_ILLEGAL",
            "isv.BLACK_KEY_CONTROL_LIMIT",
            "isv.PARAM_NOT_SUPPORT_URL",
            "isv.PARAM_LENGTH_LIMIT",
            "isv.TEMPLATE_MISSING_PARAMETERS",
            "isv.TEMPLATE_PARAMS_ILLEGAL",
            "isv.INVALID_JSON_PARAM",
        ),
        ErrorClass.CONTENT,
    ),
    "isv.MOBILE_NUMBER_ILLEGAL": ErrorClass.BAD_RECIPIENT,
    "isv.BUSINESS_LIMIT_CONTROL": ErrorClass.THROTTLED,
    "Throttling": ErrorClass.THROTTLED,
    "isv.DAY_LIMIT_CONTROL": ErrorClass.QUOTA,
    "isv.MONTH_LIMIT_CONTROL": ErrorClass.QUOTA,
    "isp.SYSTEM_ERROR": ErrorClass.DOWN,
    "isp.GATEWAY_ERROR": ErrorClass.DOWN,
    "ServiceUnavailable": ErrorClass.DOWN,
    "SignatureNonceUsed": ErrorClass.TOKEN,
}
#: The frequency limit of one phone runs over a day: a wait of seconds would only meet it again.
_WAITS = {"isv.BUSINESS_LIMIT_CONTROL": timedelta(days=1)}
#: One such recipient makes the provider refuse the whole batch.
_ABOUT_SOME = frozenset({"isv.MOBILE_NUMBER_ILLEGAL", "isv.BUSINESS_LIMIT_CONTROL"})


class AliyunSettings(AccountSettings):
    access_key_id: str = Field(min_length=1)
    access_key_secret: SecretStr = Field(min_length=1)
    sign_name: str = Field(min_length=1, description="the registered signature in front of every message")
    template_code: str = Field(min_length=1, description="the template that carries a plain text")
    text_param: str = Field("content", min_length=1, description="the template's parameter for a plain text")
    base_url: Origin = "https://dysmsapi.aliyuncs.com"
    timeout: Timeout = 10.0


class AliyunSms:
    capabilities = CAPABILITIES

    def __init__(self, *, account: AliyunSettings, transport: Transport) -> None:
        self._account = account
        self._transport = transport
        self._host = urlsplit(account.base_url).netloc

    async def allocate_keys(self, count: int) -> Sequence[str]:  # noqa: ARG002 - there are no keys to be had
        return ()

    async def send(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        """One call per template among the messages, and more calls only where one bad recipient spoils a batch."""
        outcomes: dict[object, Outcome] = {}
        for group in self._by_template(messages):
            bisection = Bisection(call=self._send_batch, blames_some=self._blames_some)
            outcomes.update((outcome.delivery_id, outcome) for outcome in await bisection.send(group))
        return [outcomes[message.delivery_id] for message in messages]

    async def query(self, *, address: str, sent_on: date) -> Sequence[SendDetail]:
        """All messages to one phone on one day (UTC+8), for up to 30 days back.

        Raises:
            NotSent, AnswerLost, QueryRefused: there was no answer, ask again later.
        """
        read: list[SendDetail] = []
        while True:
            page = len(read) // _PAGE + 1
            body = await self._details(address, sent_on, page)
            details = body.get("SmsSendDetailDTOs", {}).get("SmsSendDetailDTO", [])
            read.extend(read_detail(item) for item in details)
            if len(details) < _PAGE:
                return read

    async def inquire(self, questions: Sequence[Inquiry]) -> Sequence[Found]:
        """By phone and day. A record names the delivery that leads its call, seldom the one that is asked about.

        Raises:
            NotSent, AnswerLost, QueryRefused: there was no answer, ask again later.
        """
        return [found(question, await self._near(question)) for question in questions]

    async def _near(self, question: Inquiry) -> list[SendDetail]:
        days = [await self.query(address=question.address, sent_on=day) for day in days_of(question)]
        return [detail for details in days for detail in details]

    async def close(self) -> None:
        """Nothing is held open: the transport belongs to who made it."""

    def _by_template(self, messages: Sequence[Message]) -> list[list[Message]]:
        groups: dict[str, list[Message]] = {}
        for message in messages:
            groups.setdefault(self._template(message)[0], []).append(message)
        return list(groups.values())

    def _template(self, message: Message) -> tuple[str, Mapping[str, str]]:
        content = content_of(message, SmsContent)
        if content.template is not None:
            return content.template, content.params
        return self._account.template_code, {self._account.text_param: content.text}

    def _blames_some(self, outcome: Outcome, messages: Sequence[Message]) -> bool:
        if outcome.code in _ABOUT_SOME:
            return True
        if outcome.error is not ErrorClass.CONTENT:
            return False
        first = self._template(messages[0])[1]
        return any(self._template(message)[1] != first for message in messages[1:])

    async def _send_batch(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        filled = [self._template(message) for message in messages]
        query = {"TemplateCode": filled[0][0], "OutId": str(messages[0].delivery_id)}
        form = {
            "PhoneNumberJson": json_text([message.address.removeprefix("+") for message in messages]),
            "SignNameJson": json_text([self._account.sign_name] * len(messages)),
            "TemplateParamJson": json_text([dict(params) for _, params in filled]),
        }
        try:
            answer = await self._call("SendBatchSms", query, form)
        except (NotSent, AnswerLost) as error:
            answer = unanswered(error)
        if isinstance(answer, Refusal):
            return [answer.outcome(message) for message in messages]
        return [_accepted(message, answer) for message in messages]

    async def _details(self, address: str, sent_on: date, page: int) -> dict[str, Any]:
        query = {
            "PhoneNumber": address.removeprefix("+"),
            "SendDate": sent_on.strftime("%Y%m%d"),
            "PageSize": str(_PAGE),
            "CurrentPage": str(page),
        }
        answer = await self._call("QuerySendDetails", query, {})
        if isinstance(answer, Refusal):
            raise answer.of_query()
        return answer

    async def _call(self, action: str, query: Mapping[str, str], form: Mapping[str, str]) -> dict[str, Any] | Refusal:
        answer = await self._call_once(action, query, form)
        if isinstance(answer, Refusal) and answer.code == "SignatureNonceUsed":
            return await self._call_once(action, query, form)
        return answer

    async def _call_once(
        self, action: str, query: Mapping[str, str], form: Mapping[str, str]
    ) -> dict[str, Any] | Refusal:
        wire_query = acs3.canonical_query(query)
        body = form_body(form)
        headers = acs3.signed_headers(
            access_key_id=self._account.access_key_id,
            access_key_secret=self._account.access_key_secret.get_secret_value(),
            host=self._host,
            action=action,
            version=VERSION,
            query=wire_query,
            body=body,
            at=datetime.now(UTC),
            nonce=randomness.token_hex(16),
            content_type=_FORM,
        )
        url = f"{self._account.base_url}/?{wire_query}"
        response = await self._transport.post(url, headers=headers, body=body, timeout=self._account.timeout)
        return _read(response.status, response.headers, response.body)


def from_settings(
    *, account: str, settings: Mapping[str, object], secrets: Mapping[str, object], transport: Transport
) -> AliyunSms:
    read = read_settings(AliyunSettings, account=account, settings=settings, secrets=secrets)
    return AliyunSms(account=read, transport=transport)


def class_of(code: str, status: int) -> ErrorClass:
    return TERMS.get(code) or TERMS.get(code.partition(".")[0]) or class_of_status(status)


def _read(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any] | Refusal:
    try:
        answer = read_json(body)
        code = str(answer["Code"])
    except (ValueError, TypeError, KeyError):
        return unreadable(status, headers)
    if code == "OK":
        return dict(answer)
    return Refusal(
        error=class_of(code, status),
        code=code,
        detail=str(answer.get("Message", "")),
        request_id=answer.get("RequestId"),
        retry_after=_WAITS.get(code) or retry_after(headers),
        about_recipient=code in _ABOUT_SOME,
    )


def _accepted(message: Message, answer: Mapping[str, Any]) -> Outcome:
    return Outcome(
        delivery_id=message.delivery_id,
        provider_message_id=str(answer.get("BizId", "")) or None,
        request_id=answer.get("RequestId"),
    )
