"""Real senders over themes that compete for the same people."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from channels.engine import MOVES
from channels.message import Message, Outcome
from channels.states import Channel, ErrorClass
from models.database import Database
from tests.integration.delivery_world import RecordingProvider, World, accept, run
from tests.integration.limits_world import GB, Theme, make_line
from tests.integration.moves_guard import guard_moves

DAILY = "caps: [{cap: one a day, channels: [push], most: 1, per: 24h}]"


def world_of(theme: Theme) -> World:
    line = theme.line
    return World(
        database=line.database,
        theme_key="",
        theme_id=theme.theme_id,
        product_line_id=line.id,
        distribution_id=theme.distribution_id,
        account_key=f"{line.key}-{theme.channel}",
        channel=theme.channel,
    )


def test_two_themes_that_are_sent_at_once_reach_each_person_once(database: Database) -> None:
    guard_moves(database, "deliveries", MOVES)
    line = make_line(database, [GB] * 300)
    line.limit(DAILY)
    provider = RecordingProvider()
    themes = [line.theme(Channel.PUSH) for _ in range(3)]
    run(*(world_of(theme).sender(provider, batch=20) for theme in themes))
    states: Counter[str] = Counter()
    for theme in themes:
        states.update(theme.states())
    assert states == {"sent": 300, "capped": 600}
    reached = line.run(
        "SELECT customer_id, count(*) FROM deliveries d JOIN customers c ON c.id = d.customer_id"
        " WHERE c.product_line_id = :line AND state = 'sent' GROUP BY customer_id"
    )
    assert (len(reached), {row[1] for row in reached}) == (300, {1})
    assert sum(provider.reached.values()) == 300


def test_what_one_theme_could_not_send_leaves_room_for_the_next(database: Database) -> None:
    line = make_line(database, [GB] * 20)
    line.limit(DAILY)
    first, second = line.theme(Channel.PUSH), line.theme(Channel.PUSH)

    def answer(message: Message) -> Outcome:
        if message.address.startswith(("c1@", "c2@")):
            return Outcome(delivery_id=message.delivery_id, error=ErrorClass.UNRECOGNISED, code="E1")
        return accept(message)

    run(world_of(first).sender(RecordingProvider(answer=answer)))
    run(world_of(second).sender(RecordingProvider()))
    assert first.states() == {"sent": 18, "failed": 2}
    assert second.states() == {"sent": 2, "capped": 18}


def test_in_quiet_hours_nothing_leaves_and_the_sender_says_when_to_come_back(database: Database) -> None:
    guard_moves(database, "deliveries", MOVES)
    now = datetime.now(UTC)
    quiet = f"{now - timedelta(hours=1):%H:%M}-{now + timedelta(hours=2):%H:%M}"
    line = make_line(database, [("GB", "UTC")] * 5)
    line.limit(f"quiet_hours: [{{channels: [push], hours: {quiet}}}]")
    theme, provider = line.theme(Channel.PUSH), RecordingProvider()
    (report,) = run(world_of(theme).sender(provider))
    assert (theme.states(), provider.calls) == ({"held": 5}, [])
    assert report.next_due_at is not None
    assert f"{report.next_due_at:%H:%M}" == quiet.partition("-")[2]
    ending = line.theme(Channel.PUSH, expires=now + timedelta(hours=1))
    run(world_of(ending).sender(provider))
    assert (ending.states(), provider.calls) == ({"expired": 5}, [])
