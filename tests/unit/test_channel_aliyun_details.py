"""What Aliyun's records say of a delivery that is asked about."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from channels.message import Fate, Inquiry
from channels.sms.aliyun_details import CHINA, SendDetail, days_of, found, read_detail

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=CHINA)


def question(began_at: datetime = NOON) -> Inquiry:
    return Inquiry(delivery_id=UUID(int=1), address="+8613900000001", began_at=began_at)


def detail(reference: str, status: int = 3, at: datetime | None = NOON) -> SendDetail:
    return SendDetail(phone="13900000001", reference=reference, status=status, code="C", text="t", sent_at=at)


@pytest.mark.parametrize(
    ("began_at", "days"),
    [
        (NOON, [date(2026, 11, 21)]),
        (NOON.replace(hour=23, minute=50), [date(2026, 11, 21), date(2026, 11, 22)]),
        (NOON.replace(hour=0, minute=2), [date(2026, 11, 20), date(2026, 11, 21)]),
        (datetime(2026, 11, 21, 17, 0, tzinfo=UTC), [date(2026, 11, 22)]),
    ],
)
def test_day_is_counted_as_in_china_and_the_one_beside_it_near_midnight(began_at: datetime, days: list[date]) -> None:
    assert days_of(question(began_at)) == days


def test_no_record_means_that_nothing_was_sent() -> None:
    assert found(question(), []).fate is None


def test_record_from_before_the_call_is_not_of_it_and_one_without_a_time_may_be() -> None:
    assert found(question(), [detail("a", at=NOON - timedelta(minutes=6))]).fate is None
    assert found(question(), [detail("a", at=NOON - timedelta(minutes=4))]).references == ("a",)
    assert found(question(), [detail("a", at=None)]).references == ("a",)


@pytest.mark.parametrize(
    ("status", "fate", "code"), [(1, Fate.SENT, ""), (2, Fate.FAILED, "C"), (3, Fate.DELIVERED, "C")]
)
def test_status_is_the_fate(status: int, fate: Fate, code: str) -> None:
    answer = found(question(), [detail("a", status)])
    assert (answer.fate, answer.code) == (fate, code)


def test_record_of_the_delivery_itself_counts_before_all_others() -> None:
    own = str(UUID(int=1))
    answer = found(question(), [detail("a", 2), detail(own, 3)])
    assert (answer.fate, answer.references) == (Fate.DELIVERED, (own,))


def test_records_that_differ_only_say_that_it_was_sent() -> None:
    answer = found(question(), [detail("a", 2), detail("b", 3), detail("a", 3)])
    assert (answer.fate, answer.references) == (Fate.SENT, ("a", "b"))


@pytest.mark.parametrize(
    ("text", "at"),
    [("2026-11-21 12:00:00", NOON), ("", None), ("yesterday", None)],
)
def test_time_of_a_record_is_china_s(text: str, at: datetime | None) -> None:
    assert read_detail({"SendDate": text}).sent_at == at
