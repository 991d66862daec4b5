"""A provider call over HTTP as plain values, and its answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from sandbox.faults import Fault, Kind, Verdict

Headers = dict[str, str]

# Made once: json.dumps with these options would make one for every call.
_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Arrived(NamedTuple):
    """`target` is the request target as it stood on the wire, undecoded."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    call: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(slots=True)
class Reply:
    """`hang`: no answer ever; `cut`: the connection is closed instead of an answer; `delay`: the answer comes late."""

    status: int
    body: bytes
    headers: Headers | None = None
    delay: float = 0.0
    hang: bool = False
    cut: bool = False


class HttpProvider(Protocol):
    channel: str
    name: str

    def endpoint(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Which of the provider's endpoints is called: `send`, or one that sends nothing."""
        ...

    def answer(self, arrived: Arrived, endpoint: str) -> Reply: ...

    def failed(self, fault: Fault) -> Reply:
        """The provider's own shape of a call that a `status` or `throttle` fault refuses."""
        ...


def json_reply(status: int, content: object, headers: Headers | None = None) -> Reply:
    return Reply(status, _to_json(content).encode("utf-8", "replace"), headers)


def refused_by(verdict: Verdict, provider: HttpProvider) -> Reply | None:
    """The answer of a call that a fault keeps from being accepted; None lets it through."""
    if verdict.fault is None or verdict.is_(Kind.CUT_AFTER_ACCEPT):
        return None
    reply = Reply(200, b"", hang=True) if verdict.is_(Kind.HANG) else provider.failed(verdict.fault)
    reply.delay = verdict.delay
    return reply


def accepted_under(verdict: Verdict, reply: Reply) -> Reply:
    """The message is on record by now: a late answer or a cut leaves the caller in doubt, as in real life."""
    reply.delay = verdict.delay
    reply.cut = verdict.is_(Kind.CUT_AFTER_ACCEPT)
    return reply


def json_object(body: bytes) -> dict[str, Any] | None:
    """The body as a JSON object, or None."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
