"""Caps under senders that race: exact, without a deadlock, and shown to break where the guard is taken off."""

import random
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from audience.caps import counts_since
from audience.limits_file import Limits
from audience.local_time import zone_named
from audience.quiet_hours import quiet_until
from channels.states import Channel
from models.database import Database
from models.queries import limits, line_limits
from models.queries.limits import Restricted
from tests.integration.limits_world import GB, NOON, Theme, claiming, make_line, waits

DAILY = "caps: [{cap: one a day, channels: [sms], most: 1, per: day}]"
TWO_OVER_ALL = "caps: [{cap: two a day over all, most: 2, per: 24h}]"
NO_GUARD = text("SELECT CAST(:seqs AS text), CAST(:distribution_id AS int)")
IN_THE_ORDER_OF_THE_BATCH = text("""
    INSERT INTO cap_turns (customer_id)
    SELECT customer_id FROM deliveries
    WHERE distribution_id = :distribution_id AND seq = ANY(CAST(:seqs AS bigint[]))
    GROUP BY customer_id ORDER BY min(seq)
    ON CONFLICT (customer_id) DO UPDATE SET customer_id = excluded.customer_id WHERE false
""")


@pytest.mark.parametrize("known", [False, True])  # whether the customers have been counted before
def test_of_two_claims_at_once_the_second_waits_and_sees_what_the_first_reserved(
    database: Database, *, known: bool
) -> None:
    line = make_line(database, [GB] * 20)
    line.limit(DAILY)
    if known:
        line.theme().claim(now=NOON - timedelta(days=2))
    first, second = line.theme(), line.theme()
    with ThreadPoolExecutor(1) as pool:
        with claiming(first) as (_, restrict):
            assert restrict() == Restricted()
            racing = pool.submit(second.claim)
            assert waits(line, racing)
        assert racing.result().capped == 20
    assert (first.reserved(), second.reserved()) == (20, 0)


def test_without_its_guard_the_second_claim_goes_over_the_cap(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "_TAKE_TURNS", NO_GUARD)
    line = make_line(database, [GB] * 20)
    line.limit(DAILY)
    first, second = line.theme(), line.theme()
    with ThreadPoolExecutor(1) as pool, claiming(first) as (_, restrict):
        assert restrict() == Restricted()
        racing = pool.submit(second.claim)
        assert not waits(line, racing)
        assert racing.result() == Restricted()
    assert (first.reserved(), second.reserved()) == (20, 20)  # two messages to everybody on one day


def test_a_claim_that_is_rolled_back_has_reserved_nothing(database: Database) -> None:
    line = make_line(database, [GB] * 5)
    line.limit(DAILY)
    first, second = line.theme(), line.theme()
    with claiming(first) as (session, restrict):
        restrict()
        session.rollback()
    assert second.claim() == Restricted()


def at_once(themes: list[Theme], batches: list[list[int]]) -> list[Restricted]:
    barrier = threading.Barrier(len(themes))

    def claim(theme: Theme, seqs: list[int]) -> Restricted:
        barrier.wait()
        return theme.claim(seqs)

    with ThreadPoolExecutor(len(themes)) as pool:
        return [one.result() for one in [pool.submit(claim, *pair) for pair in zip(themes, batches, strict=True)]]


def turned_round(theme: Theme) -> Theme:
    """The same customers in the opposite order."""
    theme.run(
        "UPDATE deliveries dl SET customer_id = o.customer_id FROM ("
        " SELECT a.seq, b.customer_id FROM"
        " (SELECT seq, row_number() OVER (ORDER BY seq) AS n FROM deliveries WHERE distribution_id = :id) a JOIN"
        " (SELECT customer_id, row_number() OVER (ORDER BY seq DESC) AS n FROM deliveries"
        " WHERE distribution_id = :id) b ON a.n = b.n) o WHERE dl.distribution_id = :id AND dl.seq = o.seq"
    )
    return theme


def test_senders_that_hold_the_same_people_in_opposite_order_neither_lock_up_nor_go_over(database: Database) -> None:
    line = make_line(database, [GB] * 2_000)
    line.limit(DAILY)
    for _ in range(3):
        line.run("DELETE FROM cap_reservations")
        themes = [line.theme(), turned_round(line.theme()), line.theme(), turned_round(line.theme())]
        results = at_once(themes, [theme.seqs() for theme in themes])
        assert sorted(result.capped for result in results) == [0, 2_000, 2_000, 2_000]
        line.run("DELETE FROM cap_turns")


def test_without_the_order_of_the_turns_they_do_lock_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_TAKE_TURNS", IN_THE_ORDER_OF_THE_BATCH)
    line = make_line(database, [GB] * 2_000)
    line.limit(DAILY)
    line.theme().claim(now=NOON - timedelta(days=2))
    themes = [line.theme(), turned_round(line.theme())]
    batches = [theme.seqs() for theme in themes]

    def again_and_again() -> None:
        for _ in range(20):
            at_once(themes, batches)

    with pytest.raises(OperationalError, match="deadlock detected"):
        again_and_again()


def test_many_senders_of_many_themes_never_go_over_a_rolling_cap_and_use_it_up(database: Database) -> None:
    line = make_line(database, [GB] * 60)
    line.limit(TWO_OVER_ALL)
    themes = [line.theme(channel) for channel in (Channel.SMS, Channel.EMAIL, Channel.PUSH, Channel.SMS)]
    seqs = {theme.distribution_id: theme.seqs() for theme in themes}

    def send(number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - a test that repeats itself
        for _ in range(25):
            theme = chance.choice(themes)
            batch = chance.sample(seqs[theme.distribution_id], 20)
            # Machines whose clocks differ by a few minutes; half a day goes by in the course of the test.
            at = NOON + timedelta(minutes=chance.randint(0, 10) + 29 * _)
            result = theme.claim(batch, now=at)
            going = [seq for seq in batch if seq not in result.left]
            failing = [seq for seq in going if chance.random() < 0.3]
            if failing:
                theme.settle("failed", failing, give_back=True)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(send, range(6)))
    found: dict[int, list[datetime]] = defaultdict(list)
    for customer_id, at in line.run(
        "SELECT customer_id, reserved_at FROM cap_reservations r JOIN customers c ON c.id = r.customer_id"
        " WHERE c.product_line_id = :line"
    ):
        found[customer_id].append(at)
    most = [
        max(sum(at <= other < at + timedelta(hours=24) for other in times) for at in times) for times in found.values()
    ]
    assert max(most) == 2
    assert sum(most) > 60


ZONES = [GB, ("JP", "Asia/Tokyo"), ("US", "America/New_York"), ("AU", "Australia/Lord_Howe"), ("FR", "Europe/Paris")]
RULES = """
quiet_hours:
  - {channels: [sms, push], hours: 21:00-08:00}
  - {channels: [sms], countries: [FR], hours: 20:00-10:00}
  - {channels: [sms], countries: [FR], days: [sun], hours: 00:00-24:00}
caps:
  - {cap: text a day, channels: [sms], most: 1, per: day}
  - {cap: text or push, channels: [sms, push], most: 2, per: 36h}
  - {cap: over all, most: 4, per: week}
""".strip()


class Model:
    """The same rules in plain Python: every person by herself, every message one by one."""

    def __init__(self, rules: Limits, people: dict[int, tuple[str, str]]) -> None:
        self.rules, self.people = rules, people
        self.reserved: dict[int, tuple[int, Channel, datetime]] = {}

    def claim(self, channel: Channel, rows: list[tuple[int, int]], now: datetime) -> dict[int, str]:
        verdicts = {}
        for seq, _ in rows:
            self.reserved.pop(seq, None)
        for seq, person in sorted(rows):
            country, timezone = self.people[person]
            zone = zone_named(timezone)
            assert zone is not None
            if quiet_until(self.rules.quiet_rules(channel, country), zone=zone, now=now) is not None:
                verdicts[seq] = "held"
                continue
            for cap in self.rules.caps_on(channel):
                since = counts_since(cap.per, zone=zone, now=now)
                counted = [
                    1
                    for who, where, at in self.reserved.values()
                    if who == person and where in cap.channels and at >= since
                ]
                if len(counted) >= cap.most:
                    verdicts[seq] = "capped"
            if seq not in verdicts:
                self.reserved[seq] = (person, channel, now)
        return verdicts


@pytest.mark.parametrize("seed", range(4))
def test_a_batch_is_judged_as_if_every_message_were_judged_alone(database: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test that repeats itself
    line = make_line(database, ZONES * 3)
    line.limit(RULES)
    people = {
        row[0]: (row[1], row[2])
        for row in line.run("SELECT id, country, timezone FROM customers WHERE product_line_id = :line")
    }
    with database.begin() as session:
        ((_, rules),) = [found for found in line_limits.standing(session) if found[0] == line.key]
        model = Model(Limits.model_validate(rules.content), people)
    themes = [(channel, line.theme(channel)) for channel in Channel for _ in range(3)]
    rows = {
        theme.distribution_id: theme.run("SELECT seq, customer_id FROM deliveries WHERE distribution_id = :id")
        for _, theme in themes
    }
    now, verdicts = datetime.fromisoformat("2027-03-25T10:00+00:00"), 0
    for _ in range(60):
        now += timedelta(minutes=chance.randint(0, 400))
        channel, theme = chance.choice(themes)
        batch = chance.sample(rows[theme.distribution_id], chance.randint(1, 15))
        result = theme.claim([row[0] for row in batch], now=now)
        expected = model.claim(channel, batch, now)
        moved = theme.run("SELECT seq, state FROM deliveries WHERE seq = ANY(:left)", left=sorted(result.left))
        assert dict(moved) == expected
        verdicts += len(expected)
        gone = [row[0] for row in batch if row[0] not in expected and chance.random() < 0.2]
        theme.settle("failed", gone, give_back=True)
        for seq in gone:
            model.reserved.pop(seq, None)
    kept = line.run("SELECT delivery_seq FROM cap_reservations WHERE customer_id = ANY(:ids)", ids=sorted(people))
    assert {row[0] for row in kept} == set(model.reserved)
    assert verdicts > 100
