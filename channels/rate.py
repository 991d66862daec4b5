"""How fast an account may be used: its documented windows, permits of them, and what one sender holds of those."""

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

#: Of so many answers the quickest tells how the database's clock stands to one's own.
_HEARD = 20


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

    A permit that is not used `good_for` after its instant has lapsed, and one whose call has not left `leaves_within`
    after that: somebody else may be using that room by then.
    """

    granted: int
    again_at: datetime | None  # None: all that was wanted; else asking before is of no use
    given_at: datetime | None = None  # by the clock that keeps the windows
    starts_in: timedelta = timedelta()
    every: timedelta = timedelta()
    good_for: timedelta | None = None  # None: it never lapses, for nothing limits the account
    leaves_within: timedelta = timedelta()


class Grant(NamedTuple):
    """Permits that were taken, and the last moment at which what they allow may leave."""

    granted: int
    leave_by: float


class DatabaseClock:
    """Another machine's clock as one's own tells it, between bounds, from what was heard from there lately.

    An answer was written at some moment between asking and hearing, so quick answers bound best (Cristian 1989,
    "Probabilistic clock synchronization").
    """

    def __init__(self) -> None:
        self._offsets: deque[tuple[float, float]] = deque(maxlen=_HEARD)

    def hear(self, said: float, *, asked: float, heard: float) -> tuple[float, float]:
        """The earliest and the latest that it may have been said, by one's own clock."""
        self._offsets.append((asked - said, heard - said))
        earliest, latest = max(one for one, _ in self._offsets), min(one for _, one in self._offsets)
        if earliest > latest:  # one of the clocks was set meanwhile
            self._offsets = deque([self._offsets[-1]], maxlen=_HEARD)
            return asked, heard
        return said + earliest, said + latest

    @property
    def has_heard_much(self) -> bool:
        return len(self._offsets) == _HEARD


class Allowance:
    """The permits that a sender holds. Takes the time as a value, in seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._spans: deque[_Span] = deque()
        self._clock = DatabaseClock()

    def add(self, permits: Permits, *, asked: float, heard: float) -> None:
        """They are used neither before their instant nor after they lapse, however long the answer took.

        Where no answer of the last twenty was quick enough to know both, the earliest is what counts: a permit is used
        as late as answers are, but calls do leave.
        """
        if permits.granted:
            earliest, latest = self._given(permits, asked, heard)
            good_for = math.inf if permits.good_for is None else permits.good_for.total_seconds()
            starts_in = permits.starts_in.total_seconds()
            self._spans.append(
                _Span(
                    first=latest + starts_in,
                    every=permits.every.total_seconds(),
                    lapses=earliest + starts_in + good_for,
                    leaves_within=permits.leaves_within.total_seconds(),
                    count=permits.granted,
                )
            )

    def available(self, now: float) -> int:
        """Permits that may be used now."""
        return sum(span.due(now) for span in self._alive(now))

    def held(self, now: float) -> int:
        """Permits that may be used now or later."""
        return sum(span.count - span.used for span in self._alive(now))

    def take(self, count: int, *, now: float) -> Grant:
        """Use up to so many."""
        taken, leave_by = 0, math.inf
        for span in self._alive(now):
            used = min(count - taken, span.due(now))
            if used:
                leave_by = min(leave_by, span.leave_by())
                span.used += used
                taken += used
        return Grant(taken, leave_by)

    def seconds_to_next(self, now: float) -> float | None:
        """None when nothing is held: more has to be asked for."""
        nexts = [span.next_at() for span in self._alive(now)]
        return max(0.0, min(nexts) - now) if nexts else None

    def _given(self, permits: Permits, asked: float, heard: float) -> tuple[float, float]:
        if permits.given_at is None or permits.good_for is None:
            return heard, heard
        earliest, latest = self._clock.hear(permits.given_at.timestamp(), asked=asked, heard=heard)
        in_doubt = latest - earliest >= permits.good_for.total_seconds()
        return (latest, latest) if in_doubt and self._clock.has_heard_much else (earliest, latest)

    def _alive(self, now: float) -> Iterator["_Span"]:
        for span in self._spans:
            span.let_lapse(now)
        self._spans = deque(span for span in self._spans if span.used < span.count)
        return iter(self._spans)


@dataclass(slots=True, kw_only=True)
class _Span:
    first: float
    every: float
    lapses: float  # the first
    leaves_within: float
    count: int
    used: int = 0  # or lapsed

    def next_at(self) -> float:
        return self.first + self.used * self.every

    def leave_by(self) -> float:
        return self.lapses + self.used * self.every + self.leaves_within

    def due(self, now: float) -> int:
        if now < self.next_at():
            return 0
        begun = int((now - self.first) / self.every) + 1 if self.every else self.count
        return max(0, min(begun, self.count) - self.used)

    def let_lapse(self, now: float) -> None:
        late = now - self.lapses
        if late > 0:
            gone = int(late / self.every) + 1 if self.every else self.count
            self.used = max(self.used, min(gone, self.count))
