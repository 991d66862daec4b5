"""Twilio's Messages resource (2010-04-01): create one, list those to a number, fetch one.

A message counts as delivered at once. A `recipient_error` fault on the endpoint `query` reports it as undelivered with
the fault's code; a `no_receipt` fault leaves it as sent.
"""

import base64
import hmac
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlencode

from sandbox.credentials import TwilioAccount
from sandbox.faults import Fault, Faults, Kind
from sandbox.http_call import Arrived, Reply, accepted_under, json_reply, refused_by
from sandbox.ledger import ChannelLog, Message, Record
from sandbox.twilio_message import TwilioRefused, read_message

PREFIX = "/2010-04-01/Accounts/"
_MAX_PAGE = 1000
_CODES = {400: 21211, 401: 20003, 403: 20403, 404: 20404, 429: 20429, 500: 20500, 503: 20503}
#: The HTTP status that comes with a code, where it is not 400.
_STATUSES = {20003: 401, 20403: 403, 20404: 404, 20429: 429, 20500: 500, 20503: 503, 21610: 400, 21730: 503}
_UNDELIVERED = 30005


class Twilio:
    channel = "sms"
    name = "twilio"

    def __init__(self, *, account: TwilioAccount, log: ChannelLog, faults: Faults) -> None:
        self._account = account
        self._log = log
        self._faults = faults
        self._logins = {
            _basic(account.account_sid, account.auth_token),
            _basic(account.api_key, account.api_key_secret),
        }

    def endpoint(self, method: str, _path: str, _headers: Mapping[str, str]) -> str:
        return "send" if method == "POST" else "query"

    def answer(self, arrived: Arrived, endpoint: str) -> Reply:
        try:
            rest = self._check(arrived)
            reply = self._create(arrived) if endpoint == "send" else self._query(arrived, rest)
        except TwilioRefused as refusal:
            if endpoint == "send":
                self._log.refuse()
            reply = _error(refusal.status, refusal.code, str(refusal))
        reply.headers = {"Twilio-Request-Id": f"RQ{uuid.uuid4().hex}", **(reply.headers or {})}
        return reply

    def failed(self, fault: Fault) -> Reply:
        throttled = fault.kind is Kind.THROTTLE
        status = 429 if throttled else fault.status or 0
        code = fault.code if fault.code is not None else _CODES.get(status, 20000 + (status or 500))
        said = fault.message or ("Too many requests" if throttled else "Scripted fault")
        reply = _error(status or _STATUSES.get(_number(code), 400), code, said)
        if fault.retry_after is not None:
            reply.headers = {"Retry-After": f"{fault.retry_after:g}"}
        return reply

    def _check(self, arrived: Arrived) -> str:
        """What of the path comes after the account."""
        given = arrived.headers.get("authorization", "").encode()
        if not any(hmac.compare_digest(given, login.encode()) for login in self._logins):
            raise TwilioRefused(401, 20003, "Authenticate")
        sid, _, rest = arrived.path.removeprefix(PREFIX).partition("/")
        if sid != self._account.account_sid or not rest.startswith("Messages"):
            raise TwilioRefused(404, 20404, f"The requested resource {arrived.path} was not found")
        if arrived.method not in ("GET", "POST") or (arrived.method == "POST" and rest != "Messages.json"):
            raise TwilioRefused(405, 20004, "Method not allowed")
        return rest

    def _create(self, arrived: Arrived) -> Reply:
        form = parse_qs(arrived.body.decode("utf-8", "replace"), keep_blank_values=True)
        content = read_message({name: values[-1] for name, values in form.items()})
        to = content["to"]
        verdict = self._faults.judge(self.channel, "send", arrived.call, (to,), provider=self.name)
        fault = self._faults.struck(self.channel, "send", (to,), provider=self.name).get(to)
        refusal = refused_by(verdict, self)
        if refusal is None and fault is not None:
            code = fault.code if fault.code is not None else _CODES[400]
            refusal = _error(_STATUSES.get(_number(code), 400), code, fault.message or f"Refused: {to}")
        if refusal is not None:
            self._log.refuse()
            return refusal
        sid = f"SM{uuid.uuid4().hex}"
        self._log.accept(arrived.call, [Message(to, content["status_callback"], sid, content)], provider=self.name)
        created = self._resource(sid, content, time.time(), None)
        first = "accepted" if content["messaging_service_sid"] else "queued"
        return accepted_under(verdict, json_reply(201, {**created, "status": first, "date_sent": None}))

    def _query(self, arrived: Arrived, rest: str) -> Reply:
        asked = {name: values[-1] for name, values in parse_qs(arrived.query).items()}
        to = asked.get("To", "")
        verdict = self._faults.judge(self.channel, "query", arrived.call, (to,), provider=self.name)
        refusal = refused_by(verdict, self)
        if refusal is not None:
            return refusal
        if rest == "Messages.json":
            return accepted_under(verdict, self._list(asked, to))
        sid = rest.removeprefix("Messages/").removesuffix(".json")
        found = next((r for r in self._log.records if r.message.message_id == sid), None)
        if found is None:
            raise TwilioRefused(404, 20404, f"The requested resource {arrived.path} was not found")
        return accepted_under(verdict, json_reply(200, self._told(found)))

    def _list(self, asked: Mapping[str, str], to: str) -> Reply:
        size, page = _whole(asked, "PageSize", 50), _whole(asked, "Page", 0)
        if not 0 < size <= _MAX_PAGE:
            raise TwilioRefused(400, 20001, f"PageSize is from 1 to {_MAX_PAGE}")
        mine = [r for r in reversed(self._of(to)) if r.provider == self.name]
        shown = mine[page * size : (page + 1) * size]
        path = f"{PREFIX}{self._account.account_sid}/Messages.json"
        following = {"To": to, "PageSize": size, "Page": page + 1}
        more = f"{path}?{urlencode(following)}" if len(mine) > (page + 1) * size else None
        told = {"messages": [self._told(record) for record in shown], "page": page, "page_size": size}
        return json_reply(200, {**told, "next_page_uri": more, "uri": path})

    def _of(self, to: str) -> Sequence[Record]:
        return self._log.of_recipient(to) if to else self._log.records

    def _told(self, record: Record) -> dict[str, Any]:
        content = record.message.content if isinstance(record.message.content, dict) else {}
        to = record.message.recipient
        fault = self._faults.struck(self.channel, "query", (to,), provider=self.name).get(to)
        return self._resource(record.message.message_id, {"to": to, **content}, record.at, fault)

    def _resource(self, sid: str, content: Mapping[str, Any], at: float, fault: Fault | None) -> dict[str, Any]:
        created, path = format_datetime(datetime.fromtimestamp(at, UTC)), f"{PREFIX}{self._account.account_sid}"
        status, code = "delivered", None
        if fault is not None:
            status = "sent" if fault.kind is Kind.NO_RECEIPT else "undelivered"
            code = None if fault.kind is Kind.NO_RECEIPT else fault.code or _UNDELIVERED
        return {
            "sid": sid,
            "account_sid": self._account.account_sid,
            "to": content["to"],
            "from": content.get("from"),
            "messaging_service_sid": content.get("messaging_service_sid"),
            "body": content.get("body") or "",
            "status": status,
            "error_code": code,
            "error_message": None,
            "num_segments": str(content.get("num_segments", 1)),
            "num_media": "0",
            "direction": "outbound-api",
            "date_created": created,
            "date_updated": created,
            "date_sent": created,
            "price": None,
            "price_unit": "USD",
            "api_version": "2010-04-01",
            "uri": f"{path}/Messages/{sid}.json",
            "subresource_uris": {"media": f"{path}/Messages/{sid}/Media.json"},
        }


def _error(status: int, code: int | str, message: str) -> Reply:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return json_reply(status, {"code": code, "message": message, "more_info": more, "status": status}, {})


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def _number(code: int | str) -> int:
    return int(code) if str(code).isdecimal() else 0


def _whole(asked: Mapping[str, str], name: str, default: int) -> int:
    text = asked.get(name, str(default))
    if not text.isdecimal() or len(text) > 9:  # noqa: PLR2004 - as many digits as a page number may have
        raise TwilioRefused(400, 20001, f"{name} must be a whole number")
    return int(text)
