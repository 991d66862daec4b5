"""The time of a scenario: it goes on by itself, and somebody may move it. Sender processes share it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext
from multiprocessing.sharedctypes import Synchronized


@dataclass(frozen=True, slots=True)
class Clock:
    """The real clock and a shift in seconds, which lies in memory that all processes see."""

    shift: "Synchronized[float]"

    @classmethod
    def starting(cls, context: ForkServerContext, at: datetime) -> "Clock":
        return cls(context.Value("d", at.timestamp() - time.time()))

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.shift.value, UTC)

    def move(self, by: timedelta) -> None:
        with self.shift.get_lock():
            self.shift.value += by.total_seconds()

    def move_to(self, instant: datetime) -> None:
        """Time never goes back."""
        self.move(max(instant - self(), timedelta()))
