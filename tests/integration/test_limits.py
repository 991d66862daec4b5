"""Caps and quiet hours on a real PostgreSQL, a claimed batch at a time."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from channels.states import Channel, Purpose
from models.database import Database
from models.queries import limits
from models.queries.limits import Restricted
from tests.integration.limits_world import GB, NOON, make_line

DAILY = "caps: [{cap: one a day, channels: [sms], most: 1, per: day}]"
TWO_A_DAY = "caps: [{cap: two in 24 hours, channels: [sms], most: 2, per: 24h}]"
OVER_ALL = "caps: [{cap: two a week over all, most: 2, per: 7d}]"
NIGHT = "quiet_hours: [{channels: [sms], hours: 21:00-08:00}]"
EVENING = NOON + timedelta(hours=10)


def test_without_limits_nothing_applies_and_nothing_is_touched(database: Database) -> None:
    theme = make_line(database, [GB] * 3).theme()
    with database.begin() as session:
        assert not limits.applies(session, distribution_id=theme.distribution_id)
        assert not limits.applies(session, distribution_id=-1)
    assert theme.claim() == Restricted()
    assert (theme.states(), theme.reserved()) == ({"sending": 3}, 0)


@pytest.mark.parametrize(
    ("rules", "applied"), [(DAILY, [Channel.SMS]), (NIGHT, [Channel.SMS]), (OVER_ALL, list(Channel))]
)
def test_limits_apply_to_the_channels_that_they_name(database: Database, rules: str, applied: list[Channel]) -> None:
    line = make_line(database, [GB])
    line.limit(rules)
    themes = {channel: line.theme(channel) for channel in Channel}
    with database.begin() as session:
        found = [
            channel
            for channel, theme in themes.items()
            if limits.applies(session, distribution_id=theme.distribution_id)
        ]
    assert found == applied


def test_a_second_theme_on_the_same_day_is_capped_and_says_by_which_cap(database: Database) -> None:
    line = make_line(database, [GB] * 5)
    line.limit(DAILY)
    first, second = line.theme(), line.theme()
    assert first.claim(first.seqs()[:3]) == Restricted()
    result = second.claim()
    assert (result.capped, result.held, result.expired, len(result.left)) == (3, 0, 0, 3)
    assert second.states() == {"sending": 2, "capped": 3}
    assert second.run(
        "SELECT DISTINCT error_code, due_at, lease_owner, error_class FROM deliveries"
        " WHERE distribution_id = :id AND state = 'capped'"
    ) == [("one a day", None, None, None)]
    assert (first.reserved(), second.reserved()) == (3, 2)


def test_claiming_the_same_row_again_counts_once_and_from_then_on(database: Database) -> None:
    line = make_line(database, [GB])
    line.limit(TWO_A_DAY)
    first, second, third = line.theme(), line.theme(), line.theme()
    (seq,) = first.seqs()
    for hour in range(3):
        assert first.claim([seq], now=NOON + timedelta(hours=hour)) == Restricted()
    assert first.reserved() == 1
    assert second.claim(now=NOON + timedelta(hours=3)) == Restricted()
    assert third.claim(now=NOON + timedelta(hours=25)).capped == 1  # the first one left at 14:00, not at noon


def test_a_row_that_has_the_only_place_keeps_it_when_it_is_claimed_again(database: Database) -> None:
    line = make_line(database, [GB])
    line.limit(DAILY)
    theme = line.theme()
    seqs = theme.seqs()
    assert [theme.claim(seqs) for _ in range(2)] == [Restricted()] * 2
    assert theme.reserved() == 1


@pytest.mark.parametrize(
    ("rules", "before", "capped"),
    [
        (TWO_A_DAY, NOON - timedelta(hours=24) + timedelta(microseconds=1), 1),
        (TWO_A_DAY, NOON - timedelta(hours=24), 0),
        (DAILY, NOON.replace(hour=0), 1),
        (DAILY, NOON.replace(hour=0) - timedelta(microseconds=1), 0),
    ],
)
def test_a_window_is_closed_to_the_microsecond(database: Database, rules: str, before: datetime, capped: int) -> None:
    line = make_line(database, [GB])
    line.limit(rules.replace("most: 2", "most: 1"))
    line.theme().claim(now=before)
    assert line.theme().claim().capped == capped


def test_a_row_whose_window_went_by_while_it_waited_is_counted_afresh(database: Database) -> None:
    line = make_line(database, [GB])
    line.limit(TWO_A_DAY)
    late, other, third = line.theme(), line.theme(), line.theme()
    (seq,) = late.seqs()
    late.claim([seq])
    late.settle("retrying")
    for theme in (other, third):
        assert theme.claim(now=NOON + timedelta(hours=30)) == Restricted()
    assert late.claim([seq], now=NOON + timedelta(hours=31)).left == {seq}
    assert (late.states(), late.reserved()) == ({"capped": 1}, 0)


@pytest.mark.parametrize("state", ["failed", "cancelled", "expired", "suppressed", "planned"])
def test_what_did_not_leave_after_all_is_given_back(database: Database, state: str) -> None:
    line = make_line(database, [GB] * 2)
    line.limit(DAILY)
    first, second = line.theme(), line.theme()
    first.claim()
    first.settle(state, give_back=True)
    assert (second.claim(), first.reserved()) == (Restricted(), 0)


@pytest.mark.parametrize("state", ["sent", "delivered", "unknown", "retrying"])
def test_what_has_left_or_may_have_or_is_tried_again_keeps_its_place(database: Database, state: str) -> None:
    line = make_line(database, [GB] * 2)
    line.limit(DAILY)
    first, second = line.theme(), line.theme()
    first.claim()
    first.settle(state)
    assert (second.claim().capped, first.reserved()) == (2, 2)


@pytest.mark.parametrize("state", ["sending", "sent", "delivered", "unknown"])
def test_a_late_word_takes_no_place_from_what_another_sender_holds_or_what_may_have_left(
    database: Database, state: str
) -> None:
    line = make_line(database, [GB] * 2)
    line.limit(DAILY)
    theme = line.theme()
    theme.claim()
    theme.settle(state, give_back=True)
    assert theme.reserved() == 2


def test_everything_of_a_distribution_that_ended_in_vain_is_given_back_at_once(database: Database) -> None:
    line = make_line(database, [GB] * 6)
    line.limit(DAILY)
    theme = line.theme()
    theme.claim()
    for seq, state in zip(theme.seqs("sending"), ("failed", "cancelled", "sent", "unknown", "retrying"), strict=False):
        theme.settle(state, [seq])
    with database.begin() as session:
        assert limits.give_back_ended(session, distribution_id=theme.distribution_id) == 2
        assert limits.give_back_ended(session, distribution_id=theme.distribution_id) == 0
    assert theme.reserved() == 4


def test_a_cap_over_all_counts_every_channel_and_one_of_a_channel_its_own(database: Database) -> None:
    line = make_line(database, [GB])
    line.limit(OVER_ALL.removesuffix("]") + ", {cap: one text, channels: [sms], most: 1, per: day}]")
    assert line.theme(Channel.SMS).claim().capped == 0
    assert line.theme(Channel.SMS).claim().capped == 1  # one text
    assert line.theme(Channel.EMAIL).claim().capped == 0
    assert line.theme(Channel.PUSH).claim().capped == 1  # two over all


def test_a_cap_of_one_channel_counts_no_other(database: Database) -> None:
    line = make_line(database, [GB])
    line.limit(
        "caps: [{cap: texts, channels: [sms], most: 1, per: day}, {cap: mails, channels: [email], most: 1, per: day}]"
    )
    assert [line.theme(channel).claim().capped for channel in (Channel.EMAIL, Channel.SMS)] == [0, 0]
    assert [line.theme(channel).claim().capped for channel in (Channel.EMAIL, Channel.SMS)] == [1, 1]


def test_two_addresses_of_one_person_in_one_batch_share_her_cap(database: Database) -> None:
    line = make_line(database, [GB] * 4)
    line.limit(TWO_A_DAY)
    theme = line.theme()
    line.run(
        "UPDATE deliveries SET customer_id = (SELECT min(id) FROM customers WHERE product_line_id = :line)"
        " WHERE distribution_id = :id",
        id=theme.distribution_id,
    )
    seqs = theme.seqs()
    assert theme.claim().left == set(seqs[2:])  # the first two in their order


def test_a_calendar_cap_counts_by_the_day_of_each_person(database: Database) -> None:
    line = make_line(database, [GB, ("JP", "Asia/Tokyo"), ("US", "America/New_York"), ("GB", "no zone")])
    line.limit(DAILY)  # an unknown zone is taken for UTC
    assert line.theme().claim(now=datetime(2027, 1, 10, 14, 30, tzinfo=UTC)).capped == 0
    half_past_three = line.theme()  # in Tokyo it is tomorrow
    assert half_past_three.claim(now=datetime(2027, 1, 10, 15, 30, tzinfo=UTC)).capped == 3
    next_morning = line.theme()  # in New York it is still the 10th
    seqs = next_morning.seqs()
    assert next_morning.claim(now=datetime(2027, 1, 11, 4, 30, tzinfo=UTC)).left == {seqs[1], seqs[2]}


def test_a_person_in_quiet_hours_is_held_until_their_end_and_reserves_nothing(database: Database) -> None:
    line = make_line(database, [GB, ("JP", "Asia/Tokyo"), ("US", "America/New_York")])
    line.limit(f"{NIGHT}\n{DAILY}")
    theme = line.theme()
    seqs = theme.seqs()
    result = theme.claim(now=EVENING)  # 22:00 in London, 07:00 in Tokyo, 17:00 in New York
    assert (result.held, set(result.left)) == (2, {seqs[0], seqs[1]})
    held = theme.run("SELECT seq, due_at, lease_owner FROM deliveries WHERE state = 'held' AND distribution_id = :id")
    assert sorted(held) == [
        (seqs[0], datetime(2027, 3, 7, 8, tzinfo=UTC), None),
        (seqs[1], datetime(2027, 3, 6, 23, tzinfo=UTC), None),
    ]
    assert theme.reserved() == 1
    assert theme.claim(seqs[:1], now=datetime(2027, 3, 7, 8, tzinfo=UTC)) == Restricted()


def test_where_only_quiet_hours_hold_nothing_is_counted(database: Database) -> None:
    line = make_line(database, [GB, ("US", "America/New_York")])
    line.limit(NIGHT)
    theme = line.theme()
    assert (theme.claim(now=EVENING).held, theme.reserved()) == (1, 0)


@pytest.mark.parametrize(
    ("zone", "hours", "now", "over"),
    [
        ("Europe/London", "21:00-01:30", "2027-03-28T00:30+00:00", "2027-03-28T01:00+00:00"),  # jumped over
        ("Europe/London", "21:00-01:30", "2027-10-31T00:45+00:00", "2027-10-31T01:30+00:00"),  # comes twice
        ("America/New_York", "21:00-08:00", "2027-03-14T06:59+00:00", "2027-03-14T12:00+00:00"),
        ("Australia/Lord_Howe", "21:00-02:15", "2027-10-02T15:20+00:00", "2027-10-02T15:30+00:00"),
    ],
)
def test_in_a_night_in_which_the_clock_jumps_a_delivery_is_due_when_the_quiet_is_over(
    database: Database, zone: str, hours: str, now: str, over: str
) -> None:
    line = make_line(database, [("GB", zone)])
    line.limit(f"quiet_hours: [{{channels: [sms], hours: {hours}}}]")
    theme = line.theme(expires=None)
    at, end = datetime.fromisoformat(now), datetime.fromisoformat(over)
    assert theme.claim(now=at).held == 1
    assert theme.run("SELECT due_at FROM deliveries WHERE distribution_id = :id") == [(end,)]
    seqs = theme.seqs("held")
    assert theme.claim(seqs, now=end - timedelta(seconds=1)).held == 1
    assert theme.claim(seqs, now=end) == Restricted()


def test_the_rest_of_a_batch_is_good_until_the_next_of_its_people_goes_to_sleep(database: Database) -> None:
    line = make_line(database, [GB, ("US", "America/New_York")])
    line.limit(NIGHT)
    assert line.theme().claim().good_until == datetime(2027, 3, 6, 21, tzinfo=UTC)
    assert line.theme().claim(now=EVENING).good_until == datetime(2027, 3, 7, 2, tzinfo=UTC)
    assert line.theme(Channel.EMAIL).claim().good_until is None


def test_what_had_reserved_and_is_held_now_gives_its_place_back(database: Database) -> None:
    line = make_line(database, [GB])
    line.limit(f"{NIGHT}\n{DAILY}")
    theme = line.theme()
    (seq,) = theme.seqs()
    theme.claim()
    theme.settle("retrying")
    assert theme.claim([seq], now=EVENING).held == 1
    assert theme.reserved() == 0


@pytest.mark.parametrize(
    ("expires", "state"),
    [
        (datetime(2027, 3, 7, 8, tzinfo=UTC), "expired"),  # nothing leaves from then on
        (datetime(2027, 3, 7, 8, 0, 1, tzinfo=UTC), "held"),
        (None, "held"),
    ],
)
def test_what_would_be_quiet_until_after_the_end_is_expired(
    database: Database, expires: datetime | None, state: str
) -> None:
    line = make_line(database, [GB])
    line.limit(NIGHT)
    theme = line.theme(expires=expires)
    result = theme.claim(now=EVENING)
    assert theme.states() == {state: 1}
    assert (result.expired, result.held, len(result.left)) == (int(state == "expired"), int(state == "held"), 1)
    due = theme.run("SELECT due_at IS NULL FROM deliveries WHERE distribution_id = :id")
    assert due == [(state == "expired",)]


def test_a_correction_keeps_quiet_hours_but_is_not_capped_and_counts_for_no_cap(database: Database) -> None:
    line = make_line(database, [GB])
    line.limit(f"{NIGHT}\n{DAILY}")
    line.theme().claim()
    correction = line.theme(purpose=Purpose.CORRECTION, expires=None)
    assert correction.claim() == Restricted()
    assert correction.reserved() == 0
    assert line.theme(purpose=Purpose.CORRECTION, expires=None).claim(now=EVENING).held == 1


def test_a_row_that_the_sender_does_not_hold_is_left_alone(database: Database) -> None:
    line = make_line(database, [GB] * 2)
    line.limit(f"{NIGHT}\n{DAILY}")
    theme = line.theme()
    seqs = theme.seqs()
    theme.claim(seqs[:1])
    with database.begin() as session:
        nothing = limits.restrict(
            session, distribution_id=theme.distribution_id, sender=uuid4(), seqs=seqs, now=EVENING
        )
    assert (nothing, theme.states(), theme.reserved()) == (Restricted(), {"sending": 1, "planned": 1}, 1)


def test_caps_that_come_later_count_what_was_sent_before(database: Database) -> None:
    line = make_line(database, [GB] * 4)
    first = line.theme()
    seqs = first.seqs()
    first.claim()
    for seq, state in zip(seqs, ("sent", "unknown", "failed", "sent"), strict=True):
        first.settle(state, [seq])
    line.run(
        "UPDATE deliveries SET sent_at = :long_ago WHERE seq = :seq", seq=seqs[3], long_ago=NOON - timedelta(days=9)
    )
    line.limit(DAILY)
    second = line.theme()
    planned = second.seqs()
    assert second.claim().left == {planned[0], planned[1]}
    line.limit("caps: []")
    assert line.theme().claim() == Restricted()


def test_the_tallies_follow_what_is_held_and_capped(database: Database) -> None:
    line = make_line(database, [GB] * 3)
    line.limit(DAILY)
    line.theme().claim()
    theme = line.theme()
    theme.claim()
    with database.begin() as session:
        counted = session.execute(
            text(
                "SELECT state, sum(count) FROM tallies WHERE distribution_id = :id"
                " GROUP BY state HAVING sum(count) <> 0"
            ),
            {"id": theme.distribution_id},
        )
        assert [tuple(row) for row in counted] == [("capped", 3)]
