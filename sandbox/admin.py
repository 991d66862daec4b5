"""The sandbox's own endpoints: what was accepted, scripted faults, tokens and grants."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from sandbox.fault_form import BadField, as_json, read_fault
from sandbox.faults import Faults
from sandbox.google_token import ServiceAccount
from sandbox.http_call import Arrived, Reply, json_object, json_reply
from sandbox.ledger import CHANNELS, ChannelLog, Ledger, Record
from sandbox.mail import decoded
from sandbox.receipts import Receipts
from sandbox.wechat import WeChat
from sandbox.wechat_tokens import Tokens

_MAX_PAGE = 100_000
_LOG_FIELDS = ("channel", "records", "recipient", "offset", "limit")
_GRANT_FIELDS = ("openid", "template_id", "count")


class Admin:
    """`forget` is called after the log was cleared, so that idempotency forgets what the log forgot."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        faults: Faults,
        tokens: Tokens,
        service: ServiceAccount,
        wechat: WeChat,
        receipts: Receipts,
        forget: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._faults = faults
        self._tokens = tokens
        self._service = service
        self._wechat = wechat
        self._receipts = receipts
        self._forget = forget
        self._verbs: dict[tuple[str, str], Callable[[Arrived], Reply]] = {
            ("GET", "/_log"): self._show_log,
            ("DELETE", "/_log"): self._clear_log,
            ("GET", "/_faults"): self._list_faults,
            ("POST", "/_faults"): self._add_fault,
            ("DELETE", "/_faults"): self._remove_faults,
            ("DELETE", "/_tokens"): self._expire_tokens,
            ("POST", "/_grants"): self._set_grant,
            ("GET", "/_receipts"): lambda _: json_reply(200, {"receipts": receipts.told()}),
            ("POST", "/_receipts"): self._begin_receipts,
            ("DELETE", "/_receipts"): lambda _: json_reply(200, {"ended": receipts.end()}),
            ("GET", "/_service_account"): self._show_service_account,
        }

    def answer(self, arrived: Arrived) -> Reply:
        place = "/".join(arrived.path.split("/")[:2])
        verb = self._verbs.get((arrived.method, place))
        if verb is None or (arrived.path != place and (arrived.method, place) != ("DELETE", "/_faults")):
            allowed = ", ".join(f"{method} {path}" for method, path in self._verbs)
            return json_reply(404, {"error": f"no such endpoint: {arrived.method} {arrived.path}; there are {allowed}"})
        try:
            return verb(arrived)
        except BadField as problem:
            content = {
                "error": str(problem),
                "field": problem.field,
                "found": problem.found,
                "allowed": problem.allowed,
            }
            return json_reply(400, content)

    def _show_log(self, arrived: Arrived) -> Reply:
        asked = dict(parse_qsl(arrived.query, keep_blank_values=True))
        for name, value in asked.items():
            if name not in _LOG_FIELDS:
                raise BadField(name, value, ", ".join(_LOG_FIELDS))
        channel = asked.get("channel")
        if channel not in (None, *CHANNELS):
            raise BadField("channel", channel, ", ".join(CHANNELS))
        if asked.get("records", "0") == "0":
            logs = self._ledger.logs.items()
            return json_reply(200, {"channels": {n: log.summary() for n, log in logs if channel in (None, n)}})
        if asked["records"] != "1":
            raise BadField("records", asked["records"], "0, 1")
        if channel is None:
            raise BadField("channel", None, ", ".join(CHANNELS))
        return _records(self._ledger.logs[channel], asked)

    def _clear_log(self, _arrived: Arrived) -> Reply:
        self._ledger.clear()
        self._forget()
        return json_reply(200, {"cleared": True})

    def _list_faults(self, _arrived: Arrived) -> Reply:
        return json_reply(200, {"faults": [as_json(fault) for fault in self._faults.listed()]})

    def _add_fault(self, arrived: Arrived) -> Reply:
        return json_reply(200, {"id": self._faults.add(read_fault(_body(arrived)))})

    def _remove_faults(self, arrived: Arrived) -> Reply:
        text = arrived.path.removeprefix("/_faults").strip("/")
        if not text:
            return json_reply(200, {"removed": self._faults.remove()})
        if not text.isdecimal() or not self._faults.remove(int(text)):
            return json_reply(404, {"error": f"no fault {text}", "ids": [fault.id for fault in self._faults.listed()]})
        return json_reply(200, {"removed": 1})

    def _expire_tokens(self, _arrived: Arrived) -> Reply:
        now = time.time()
        return json_reply(200, {"expired": self._tokens.expire(now) + self._service.expire(now)})

    def _show_service_account(self, arrived: Arrived) -> Reply:
        return json_reply(200, self._service.as_downloaded(f"http://{arrived.headers['Host']}"))

    def _begin_receipts(self, arrived: Arrived) -> Reply:
        self._receipts.begin(_body(arrived))
        return json_reply(200, {"begun": True})

    def _set_grant(self, arrived: Arrived) -> Reply:
        asked = _body(arrived)
        for name in (*asked, *_GRANT_FIELDS):
            if name not in asked or name not in _GRANT_FIELDS:
                raise BadField(name, asked.get(name), ", ".join(_GRANT_FIELDS))
        count = asked["count"]
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise BadField("count", count, "a whole number from 0: the sends that are left")
        self._wechat.grant(str(asked["openid"]), str(asked["template_id"]), count)
        return json_reply(200, {"left": count})


def _records(log: ChannelLog, asked: dict[str, str]) -> Reply:
    offset = _whole(asked, "offset", 0, None)
    limit = _whole(asked, "limit", 1000, _MAX_PAGE)
    recipient = asked.get("recipient")
    found = log.records if recipient is None else log.of_recipient(recipient)
    page = [_shown(record) for record in found[offset : offset + limit]]
    return json_reply(200, {"records": page, "total": len(found)})


def _shown(record: Record) -> dict[str, Any]:
    message = record.message
    return {
        "recipient": message.recipient,
        "reference": message.reference,
        "message_id": message.message_id,
        "provider": record.provider,
        "call": record.call,
        "at": datetime.fromtimestamp(record.at, UTC).isoformat(),
        "content": decoded(message.content) if isinstance(message.content, bytes) else message.content,
    }


def _whole(asked: dict[str, str], name: str, default: int, most: int | None) -> int:
    text = asked.get(name, str(default))
    if not text.isdecimal() or (most is not None and int(text) > most):
        raise BadField(name, text, f"a whole number from 0{f' to {most}' if most else ''}")
    return int(text)


def _body(arrived: Arrived) -> dict[str, Any]:
    content = json_object(arrived.body)
    if content is None:
        raise BadField("body", arrived.body[:80].decode("utf-8", "replace"), "a JSON object")
    return content
