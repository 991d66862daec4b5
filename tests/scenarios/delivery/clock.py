"""The time of a scenario: it goes on by itself, and somebody may move it. Sender processes share it."""

import time
from ctypes import c_double
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext


@dataclass(frozen=True, slots=True)
class Clock:
    """The real clock and a shift in seconds, which lies in memory that all processes see.

    No lock guards it: senders are killed at any moment, and one that held a lock would stop all others for ever. Eight
    bytes are written and read as one, and only the driver writes them.
    """

    shift: c_double

    @classmethod
    def starting(cls, context: ForkServerContext, at: datetime) -> "Clock":
        return cls(context.Value("d", at.timestamp() - time.time(), lock=False))

    def __call__(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.shift.value, UTC)

    def move(self, by: timedelta) -> None:
        self.shift.value += by.total_seconds()

    def move_to(self, instant: datetime) -> None:
        """Time never goes back."""
        self.move(max(instant - self(), timedelta()))
