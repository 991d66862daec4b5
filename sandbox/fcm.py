"""Firebase Cloud Messaging, HTTP v1: one message a call, with an access token of a service account."""

import itertools
import time
from collections.abc import Mapping
from typing import Any

from sandbox.credentials import FcmAccount
from sandbox.faults import Fault, Faults, Kind
from sandbox.fcm_message import MessageRefused, read_message, reference_of
from sandbox.google_token import GrantRefused, ServiceAccount, oauth_error
from sandbox.http_call import Arrived, Reply, accepted_under, json_object, json_reply, refused_by
from sandbox.ledger import ChannelLog, Message

TOKEN_PATH = "/token"  # noqa: S105 - a path
PREFIX = "/v1/projects/"
_SUFFIX = "/messages:send"
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
#: Of an error code: the HTTP status and the status word beside it.
_STATUSES = {
    "UNREGISTERED": (404, "NOT_FOUND"),
    "INVALID_ARGUMENT": (400, "INVALID_ARGUMENT"),
    "SENDER_ID_MISMATCH": (403, "PERMISSION_DENIED"),
    "THIRD_PARTY_AUTH_ERROR": (401, "UNAUTHENTICATED"),
    "APNS_AUTH_ERROR": (401, "UNAUTHENTICATED"),
    "QUOTA_EXCEEDED": (429, "RESOURCE_EXHAUSTED"),
    "UNAVAILABLE": (503, "UNAVAILABLE"),
    "INTERNAL": (500, "INTERNAL"),
}
#: Of an HTTP status alone, as Google's front ends answer: no error code of FCM's own.
_WORDS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class Fcm:
    channel = "push"
    name = "fcm"

    def __init__(self, *, account: FcmAccount, log: ChannelLog, faults: Faults, service: ServiceAccount) -> None:
        self._account = account
        self._log = log
        self._faults = faults
        self._service = service
        self._ids = itertools.count(time.time_ns())

    def endpoint(self, _method: str, path: str, _headers: Mapping[str, str]) -> str:
        return "token" if path == TOKEN_PATH else "send"

    def answer(self, arrived: Arrived, endpoint: str) -> Reply:
        if endpoint == "token":
            return self._hand_out_token(arrived)
        reply = self._door(arrived)
        if reply is None:
            return self._send(arrived)
        self._log.refuse()
        return reply

    def failed(self, fault: Fault) -> Reply:
        throttled = fault.kind is Kind.THROTTLE
        if fault.endpoint == "token":
            return _front_end(429 if throttled else fault.status or 500, fault)
        code = str(fault.code) if fault.code else ("QUOTA_EXCEEDED" if throttled else "")
        status, word = _STATUSES.get(code, (fault.status or 500, code or _WORDS.get(fault.status or 500, "UNKNOWN")))
        said = fault.message or ("Message rate exceeded for the project." if throttled else "Scripted fault.")
        reply = _error(fault.status or status, word, said, code)
        if fault.retry_after is not None:
            reply.headers = {"Retry-After": f"{fault.retry_after:g}"}
        return reply

    def _hand_out_token(self, arrived: Arrived) -> Reply:
        verdict = self._faults.judge(self.channel, "token", arrived.call, (), provider=self.name)
        refusal = refused_by(verdict, self)
        if refusal is not None:
            return refusal
        try:
            token, seconds = self._service.grant(arrived.body, arrived.headers.get("host", ""))
        except GrantRefused as problem:
            return json_reply(400, oauth_error(problem))
        granted = {"access_token": token, "expires_in": seconds, "token_type": "Bearer"}
        return accepted_under(verdict, json_reply(200, granted))

    def _door(self, arrived: Arrived) -> Reply | None:
        """The refusal of who may not come in at all."""
        project, suffix = arrived.path.removeprefix(PREFIX).partition("/")[::2]
        if arrived.method != "POST" or f"/{suffix}" != _SUFFIX:
            return _error(404, "NOT_FOUND", "Method not found.")
        kind, _, token = arrived.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or not self._service.is_good(token):
            return _error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if project != self._account.project_id:
            return _error(403, "PERMISSION_DENIED", f"Permission denied on resource project {project}.")
        return None

    def _send(self, arrived: Arrived) -> Reply:
        try:
            _kind, address, message = read_message(json_object(arrived.body))
        except MessageRefused as problem:
            self._log.refuse()
            return _refused_message(problem)
        verdict = self._faults.judge(self.channel, "send", arrived.call, (address,), provider=self.name)
        fault = self._faults.struck(self.channel, "send", (address,), provider=self.name).get(address)
        refusal = refused_by(verdict, self) or (None if fault is None else _refused_device(fault))
        if refusal is not None:
            self._log.refuse()
            return refusal
        name = f"projects/{self._account.project_id}/messages/0:{next(self._ids)}%31bd1c9631bd1c96"
        accepted = Message(address, reference_of(message), name, _content(message))
        self._log.accept(arrived.call, [accepted], provider=self.name)
        return accepted_under(verdict, json_reply(200, {"name": name}))


def _front_end(status: int, fault: Fault) -> Reply:
    """The page of a server in front of the token endpoint: no JSON."""
    wait = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
    page = f"<html><title>Error {status}</title><body>{fault.message or 'Try again later'}</body></html>"
    return Reply(status, page.encode(), {"Content-Type": "text/html", **wait})


def _refused_device(fault: Fault) -> Reply:
    code = str(fault.code or "UNREGISTERED")
    status, word = _STATUSES.get(code, (400, code))
    if code == "INVALID_ARGUMENT":
        said = fault.message or "The registration token is not a valid FCM registration token"
        return _refused_message(MessageRefused("message.token", said, is_target=True))
    return _error(status, word, fault.message or "Requested entity was not found.", code)


def _refused_message(problem: MessageRefused) -> Reply:
    fields = {"@type": _BAD_REQUEST, "fieldViolations": [{"field": problem.field, "description": str(problem)}]}
    return _error(400, "INVALID_ARGUMENT", str(problem), "INVALID_ARGUMENT" if problem.is_target else "", fields)


def _error(status: int, word: str, message: str, code: str = "", *details: Mapping[str, Any]) -> Reply:
    found: list[Mapping[str, Any]] = [{"@type": _FCM_ERROR, "errorCode": code}] if code else []
    error: dict[str, Any] = {"code": status, "message": message, "status": word}
    if found or details:
        error["details"] = [*found, *details]
    return json_reply(status, {"error": error}, {})


def _content(message: dict[str, Any]) -> dict[str, Any]:
    """Title and body first, as a reader of the log looks for them."""
    notification = message.get("notification", {})
    return {"title": notification.get("title"), "body": notification.get("body"), **message}
