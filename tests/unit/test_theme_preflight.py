"""What a preflight makes of counts: costs, times, what would be late, and what it says of it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from audience.quiet_hours import Place
from channels.price import Price, PricedPer
from channels.rate import Counted, RateWindow
from channels.states import Channel
from themes.expiry import End
from themes.lacking import Lacking
from themes.preflight import (
    ChannelOutlook,
    Counts,
    Finding,
    FindingKind,
    Line,
    Outlook,
    Span,
    Supply,
    cost_minor,
    findings,
    look_at_channel,
    most_before,
    play,
    time_for,
    waves_of,
)
from themes.preflight_page import finding_lines, page, summary

START = datetime(2027, 3, 6, 9, tzinfo=UTC)
LONDON, NEW_YORK = Place("GB", "Europe/London"), Place("US", "America/New_York")
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def window(at_most: int, per: timedelta = SECOND, counts: Counted = Counted.CALLS) -> RateWindow:
    return RateWindow(per=per, at_most=at_most, counts=counts)


def line(account: str = "a", **values: Any) -> Line:
    return Line(account=account, **values)


def price(amount: str, per: PricedPer = PricedPer.RECIPIENT) -> Price:
    return Price(amount=Decimal(amount), per=per)


def at_once(_: Place, at: datetime) -> datetime:
    return at


def counts(by_place: Mapping[Place, int] | None = None, **values: Any) -> Counts:
    places = {LONDON: 100} if by_place is None else by_place
    defaults: dict[str, Any] = {"suppressed": 0, "capped": 0, "left_out": {}, "by_segment": {}}
    return Counts(recipients=sum(places.values()), by_place=places, **{**defaults, **values})


def look(lines: list[Line], counted: Counts | None = None, **values: Any) -> ChannelOutlook:
    defaults: dict[str, Any] = {
        "channel": Channel.SMS,
        "counts": counted or counts(),
        "lines": lines,
        "span": Span(starts_at=START, expires=End(START + timedelta(days=3), "the theme")),
        "held_until": at_once,
        "minor_digits": 2,
        "segments": 1,
        "lacking": {},
    }
    return look_at_channel(**{**defaults, **values})


def outlook(*channels: ChannelOutlook, **values: Any) -> Outlook:
    defaults: dict[str, Any] = {
        "theme": "spring",
        "counted_at": START - HOUR,
        "starts_at": START,
        "expires": End(START + timedelta(days=3), "the theme"),
        "currency": "GBP",
        "audience": 120,
        "by_segment": {"core": 120},
        "channels": channels,
        "findings": (),
    }
    return Outlook(**{**defaults, **values})


def found(one: ChannelOutlook, lines: list[Line], *supplies: Supply) -> dict[FindingKind, Finding]:
    told = findings(outlook(one), lines={one.channel: lines}, supplies=supplies)
    return {finding.kind: finding for finding in told}


@pytest.mark.parametrize(
    ("recipients", "lines", "expected"),
    [
        (0, [line(windows=[window(10)])], timedelta(0)),
        (10, [line(windows=[window(10)])], timedelta(0)),  # the first window's worth leaves at once
        (11, [line(windows=[window(10)])], SECOND),
        (1_000, [line(windows=[window(10)])], 99 * SECOND),
        (1_000, [line(windows=[window(10)], batch_size=100)], timedelta(0)),  # ten calls
        (1_001, [line(windows=[window(10)], batch_size=100)], SECOND),
        (1_001, [line(windows=[window(10, counts=Counted.RECIPIENTS)], batch_size=100)], 100 * SECOND),
        (1_000, [line(windows=[window(10), window(100, MINUTE)])], 9 * MINUTE),  # the tighter one says
        (1_000, [line(windows=[window(10)]), line("b", windows=[window(10)])], 49 * SECOND),  # half each
        (1_000, [line(windows=[window(10)], weight=3), line("b", windows=[window(10)])], 74 * SECOND),
        (1_000, [line(windows=[window(10)]), line("b")], None),  # nobody knows how fast b is
        (1_000, [line(windows=[window(10)]), line("b", weight=0)], 99 * SECOND),
        (10, [line()], None),
    ],
)
def test_the_slowest_window_of_the_slowest_account_says_how_long_it_takes(
    recipients: int, lines: list[Line], expected: timedelta | None
) -> None:
    assert time_for(recipients, lines) == expected


@pytest.mark.parametrize("recipients", [1, 9, 10, 11, 19, 20, 21, 1_234])
@pytest.mark.parametrize("batch", [1, 7])
def test_what_fits_into_a_span_takes_no_longer_than_the_span(recipients: int, batch: int) -> None:
    lines = [line(windows=[window(10), window(25, 3 * SECOND)], batch_size=batch)]
    needs = time_for(recipients, lines)

    assert needs is not None
    most = most_before(needs + SECOND / 2, lines)
    assert most is not None
    assert most >= recipients
    assert needs == timedelta(0) or (most_before(needs, lines) or 0) < recipients


def test_an_account_that_only_stands_in_takes_nothing_while_another_is_open() -> None:
    priced = [line(price=price("0.05")), line("b", weight=0, price=price("9"))]

    assert look(priced).cost_minor == 500
    assert look([line(paused_because="config", price=price("0.05")), priced[1]]).cost_minor == 90_000


@pytest.mark.parametrize(
    ("lines", "segments", "expected"),
    [
        ([line(price=price("0.05"))], 1, 500),
        ([line(price=price("0.000001"))], 1, 1),  # rounded up
        ([line(price=price("0.04")), line("b", price=price("0.06"))], 1, 500),
        ([line(price=price("0.04")), line("b")], 1, None),
        ([line(price=price("0.05", PricedPer.SEGMENT))], 3, 1_500),
        ([line(price=price("0.05", PricedPer.SEGMENT))], None, 500),  # at least one each
        ([], 1, None),
    ],
)
def test_cost_is_what_each_account_charges_for_its_share(
    lines: list[Line], segments: int | None, expected: int | None
) -> None:
    assert cost_minor(100, lines, minor_digits=2, segments=segments) == expected


def test_yen_have_no_hundredths() -> None:
    assert cost_minor(100, [line(price=price("3.3"))], minor_digits=0) == 330


def test_nobody_costs_nothing_even_where_no_price_is_known() -> None:
    assert cost_minor(0, [line()], minor_digits=2) == 0
    assert cost_minor(0, [], minor_digits=2) == 0


def test_quiet_hours_make_waves_one_after_the_other() -> None:
    later = START + 5 * HOUR

    def held_until(place: Place, at: datetime) -> datetime:
        return later if place == NEW_YORK else at

    one = look([line(windows=[window(1, MINUTE)])], counts({LONDON: 60, NEW_YORK: 30}), held_until=held_until)

    assert one.held == 30
    assert one.done_at == later + 29 * MINUTE
    assert one.would_expire == 0


def test_a_wave_that_is_not_through_keeps_the_next_waiting() -> None:
    waves = [(START, 60), (START + 10 * MINUTE, 30)]

    done_at, late = play(waves, [line(windows=[window(1, MINUTE)])], expires_at=START + timedelta(days=1))

    assert (done_at, late) == (START + 59 * MINUTE + 29 * MINUTE, 0)


def test_who_could_not_leave_before_the_end_is_counted() -> None:
    waves = waves_of(
        {LONDON: 100, NEW_YORK: 7},
        starts_at=START,
        held_until=lambda place, at: at + HOUR if place == NEW_YORK else at,
    )

    # One a minute, for half an hour: 30 of the first wave leave; the second one begins when all is over.
    _, late = play(waves, [line(windows=[window(1, MINUTE)])], expires_at=START + HOUR / 2)

    assert late == 70 + 7


def test_without_an_open_account_nobody_leaves() -> None:
    one = look([line(paused_because="no balance")])

    assert (one.done_at, one.would_expire, one.cost_minor) == (None, 100, None)


def test_findings_say_what_stands_in_the_way_the_gravest_first() -> None:
    lines = [line("sms-main"), line("sms-old", paused_because="no balance")]
    lacking = {"customer.name": Lacking(count=12, names=[f"c{number}" for number in range(12)])}
    one = look(
        lines,
        counts({NEW_YORK: 100}, capped=7),
        lacking=lacking,
        held_until=lambda _, at: at + timedelta(days=4),
    )

    told = findings(outlook(one), lines={Channel.SMS: lines}, supplies=[Supply(offer="ten-off", total=40)])

    assert [finding.kind for finding in told] == [
        FindingKind.LACKS_VARIABLE,
        FindingKind.ACCOUNT_PAUSED,
        FindingKind.EXPIRES,
        FindingKind.CAPPED,
        FindingKind.QUIET_HOURS,
        FindingKind.TOO_FEW_COUPONS,
        FindingKind.COST_UNKNOWN,
    ]
    assert [finding.text for finding in told] == [
        "customer.name is missing for 12 recipients: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 2 more",
        "account sms-old is paused: no balance",
        "100 of 100 could not leave before the theme ends, 2027-03-09 09:00+00:00",
        "7 have had all that their caps allow",
        "100 are held by quiet hours at the start",
        "ten-off: 40 for 100 recipients",
        "no price is known of sms-main",
    ]


def test_a_theme_that_reaches_nobody_says_so_and_nothing_else() -> None:
    lines = [line(price=price("1"))]

    assert list(found(look(lines, counts({})), lines)) == [FindingKind.NOBODY]


def test_a_sound_theme_has_no_findings() -> None:
    lines = [line(windows=[window(100)], price=price("0.05"))]

    assert found(look(lines), lines, Supply(offer="ten-off", total=100)) == {}


def test_the_cost_of_a_theme_is_unknown_as_soon_as_that_of_one_channel_is() -> None:
    known, unknown = look([line(price=price("1"))]), look([line()], channel=Channel.EMAIL)

    assert outlook(known, known).cost_minor == 20_000
    assert outlook(known, unknown).cost_minor is None


def test_a_page_has_a_row_a_channel_and_hides_no_finding() -> None:
    lines = [line("a|b", windows=[window(1)], price=price("0.05"))]
    one = look(lines, counts({LONDON: 1_200}, left_out={"no_consent": 3}, by_segment={"core": 1_200}))
    seen = outlook(one, findings=findings(outlook(one), lines={Channel.SMS: lines}, supplies=[]))

    told = page(seen, ZoneInfo("Europe/London"))

    row = next(text for text in told.splitlines() if text.startswith("| sms"))
    assert row.split(" | ")[1:4] == ["a\\|b", "1,200", "1,200 core"]
    assert "0:19:59" in row
    assert "60.00 GBP" in row
    assert "Nothing stands in the way." in told
    assert summary(seen) == "reaches 1,200 by sms; costs 60.00 GBP; 0 findings"
    short = outlook(one, findings=[Finding(kind=FindingKind.CAPPED, text="x|y", channel=Channel.SMS)])
    assert "- sms: x\\|y" in page(short, ZoneInfo("Europe/London"))
    assert finding_lines(short) == ["sms: x|y"]
