from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themes.local_time import OffsetWrong, TimeComesTwice, TimeNeverComes, TimeUnreadable, in_zone, instant
from themes.money import EXPONENTS, AmountUnreadable, as_decimal, in_words, minor_units, with_sign

AMOUNTS = [
    # two decimals, one, none
    ("20.00", "GBP", 2000),
    ("20.5", "GBP", 2050),
    ("20", "GBP", 2000),
    # a currency without a minor unit, and one with three decimals
    ("500", "JPY", 500),
    ("1.234", "KWD", 1234),
    # exact where a binary fraction is not
    ("0.29", "EUR", 29),
]


@pytest.mark.parametrize(("written", "currency", "minor"), AMOUNTS)
def test_amount_is_read_in_minor_units(written: str, currency: str, minor: int) -> None:
    assert minor_units(written, currency) == minor


@pytest.mark.parametrize(
    "written", ["", "20.001", "1,000.00", "-1", "+1", "1e3", " 1", ".5", "1.", "£1", "１", "9" * 14]
)
def test_what_is_no_plain_decimal_is_no_amount(written: str) -> None:
    with pytest.raises(AmountUnreadable, match=r'for example "19\.99"'):
        minor_units(written, "GBP")


@given(st.integers(0, 10**13), st.sampled_from(sorted(EXPONENTS)))
def test_amount_written_and_read_is_the_same(minor: int, currency: str) -> None:
    written = f"{as_decimal(minor, currency):f}"
    if len(written.split(".", maxsplit=1)[0]) <= 13:
        assert minor_units(written, currency) == minor


def test_amount_reads_with_its_code_or_its_sign() -> None:
    assert in_words(123450, "GBP") == "1234.50 GBP"
    assert [with_sign(2000, code) for code in ("GBP", "CNY", "JPY", "CHF")] == [
        "£20.00",
        "¥20.00",
        "¥2000",
        "20.00 CHF",
    ]


LONDON, KATHMANDU, LORD_HOWE = ZoneInfo("Europe/London"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("Australia/Lord_Howe")

TIMES = [
    # winter and summer
    ("2027-03-06T00:00", LONDON, datetime(2027, 3, 6, tzinfo=UTC)),
    ("2027-07-01 00:00", LONDON, datetime(2027, 6, 30, 23, tzinfo=UTC)),
    # an offset of three quarters of an hour
    ("2027-03-06T00:00", KATHMANDU, datetime(2027, 3, 5, 18, 15, tzinfo=UTC)),
    # an offset that is written, where it tells two times apart
    ("2027-10-31T01:30+01:00", LONDON, datetime(2027, 10, 31, 0, 30, tzinfo=UTC)),
    ("2027-10-31T01:30+00:00", LONDON, datetime(2027, 10, 31, 1, 30, tzinfo=UTC)),
]


@pytest.mark.parametrize(("written", "zone", "at"), TIMES)
def test_local_time_is_an_instant(written: str, zone: ZoneInfo, at: datetime) -> None:
    assert instant(written, zone) == at


NO_TIMES = [
    # the hour that is left out
    ("2027-03-28T01:30", LONDON, TimeNeverComes),
    # half an hour that is left out
    ("2027-10-03T02:15", LORD_HOWE, TimeNeverComes),
    # the hour that comes twice
    ("2027-10-31T01:30", LONDON, TimeComesTwice),
    # an offset that London does not have then
    ("2027-07-01T00:00+00:00", LONDON, OffsetWrong),
    # a month too many, a day alone, words, another alphabet's digits
    ("2027-13-01T00:00", LONDON, TimeUnreadable),
    ("2027-03-06", LONDON, TimeUnreadable),
    ("tomorrow", LONDON, TimeUnreadable),
    ("２027-03-06T00:00", LONDON, TimeUnreadable),
]


@pytest.mark.parametrize(("written", "zone", "refusal"), NO_TIMES)
def test_local_time_that_is_none_or_two_instants_is_refused(
    written: str, zone: ZoneInfo, refusal: type[Exception]
) -> None:
    with pytest.raises(refusal):
        instant(written, zone)


def test_gap_is_told_with_the_time_from_which_the_clock_goes_on() -> None:
    with pytest.raises(TimeNeverComes, match="from 2027-10-03 02:30 on"):
        instant("2027-10-03T02:15", LORD_HOWE)


@given(st.integers(946_684_800, 4_102_444_800), st.sampled_from([LONDON, LORD_HOWE]))
def test_instant_shown_in_a_zone_reads_back(seconds: int, zone: ZoneInfo) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    assert instant(in_zone(at, zone), zone) == at
