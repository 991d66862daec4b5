"""A token bucket: so many calls a second, a fifth of a second's worth at once."""

_BURST_SECONDS = 0.2


class TokenBucket:
    """Takes the time as a value. `per_second` None: no limit."""

    def __init__(self, *, per_second: float | None, now: float) -> None:
        if per_second is not None and per_second <= 0:
            raise ValueError(f"rate_per_second must be above 0, not {per_second}")
        self._rate = per_second
        self._most = max(1.0, (per_second or 0) * _BURST_SECONDS)
        self._tokens = self._most
        self._at = now

    def available(self, now: float) -> int | None:
        """Calls that may leave now; None: any number."""
        if self._rate is None:
            return None
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        return int(self._tokens)

    def take(self, count: int) -> None:
        self._tokens -= count

    def seconds_to_next(self) -> float:
        return 0.0 if self._rate is None else max(0.0, (1 - self._tokens) / self._rate)
