"""Aliyun Dysmsapi 2017-05-25: SendSms, SendBatchSms and QuerySendDetails.

A request has one BizId and one Code. So a single bad number refuses the whole request, nothing is recorded, and the
answer names no number: the caller finds it by halving the batch. A `recipient_error` fault does exactly that.
"""

import itertools
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from sandbox.aliyun_messages import BusinessRefused, OutgoingSms, read_batch, read_single
from sandbox.aliyun_receipts import details
from sandbox.aliyun_signature import GatewayRefused, Nonces, verify
from sandbox.credentials import AliyunAccount
from sandbox.faults import Fault, Faults, Kind
from sandbox.http_call import Arrived, Reply, accepted_under, json_reply, refused_by
from sandbox.ledger import ChannelLog, Message

_OK = 200
_VERSION = "2017-05-25"
_READERS = {"SendSms": read_single, "SendBatchSms": read_batch}
_CODES = {429: "Throttling.User", 500: "InternalError", 503: "ServiceUnavailable", 403: "Forbidden.RAM"}


class Aliyun:
    channel = "sms"
    name = "aliyun"

    def __init__(self, *, account: AliyunAccount, log: ChannelLog, faults: Faults) -> None:
        self._account = account
        self._log = log
        self._faults = faults
        self._nonces = Nonces()
        # A number that never comes twice, not even after a restart.
        self._ids = itertools.count(time.time_ns())

    def endpoint(self, _method: str, _path: str, headers: Mapping[str, str]) -> str:
        return "query" if headers.get("x-acs-action") == "QuerySendDetails" else "send"

    def answer(self, arrived: Arrived, endpoint: str) -> Reply:
        try:
            self._check(arrived)
            parameters = _parameters(arrived)
            return self._query(parameters, arrived.call) if endpoint == "query" else self._send(parameters, arrived)
        except GatewayRefused as refusal:
            reply = _gateway_reply(refusal.status, refusal.code, str(refusal))
            messages = 1
        except BusinessRefused as refusal:
            reply = _business_reply(refusal.code, str(refusal))
            messages = refusal.messages
        if endpoint == "send":
            self._log.refuse(messages)
        return reply

    def failed(self, fault: Fault) -> Reply:
        is_throttle = fault.kind is Kind.THROTTLE
        status = 429 if is_throttle else fault.status or _OK
        code = str(fault.code or _CODES.get(status, f"Http{status}"))
        message = fault.message or (
            "Request was denied due to user flow control." if is_throttle else "Scripted fault."
        )
        if status == _OK:
            return _business_reply(code, message)
        reply = _gateway_reply(status, code, message)
        if fault.retry_after is not None and reply.headers is not None:
            reply.headers["Retry-After"] = f"{fault.retry_after:g}"
        return reply

    def _check(self, arrived: Arrived) -> None:
        verify(arrived, self._account, self._nonces, datetime.now(UTC))
        if arrived.headers["x-acs-version"] != _VERSION:
            raise GatewayRefused(404, "InvalidVersion", f"Specified parameter Version is not valid: use {_VERSION}.")

    def _send(self, parameters: dict[str, str], arrived: Arrived) -> Reply:
        action = arrived.headers["x-acs-action"]
        if action not in _READERS:
            raise GatewayRefused(404, "InvalidAction.NotFound", f"Specified api is not found: {action}.")
        sms = _READERS[action](parameters, self._account)
        numbers = [message.recipient for message in sms.messages]
        verdict = self._faults.judge(self.channel, "send", arrived.call, numbers, provider=self.name)
        refusal = refused_by(verdict, self)
        if refusal is not None:
            self._log.refuse(len(numbers))
            return refusal
        self._check_numbers(numbers)
        return accepted_under(verdict, self._accept(sms, arrived.call))

    def _check_numbers(self, numbers: list[str]) -> None:
        struck = self._faults.struck(self.channel, "send", numbers, provider=self.name)
        if struck:
            fault = next(iter(struck.values()))
            code = str(fault.code or "isv.MOBILE_NUMBER_ILLEGAL")
            raise BusinessRefused(code, fault.message or "A number of the request is refused.", messages=len(numbers))

    def _accept(self, sms: OutgoingSms, call: int) -> Reply:
        biz_id = f"{next(self._ids)}^0"
        self._log.accept(
            call, [Message(m.recipient, sms.out_id, biz_id, m.content()) for m in sms.messages], provider=self.name
        )
        return _business_reply("OK", "OK", BizId=biz_id)

    def _query(self, parameters: dict[str, str], call: int) -> Reply:
        number = parameters.get("PhoneNumber", "")
        verdict = self._faults.judge(self.channel, "query", call, (number,), provider=self.name)
        refusal = refused_by(verdict, self)
        if refusal is not None:
            return refusal
        total, page = details(parameters, self._log, self._faults)
        reply = _business_reply("OK", "OK", TotalCount=total, SmsSendDetailDTOs={"SmsSendDetailDTO": page})
        return accepted_under(verdict, reply)


def _parameters(arrived: Arrived) -> dict[str, str]:
    """Query and form together: the gateway takes a parameter from either place."""
    pairs = parse_qsl(arrived.query, keep_blank_values=True)
    if arrived.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        pairs += parse_qsl(arrived.body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(pairs)


def _business_reply(code: str, message: str, **more: object) -> Reply:
    return json_reply(_OK, {"Code": code, "Message": message, "RequestId": str(uuid.uuid4()).upper(), **more})


def _gateway_reply(status: int, code: str, message: str) -> Reply:
    content = {
        "Code": code,
        "Message": message,
        "RequestId": str(uuid.uuid4()).upper(),
        "HostId": "dysmsapi.aliyuncs.com",
        "Recommend": f"https://api.aliyun.com/troubleshoot?q={code}&product=Dysmsapi",
    }
    return json_reply(status, content, {})
