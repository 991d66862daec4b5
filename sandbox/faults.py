"""Scripted faults: which calls and which recipients fail, and how. They live in memory only: a restart clears them."""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import NamedTuple


class Kind(StrEnum):
    STATUS = "status"
    RECIPIENT_ERROR = "recipient_error"
    NO_RECEIPT = "no_receipt"
    DELAY = "delay"
    THROTTLE = "throttle"
    HANG = "hang"
    CUT_AFTER_ACCEPT = "cut_after_accept"
    DOWN = "down"


RECIPIENT_KINDS = frozenset({Kind.RECIPIENT_ERROR, Kind.NO_RECEIPT})


def falls_in_share(key: str, share: float) -> bool:
    """Whether `key` is among the share that fails: the first 8 bytes of SHA-256(key), as a fraction, are below it."""
    return int.from_bytes(sha256(key.encode("utf-8", "replace")).digest()[:8]) < share * 2**64


@dataclass(slots=True, kw_only=True)
class Fault:
    """`endpoint` None hits every endpoint of the channel, `provider` None every provider of it.

    `code`, `status` and `message` are in the provider's terms.
    """

    channel: str
    kind: Kind
    endpoint: str | None
    provider: str | None = None
    share: float = 1.0
    count: int | None = None
    match: re.Pattern[str] | None = None
    seconds: float | None = None
    status: int | None = None
    code: int | str | None = None
    message: str | None = None
    delay: float = 0.0
    retry_after: float | None = None
    requests_per_second: float | None = None
    id: int = 0
    hits: int = 0
    started: float = field(default_factory=time.monotonic)
    _window: int = -1
    _in_window: int = 0

    def is_for(self, provider: str | None) -> bool:
        """`provider` None: the only one of its channel."""
        return provider is None or self.provider in (None, provider)

    def is_active(self, endpoint: str, now: float) -> bool:
        return (
            (self.endpoint is None or self.endpoint == endpoint)
            and (self.count is None or self.hits < self.count)
            and (self.seconds is None or now - self.started < self.seconds)
        )

    def strikes_call(self, endpoint: str, call: int, recipients: Sequence[str], now: float) -> bool:
        struck = (
            self.is_active(endpoint, now)
            and (self.share >= 1 or falls_in_share(str(call), self.share))
            and (self.match is None or any(self.match.search(recipient) for recipient in recipients))
            and not self._is_within_rate(now)
        )
        self.hits += struck
        return struck

    def strikes_recipient(self, endpoint: str, recipient: str, now: float) -> bool:
        struck = (
            self.is_active(endpoint, now)
            and (self.match is None or self.match.search(recipient) is not None)
            and (self.share >= 1 or falls_in_share(recipient, self.share))
        )
        self.hits += struck
        return struck

    def _is_within_rate(self, now: float) -> bool:
        """Each second of the fault's life lets the first `requests_per_second` calls through."""
        if self.requests_per_second is None:
            return False
        window = int(now - self.started)
        if window != self._window:
            self._window, self._in_window = window, 0
        self._in_window += 1
        return self._in_window <= self.requests_per_second


class Verdict(NamedTuple):
    """What is to happen to a call: an answer that comes late, and at most one fault of another kind."""

    delay: float = 0.0
    fault: Fault | None = None

    def is_(self, kind: Kind) -> bool:
        return self.fault is not None and self.fault.kind is kind


_CLEAR = Verdict()


class Faults:
    """Asked in the order in which they were posted; the first that strikes decides, delays add up."""

    def __init__(self) -> None:
        self._all: dict[int, Fault] = {}
        self._last_id = 0
        self._down: Mapping[str, list[Fault]] = {}
        self._calls: Mapping[str, list[Fault]] = {}
        self._recipients: Mapping[str, list[Fault]] = {}

    def add(self, fault: Fault) -> int:
        self._last_id += 1
        fault.id = self._last_id
        self._all[fault.id] = fault
        self._sort()
        return fault.id

    def remove(self, fault_id: int | None = None) -> int:
        """Remove one, or all; the number removed."""
        gone = [key for key in self._all if fault_id in (None, key)]
        for key in gone:
            del self._all[key]
        self._sort()
        return len(gone)

    def listed(self) -> list[Fault]:
        return list(self._all.values())

    def is_down(self, channel: str, endpoint: str, call: int, *, provider: str | None = None) -> bool:
        faults = self._down.get(channel)
        return faults is not None and any(
            f.is_for(provider) and f.strikes_call(endpoint, call, (), time.monotonic()) for f in faults
        )

    def judge(
        self, channel: str, endpoint: str, call: int, recipients: Sequence[str], *, provider: str | None = None
    ) -> Verdict:
        faults = self._calls.get(channel)
        if faults is None:
            return _CLEAR
        delay, now = 0.0, time.monotonic()
        for fault in faults:
            if fault.is_for(provider) and fault.strikes_call(endpoint, call, recipients, now):
                if fault.kind is not Kind.DELAY:
                    return Verdict(delay, fault)
                delay += fault.delay
        return Verdict(delay)

    def struck(
        self, channel: str, endpoint: str, recipients: Iterable[str], *, provider: str | None = None
    ) -> dict[str, Fault]:
        """The recipients that fail, each with its fault."""
        faults = self._recipients.get(channel)
        if faults is None:
            return {}
        found, now = {}, time.monotonic()
        for recipient in recipients:
            fault = next(
                (f for f in faults if f.is_for(provider) and f.strikes_recipient(endpoint, recipient, now)), None
            )
            if fault is not None:
                found[recipient] = fault
        return found

    def _sort(self) -> None:
        self._down = _by_channel(f for f in self._all.values() if f.kind is Kind.DOWN)
        self._recipients = _by_channel(f for f in self._all.values() if f.kind in RECIPIENT_KINDS)
        self._calls = _by_channel(f for f in self._all.values() if f.kind not in RECIPIENT_KINDS | {Kind.DOWN})


def _by_channel(faults: Iterable[Fault]) -> dict[str, list[Fault]]:
    sorted_: dict[str, list[Fault]] = {}
    for fault in faults:
        sorted_.setdefault(fault.channel, []).append(fault)
    return sorted_
