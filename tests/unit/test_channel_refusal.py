from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from channels.errors import AnswerLost, NotSent
from channels.refusal import class_of_status, retry_after, unanswered, unreadable
from channels.states import ErrorClass


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Retry-After": "7"}, timedelta(seconds=7)),
        ({"Retry-After": "0.5"}, timedelta(seconds=0.5)),
        ({"Retry-After": "-3"}, timedelta()),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "1e999"}, None),
        ({"Retry-After": "nan"}, None),
        ({}, None),
    ],
)
def test_wait_is_read_from_the_header(headers: dict[str, str], expected: timedelta | None) -> None:
    assert retry_after(headers) == expected


def test_wait_may_be_a_date() -> None:
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    wait = retry_after({"Retry-After": in_a_minute})
    assert wait is not None
    assert timedelta(seconds=55) < wait <= timedelta(seconds=60)


def test_date_that_is_over_means_now() -> None:
    assert retry_after({"Retry-After": "Fri, 01 Mar 2024 10:00:00 GMT"}) == timedelta()


def test_first_header_that_is_there_counts() -> None:
    assert retry_after({"X-Rate-Limit-Reset": "9"}, "Retry-After", "X-Rate-Limit-Reset") == timedelta(seconds=9)


def test_what_never_left_is_down_and_what_may_have_left_is_unknown() -> None:
    assert unanswered(NotSent("no connection")).error is ErrorClass.DOWN
    assert unanswered(AnswerLost("reset")).error is ErrorClass.UNKNOWN_OUTCOME


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, ErrorClass.UNKNOWN_OUTCOME),  # it may well have been accepted
        (401, ErrorClass.CONFIG),
        (429, ErrorClass.THROTTLED),
        (500, ErrorClass.DOWN),
        (502, ErrorClass.UNKNOWN_OUTCOME),  # a gateway does not know
        (503, ErrorClass.DOWN),
        (504, ErrorClass.UNKNOWN_OUTCOME),
        (418, ErrorClass.UNRECOGNISED),
    ],
)
def test_answer_that_cannot_be_read_is_classed_by_its_status(status: int, expected: ErrorClass) -> None:
    assert unreadable(status, {}).error is expected


def test_unknown_status_is_for_a_person_to_look_at() -> None:
    assert class_of_status(499) is ErrorClass.UNRECOGNISED
