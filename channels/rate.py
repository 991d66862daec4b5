"""How fast an account may be used: its documented windows, permits of them, and what one sender holds of those."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Counted(StrEnum):
    CALLS = "calls"
    RECIPIENTS = "recipients"


@dataclass(frozen=True, slots=True, kw_only=True)
class RateWindow:
    """In no stretch of time as long as `per`, wherever it begins, does the provider take more than `at_most`.

    `per` is whole seconds.
    """

    per: timedelta
    at_most: int
    counts: Counted = Counted.CALLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Permits:
    """What an account's windows allow a sender: the first in `starts_in`, one more after `every` further wait.

    A permit that is not used `good_for` after its instant has lapsed: somebody else may be using that room by then.
    """

    granted: int
    again_at: datetime | None  # None: all that was wanted; else asking before is of no use
    starts_in: timedelta = timedelta()
    every: timedelta = timedelta()
    good_for: timedelta | None = None  # None: it never lapses, for nothing limits the account


class Allowance:
    """The permits that a sender holds. Takes the time as a value, in seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._spans: deque[_Span] = deque()
        self._owed = 0

    def add(self, permits: Permits, *, now: float) -> None:
        """`now` is when the answer came: permits counted from then are never used too early."""
        paid = min(self._owed, permits.granted)
        self._owed -= paid
        if permits.granted > paid:
            good_for = float("inf") if permits.good_for is None else permits.good_for.total_seconds()
            self._spans.append(
                _Span(
                    first=now + permits.starts_in.total_seconds(),
                    every=permits.every.total_seconds(),
                    good_for=good_for,
                    count=permits.granted,
                    used=paid,
                )
            )

    def available(self, now: float) -> int:
        """Permits that may be used now."""
        return sum(span.due(now) for span in self._alive(now))

    def held(self, now: float) -> int:
        """Permits that may be used now or later."""
        return sum(span.count - span.used for span in self._alive(now))

    def take(self, count: int, *, now: float) -> int:
        """Use up to so many; returns how many there were."""
        taken = 0
        for span in self._alive(now):
            used = min(count - taken, span.due(now))
            span.used += used
            taken += used
        return taken

    def owe(self, count: int) -> None:
        """So many were used beyond those that were taken: permits to come pay for them."""
        self._owed += max(0, count)

    def seconds_to_next(self, now: float) -> float | None:
        """None when nothing is held: more has to be asked for."""
        nexts = [span.next_at() for span in self._alive(now)]
        return max(0.0, min(nexts) - now) if nexts else None

    def _alive(self, now: float) -> Iterator["_Span"]:
        for span in self._spans:
            span.let_lapse(now)
        self._spans = deque(span for span in self._spans if span.used < span.count)
        return iter(self._spans)


@dataclass(slots=True, kw_only=True)
class _Span:
    first: float
    every: float
    good_for: float
    count: int
    used: int = 0  # or lapsed

    def next_at(self) -> float:
        return self.first + self.used * self.every

    def due(self, now: float) -> int:
        if now < self.next_at():
            return 0
        begun = int((now - self.first) / self.every) + 1 if self.every else self.count
        return max(0, min(begun, self.count) - self.used)

    def let_lapse(self, now: float) -> None:
        late = now - self.first - self.good_for
        if late > 0:
            gone = int(late / self.every) + 1 if self.every else self.count
            self.used = max(self.used, min(gone, self.count))
