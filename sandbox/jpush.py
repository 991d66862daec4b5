"""JPush REST v3: cids, a push to a list of registration ids, and single pushes in one batch.

A cid that was accepted within a day answers its first result and sends nothing. A refused one is not remembered, so
that the same cid may be tried again.
"""

import base64
import hmac
import itertools
import re
import time
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

from sandbox.credentials import JPushAccount
from sandbox.faults import Fault, Faults, Kind
from sandbox.http_call import Arrived, Reply, accepted_under, json_object, json_reply, refused_by
from sandbox.jpush_push import PushRefused, audience_of, check_push, check_single
from sandbox.ledger import ChannelLog, Message, Record

MAX_BATCH = 1000
_DAY = 86_400.0
_MINUTE = 60.0
_CODES = {400: 1003, 401: 1004, 403: 2003, 429: 2002, 500: 1000, 503: 1030}
_METHODS = {"/v3/push/cid": "GET", "/v3/push": "POST", "/v3/push/batch/regid/single": "POST"}


class JPush:
    channel = "push"
    name = "jpush"
    paths = tuple(_METHODS)

    def __init__(self, *, account: JPushAccount, log: ChannelLog, faults: Faults) -> None:
        self._account = account
        self._log = log
        self._faults = faults
        pair = f"{account.app_key}:{account.master_secret}".encode()
        self._basic = f"Basic {base64.b64encode(pair).decode()}"
        self._cid = re.compile(re.escape(account.app_key) + r"-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
        self._results: dict[str, tuple[str, float]] = {}
        self._ids = itertools.count(time.time_ns())
        self._window = (0.0, 0)
        self.recall(log.records)

    def recall(self, records: list[Record]) -> None:
        """Answer the cids of these records, and of no others, with their first result."""
        self._results.clear()
        for record in records:
            if record.provider == self.name and record.message.reference is not None:
                self._results.setdefault(record.message.reference, (record.message.message_id, record.at))

    def endpoint(self, _method: str, path: str, _headers: Mapping[str, str]) -> str:
        return "cid" if path == "/v3/push/cid" else "send"

    def answer(self, arrived: Arrived, endpoint: str) -> Reply:
        rates: dict[str, str] = {}
        try:
            self._check(arrived)
            if endpoint == "cid":
                return self._hand_out_cids(arrived)
            rates = self._count_call()
            self._check_rate()
            reply = self._push_batch(arrived) if arrived.path.endswith("/single") else self._push(arrived)
        except PushRefused as refusal:
            if endpoint == "send":
                self._log.refuse(refusal.messages)
            reply = json_reply(refusal.status, _error(refusal.code, str(refusal)))
        reply.headers = {**rates, **(reply.headers or {})}
        return reply

    def failed(self, fault: Fault) -> Reply:
        is_throttle = fault.kind is Kind.THROTTLE
        status = 429 if is_throttle else fault.status or 500
        code = int(fault.code or _CODES.get(status, 1000))
        message = fault.message or (
            "Request times of the app_key exceed the limit" if is_throttle else "Scripted fault"
        )
        reply = json_reply(status, _error(code, message))
        if is_throttle:
            wait = f"{fault.retry_after if fault.retry_after is not None else _MINUTE:g}"
            reply.headers = {"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": wait}
        if fault.retry_after is not None:
            reply.headers = {**(reply.headers or {}), "Retry-After": f"{fault.retry_after:g}"}
        return reply

    def _check(self, arrived: Arrived) -> None:
        if arrived.method != _METHODS[arrived.path]:
            raise PushRefused(405, 1000, f"{arrived.path} takes {_METHODS[arrived.path]} only")
        if not hmac.compare_digest(arrived.headers.get("authorization", "").encode(), self._basic.encode()):
            raise PushRefused(401, 1004, "Basic authentication failed: check appKey and masterSecret")

    def _count_call(self) -> dict[str, str]:
        now, limit = time.monotonic(), self._account.requests_per_minute
        started, calls = self._window
        if calls == 0 or now - started >= _MINUTE:
            started, calls = now, 0
        self._window = (started, calls + 1)
        return {
            "X-Rate-Limit-Limit": str(limit),
            "X-Rate-Limit-Remaining": str(max(limit - calls - 1, 0)),
            "X-Rate-Limit-Reset": str(int(started + _MINUTE - now)),
        }

    def _check_rate(self) -> None:
        if self._window[1] > self._account.requests_per_minute:
            raise PushRefused(429, 2002, "Request times of the app_key exceed the limit")

    def _hand_out_cids(self, arrived: Arrived) -> Reply:
        query = parse_qs(arrived.query)
        count, kind = query.get("count", ["1"])[0], query.get("type", ["push"])[0]
        most = self._account.cids_per_call
        if not count.isdecimal() or not 0 < int(count) <= most or kind not in ("push", "schedule"):
            raise PushRefused(400, 1003, f"count must be from 1 to {most} and type push or schedule")
        verdict = self._faults.judge(self.channel, "cid", arrived.call, (), provider=self.name)
        cids = [f"{self._account.app_key}-{uuid.uuid4()}" for _ in range(int(count))]
        return refused_by(verdict, self) or accepted_under(verdict, json_reply(200, {"cidlist": cids}))

    def _push(self, arrived: Arrived) -> Reply:
        push = json_object(arrived.body)
        if push is None:
            raise PushRefused(400, 1003, "The body is not a JSON object")
        check_push(push)
        recipients = audience_of(push)
        cid = push.get("cid")
        if cid is not None and not self._is_cid(cid):
            raise PushRefused(400, 1003, "cid must be {appkey}-{uuid}", messages=len(recipients))
        verdict = self._faults.judge(self.channel, "send", arrived.call, recipients, provider=self.name)
        refusal = refused_by(verdict, self)
        if refusal is not None:
            self._log.refuse(len(recipients))
            return refusal
        msg_id = self._first_result(cid) or self._accept_audience(push, recipients, cid, arrived.call)
        sendno = str(push.get("options", {}).get("sendno", "0"))
        return accepted_under(verdict, json_reply(200, {"sendno": sendno, "msg_id": msg_id}))

    def _accept_audience(self, push: dict[str, Any], recipients: list[str], cid: str | None, call: int) -> str:
        """Bad registration ids among good ones are dropped in silence; all bad is an error."""
        struck = self._faults.struck(self.channel, "send", recipients, provider=self.name)
        good = [recipient for recipient in recipients if recipient not in struck]
        if not good:
            fault = next(iter(struck.values()))
            message = fault.message or "No target that satisfies the conditions"
            raise PushRefused(400, int(fault.code or 1011), message, messages=len(recipients))
        msg_id = str(next(self._ids))
        self._log.accept(
            call, [Message(recipient, cid, msg_id, _content(push)) for recipient in good], provider=self.name
        )
        self._remember(cid, msg_id)
        return msg_id

    def _push_batch(self, arrived: Arrived) -> Reply:
        pushes = (json_object(arrived.body) or {}).get("pushlist")
        if not isinstance(pushes, dict) or not 0 < len(pushes) <= MAX_BATCH:
            found = len(pushes) if isinstance(pushes, dict) else 0
            message = f"pushlist must hold 1 to {MAX_BATCH} pushes by cid"
            raise PushRefused(400, 1003, message, messages=max(found, 1))
        targets = {cid: str(push.get("target")) for cid, push in pushes.items() if isinstance(push, dict)}
        verdict = self._faults.judge(self.channel, "send", arrived.call, list(targets.values()), provider=self.name)
        refusal = refused_by(verdict, self)
        if refusal is not None:
            self._log.refuse(len(pushes))
            return refusal
        return accepted_under(verdict, json_reply(200, self._accept_singles(pushes, targets, arrived.call)))

    def _accept_singles(self, pushes: dict[str, Any], targets: dict[str, str], call: int) -> dict[str, Any]:
        fresh = [target for cid, target in targets.items() if self._first_result(cid) is None]
        struck = self._faults.struck(self.channel, "send", fresh, provider=self.name)
        results: dict[str, Any] = {}
        accepted: list[Message] = []
        for cid, push in pushes.items():
            known = self._first_result(cid)
            error = None if known else self._error_of(cid, push, struck)
            if error is None and known is None:
                known = str(next(self._ids))
                accepted.append(Message(push["target"], cid, known, _content(push)))
            results[cid] = error or {"msg_id": known}
        if accepted:
            self._log.accept(call, accepted, provider=self.name)
        for message in accepted:
            self._remember(message.reference, message.message_id)
        self._log.refused += sum("error" in result for result in results.values())
        return results

    def _error_of(self, cid: str, push: object, struck: dict[str, Fault]) -> dict[str, Any] | None:
        if not self._is_cid(cid):
            return _error(1003, "cid must be {appkey}-{uuid}")
        try:
            target = check_single(push)
        except PushRefused as refusal:
            return _error(refusal.code, str(refusal))
        fault = struck.get(target)
        if fault is None:
            return None
        return _error(int(fault.code or 1011), fault.message or "No target that satisfies the conditions")

    def _is_cid(self, cid: object) -> bool:
        return isinstance(cid, str) and self._cid.fullmatch(cid) is not None

    def _first_result(self, cid: str | None) -> str | None:
        msg_id, at = self._results.get(cid, ("", 0.0)) if cid is not None else ("", 0.0)
        return msg_id if time.time() - at < _DAY else None

    def _remember(self, cid: str | None, msg_id: str) -> None:
        if cid is not None:
            self._results[cid] = (msg_id, time.time())


def _error(code: int, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _content(push: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {
        key: push[key] for key in ("platform", "notification", "message", "options") if key in push
    }
    notification = push.get("notification")
    return {**_headline(notification), **content} if isinstance(notification, dict) else content


def _headline(notification: dict[str, Any]) -> dict[str, Any]:
    """Title and body as a reader of the log looks for them, from whichever platform names them first."""
    parts = [part for part in notification.values() if isinstance(part, dict)]
    title = next((part["title"] for part in parts if part.get("title")), None)
    body = notification.get("alert") or next((part["alert"] for part in parts if part.get("alert")), None)
    if isinstance(body, dict):
        return {"title": title or body.get("title"), "body": body.get("body")}
    return {"title": title, "body": body}
