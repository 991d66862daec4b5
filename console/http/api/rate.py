"""How often one key may ask: as many requests at once as a second allows, and then one after the other (GCRA)."""


class Rate:
    """Takes the time as a value, in seconds of any clock that only goes forward.

    In any stretch of `t` seconds it lets through at most `per_second * (1 + t)`.
    """

    def __init__(self, per_second: int) -> None:
        self.per_second = per_second
        self._interval = 1 / per_second
        self._room = 1 - self._interval  # how far ahead of the time the requests let through may have run
        self._ahead = float("-inf")  # when the next one would come, had all come evenly

    def wait(self, now: float) -> float:
        """0: this one is let through. Otherwise it is not, and one would be after so many seconds."""
        due = max(self._ahead, now)
        early = due - now - self._room
        if early > self._interval * 1e-6:  # less is the rounding of floats
            return early
        self._ahead = due + self._interval
        return 0.0
