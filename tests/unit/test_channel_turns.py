"""Who gives its place to a sender that waits."""

from datetime import UTC, datetime, timedelta

import pytest

from channels.turns import TURN, WAITS, gives_way, waiting

NOW = datetime(2027, 3, 6, 9, tzinfo=UTC)


def ago(*seconds: float) -> list[datetime]:
    return [NOW - timedelta(seconds=one) for one in seconds]


@pytest.mark.parametrize(
    ("asked", "places"),
    [
        ((), 0),
        # just asked for: the worker is about to start it
        ((5,), 0),
        ((60,), 1),
        ((60, 90, 120), 3),
        # two have given way already, and wait in turn
        ((60, 90, 120, 5, 6), 1),
        ((60, 5, 6), 0),
    ],
)
def test_places_are_wanted_for_those_that_wait_less_those_given_up_lately(asked: tuple[int, ...], places: int) -> None:
    assert timedelta(seconds=30) < WAITS < timedelta(seconds=60)
    assert waiting(ago(*asked), now=NOW) == places


@pytest.mark.parametrize(
    ("worked", "others", "wanted", "gives"),
    [
        # nobody waits, however long it works
        (3_600, (), 0, False),
        (61, (), 1, True),
        # not before its turn is over
        (59, (), 1, False),
        # another has worked longer, and only one place is wanted
        (61, (90,), 1, False),
        (90, (61,), 1, True),
        # two are
        (61, (90,), 2, True),
    ],
)
def test_the_longest_at_work_gives_way_first(worked: int, others: tuple[int, ...], wanted: int, *, gives: bool) -> None:
    assert timedelta(seconds=60) == TURN
    assert gives_way(began_at=ago(worked)[0], others_began_at=ago(*others), waiting=wanted, now=NOW) is gives
