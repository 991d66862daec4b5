"""WeChat mini-program: the stable token and the subscribe message. Errors come with HTTP 200 and an errcode.

WeChat has no idempotency: every accepted call is one more message.
"""

import hmac
import itertools
import re
import time
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs

from sandbox.credentials import WeChatAccount
from sandbox.faults import Fault, Faults, Kind
from sandbox.http_call import Arrived, Reply, accepted_under, json_object, json_reply, refused_by
from sandbox.ledger import ChannelLog, Message, Record
from sandbox.wechat_fields import problem_of
from sandbox.wechat_tokens import Tokens

_TOKEN_PATH = "/cgi-bin/stable_token"  # noqa: S105 - a path
_SEND_PATH = "/cgi-bin/message/subscribe/send"
_STATES = ("formal", "trial", "developer")
_LANGUAGES = ("zh_CN", "en_US", "zh_HK", "zh_TW")
_OPENID = re.compile(r"[\w-]{1,128}", re.ASCII)
# A client that escapes Chinese gets it shown as escapes by real phones; the stand-in refuses it outright.
_ESCAPED = re.compile(rb"(?<!\\)\\u(?!00[0-7])")


class WeChatRefused(Exception):
    """WeChat answers with an errcode."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class WeChat:
    channel = "mini_program"
    name = "wechat"
    paths = (_TOKEN_PATH, _SEND_PATH)

    def __init__(self, *, account: WeChatAccount, log: ChannelLog, faults: Faults, tokens: Tokens) -> None:
        self._account = account
        self._log = log
        self._faults = faults
        self._tokens = tokens
        self._used: Counter[tuple[str, str]] = Counter()
        self._grants = {(openid, key): n for openid, left in account.grants.items() for key, n in left.items()}
        self._ids = itertools.count(time.time_ns() // 1000)
        self.recall(log.records)

    def recall(self, records: list[Record]) -> None:
        """Count these records, and no others, as sends that used a grant up."""
        self._used.clear()
        for record in records:
            if isinstance(record.message.content, dict):
                self._used[record.message.recipient, record.message.content["template_id"]] += 1

    def grant(self, openid: str, template: str, left: int) -> None:
        """Leave `left` more sends of this template to this person."""
        self._grants[openid, template] = self._used[openid, template] + left

    def endpoint(self, _method: str, path: str, _headers: Mapping[str, str]) -> str:
        return "token" if path == _TOKEN_PATH else "send"

    def answer(self, arrived: Arrived, endpoint: str) -> Reply:
        try:
            _check_method(arrived.method)
            return self._hand_out_token(arrived) if endpoint == "token" else self._send(arrived)
        except WeChatRefused as refusal:
            if endpoint == "send":
                self._log.refuse()
            return _error(refusal.code, str(refusal))

    def failed(self, fault: Fault) -> Reply:
        if fault.kind is Kind.THROTTLE:
            reply = _error(int(fault.code or 45011), fault.message or "api minute-quota reach limit  mustslower")
            reply.headers = None if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
            return reply
        status = fault.status or 200
        if fault.code is None and status != 200:  # noqa: PLR2004 - HTTP's own figure
            page = f"<html><head><title>{status}</title></head><body>{fault.message or 'nginx'}</body></html>"
            return Reply(status, page.encode(), {"Content-Type": "text/html"})
        reply = _error(int(fault.code or -1), fault.message or "system error")
        reply.status = status
        return reply

    def _hand_out_token(self, arrived: Arrived) -> Reply:
        asked = json_object(arrived.body)
        if asked is None:
            raise WeChatRefused(47001, "data format error")
        if asked.get("grant_type") != "client_credential":
            raise WeChatRefused(40002, "invalid grant_type")
        if asked.get("appid") != self._account.appid:
            raise WeChatRefused(40013, "invalid appid")
        if not hmac.compare_digest(str(asked.get("secret")).encode(), self._account.secret.encode()):
            raise WeChatRefused(40125, "invalid appsecret")
        verdict = self._faults.judge(self.channel, "token", arrived.call, ())
        refusal = refused_by(verdict, self)
        if refusal is not None:
            return refusal
        token, seconds = self._token(is_forced=asked.get("force_refresh") is True)
        return accepted_under(verdict, json_reply(200, {"access_token": token, "expires_in": seconds}))

    def _token(self, *, is_forced: bool) -> tuple[str, int]:
        now = time.time()
        if is_forced:
            too_often = self._tokens.force(now)
            if too_often is not None:
                raise WeChatRefused(*too_often)
        return self._tokens.current(now)

    def _send(self, arrived: Arrived) -> Reply:
        self._check_token(_access_token(arrived.query))
        asked = self._read(arrived.body)
        openid, template = asked["touser"], asked["template_id"]
        verdict = self._faults.judge(self.channel, "send", arrived.call, (openid,))
        refusal = refused_by(verdict, self)
        if refusal is not None:
            self._log.refuse()
            return refusal
        self._check_recipient(openid, template)
        self._used[openid, template] += 1
        msg_id = next(self._ids)
        self._log.accept(arrived.call, [Message(openid, None, str(msg_id), _content(asked))])
        return accepted_under(verdict, json_reply(200, {"errcode": 0, "errmsg": "ok", "msgid": msg_id}))

    def _check_token(self, token: str) -> None:
        if not token:
            raise WeChatRefused(41001, "access_token missing")
        expires_at = self._tokens.end_of(token)
        if expires_at is None:
            raise WeChatRefused(40001, "invalid credential, access_token is invalid or not latest")
        if expires_at <= time.time():
            raise WeChatRefused(42001, "access_token expired")

    def _read(self, body: bytes) -> dict[str, Any]:
        asked = json_object(body)
        if asked is None or (b"\\u" in body and _ESCAPED.search(body)):
            raise WeChatRefused(47001, "data format error: a JSON object in UTF-8, without \\u escapes")
        if not isinstance(asked.get("touser"), str) or not _OPENID.fullmatch(asked["touser"]):
            raise WeChatRefused(40003, "invalid openid")
        keys = (
            None if self._account.templates is None else self._account.templates.get(str(asked.get("template_id")), ())
        )
        if not isinstance(asked.get("template_id"), str) or not asked["template_id"] or keys == ():
            raise WeChatRefused(40037, "invalid template_id")
        if not isinstance(asked.get("page", ""), str):
            raise WeChatRefused(41030, "invalid page")
        if asked.get("miniprogram_state", "formal") not in _STATES or asked.get("lang", "zh_CN") not in _LANGUAGES:
            raise WeChatRefused(47001, f"miniprogram_state is one of {_STATES}, lang one of {_LANGUAGES}")
        problem = problem_of(asked.get("data"), keys)
        if problem is not None:
            raise WeChatRefused(47003, f"argument invalid! {problem}")
        return asked

    def _check_recipient(self, openid: str, template: str) -> None:
        fault = self._faults.struck(self.channel, "send", (openid,)).get(openid)
        if fault is not None:
            raise WeChatRefused(int(fault.code or 43101), fault.message or "user refuse to accept the msg")
        granted = self._grants.get((openid, template), self._account.default_grants)
        if granted is not None and self._used[openid, template] >= granted:
            raise WeChatRefused(43101, "user refuse to accept the msg")


@lru_cache(maxsize=16)
def _access_token(query: str) -> str:
    """Remembered, as nearly every call comes with the same one."""
    return parse_qs(query).get("access_token", [""])[0]


def _check_method(method: str) -> None:
    if method != "POST":
        raise WeChatRefused(43002, "require POST method")


def _error(code: int, message: str) -> Reply:
    return json_reply(200, {"errcode": code, "errmsg": f"{message} rid: {time.time_ns():x}"})


def _content(asked: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in asked.items() if key != "touser"}
