"""How long a part that died waits for its next start."""

FIRST = 0.5
LONGEST = 30.0
#: A part that ran for so long is healthy again: its next failure is its first.
HEALTHY_AFTER = 60.0


def pause_before(failures: int) -> float:
    """Seconds before the start that follows the given number of failures in a row."""
    return 0.0 if failures <= 0 else float(min(LONGEST, FIRST * 2 ** min(failures - 1, 16)))


def failures_after(*, failures: int, ran_for: float) -> int:
    """The count of failures in a row, once more after a run of so many seconds."""
    return 1 if ran_for >= HEALTHY_AFTER else failures + 1
