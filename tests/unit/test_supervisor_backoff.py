import pytest

from console.supervisor.backoff import HEALTHY_AFTER, LONGEST, failures_after, pause_before


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [
        (0, 0.0),  # nothing failed yet
        (1, 0.5),  # the first time it is back almost at once
        (2, 1.0),
        (5, 8.0),
        (7, LONGEST),  # never longer than this
        (10_000, LONGEST),  # and never an overflow
    ],
)
def test_each_failure_in_a_row_doubles_the_pause_up_to_a_ceiling(failures: int, seconds: float) -> None:
    assert pause_before(failures) == seconds


def test_failures_in_a_row_add_up() -> None:
    assert failures_after(failures=3, ran_for=1.0) == 4


def test_a_part_that_ran_for_long_starts_counting_anew() -> None:
    assert failures_after(failures=9, ran_for=HEALTHY_AFTER) == 1
