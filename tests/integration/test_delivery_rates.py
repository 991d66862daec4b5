"""Senders of several themes over one account: its window is never overrun on the wire, shares are even, one probes."""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from channels.message import Message
from channels.rate import Permits
from channels.service import Ledger
from channels.states import ErrorClass
from models.database import Database
from models.queries import provider_accounts
from tests.integration.delivery_world import RecordingProvider, World, make_world, refuse, run, until

WINDOW = 30  # calls a second


class Wire:
    """When which theme's calls came to the provider."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, str]] = []

    def provider(self, theme: str, **values: object) -> RecordingProvider:
        def note(_: Sequence[Message]) -> None:
            self.calls.append((time.monotonic(), theme))

        return RecordingProvider(on_call=note, **values)  # type: ignore[arg-type]

    def most_within(self, seconds: float) -> int:
        times = sorted(at for at, _ in self.calls)
        return max(sum(start <= at < start + seconds for at in times) for start in times)


def over_one_account(database: Database, *customers: int) -> list[World]:
    worlds = [make_world(database, customers=count) for count in customers]
    for world in worlds:
        world.change(
            "UPDATE distributions SET account_id = :account WHERE id = :distribution_id", account=worlds[0].account_id
        )
        world.plan()
    return worlds


def test_senders_of_several_themes_never_overrun_the_window_of_their_account(database: Database) -> None:
    big, small = over_one_account(database, 90, 40)
    big.allow(at_most=WINDOW)
    wire = Wire()
    senders = [big.sender(wire.provider("big")), big.sender(wire.provider("big")), small.sender(wire.provider("small"))]
    began = time.monotonic()
    run(*senders)
    assert big.states() == {"sent": 90}
    assert small.states() == {"sent": 40}
    assert wire.most_within(1.0) <= WINDOW
    assert time.monotonic() - began < 3 * 130 / WINDOW


def test_calls_that_cannot_share_what_they_say_have_permits_of_their_own(database: Database) -> None:
    (world,) = over_one_account(database, 70)
    world.allow(at_most=WINDOW)
    wire = Wire()
    run(world.sender(wire.provider("big", batch_size=10, personal=False)))
    assert world.states() == {"sent": 70}
    assert len(wire.calls) == 70
    assert wire.most_within(1.0) <= WINDOW


class SlowToBegin:
    """A ledger that notes what was asked of it, and says late that the first deliveries have begun."""

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self._ledger, self._seconds = ledger, [seconds]
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def permits(self, **values: Any) -> Permits:
        self.asked.append("permits")
        return self._ledger.permits(**values)

    def begin(self, **values: Any) -> Collection[int]:
        begun = self._ledger.begin(**values)
        time.sleep(self._seconds.pop() if self._seconds else 0.0)
        self.asked.append("begun")
        return begun


def test_a_call_that_is_late_waits_for_new_permits(database: Database) -> None:
    (world,) = over_one_account(database, 1)
    world.allow(at_most=WINDOW)
    ledger = SlowToBegin(world.ledger(), seconds=0.3)
    provider = RecordingProvider(on_call=lambda _: ledger.asked.append("call"))
    run(world.sender(provider, ledger=ledger, concurrency=1))
    assert ledger.asked == ["permits", "begun", "permits", "call"]
    assert world.states() == {"sent": 1}


def test_a_call_that_is_late_is_given_back_where_there_are_no_permits_for_long(database: Database) -> None:
    (world,) = over_one_account(database, 3)
    world.allow(at_most=3, per_seconds=3_600)
    stop, provider = asyncio.Event(), RecordingProvider()
    ledger = SlowToBegin(world.ledger(), seconds=2.2)
    sender = world.sender(provider, ledger=ledger, stop=stop)

    async def send_and_stop() -> None:
        sending = asyncio.create_task(sender.run())
        # three late calls ask, and then whoever has claimed the deliveries again
        await until(lambda: ledger.asked[1:].count("permits") > 3)
        stop.set()
        await sending

    asyncio.run(send_and_stop())
    assert provider.calls == []
    assert world.states() == {"planned": 3}


def test_a_theme_with_many_senders_leaves_another_its_share(database: Database) -> None:
    big, small = over_one_account(database, 120, 60)
    big.allow(at_most=WINDOW)
    wire = Wire()
    run(*(big.sender(wire.provider("big")) for _ in range(3)), small.sender(wire.provider("small")))
    first = Counter(theme for _, theme in wire.calls[:100])
    assert 0.6 < first["big"] / first["small"] < 1.67


@pytest.mark.parametrize("still_down", [True, False])
def test_after_a_back_off_one_sender_of_all_tries_the_account(database: Database, *, still_down: bool) -> None:
    worlds = over_one_account(database, 20, 20, 20)
    with database.begin() as session:
        past = datetime.now(UTC) - timedelta(seconds=1)
        provider_accounts.back_off(session, account_id=worlds[0].account_id, began_at=past, until=past)
    wire, down = Wire(), {"answer": refuse(ErrorClass.DOWN)} if still_down else {}
    run(*(world.sender(wire.provider(str(number), seconds=0.2, **down)) for number, world in enumerate(worlds)))
    first = wire.calls[0][0]
    assert sum(at < first + 0.2 for at, _ in wire.calls) == 1
    if not still_down:
        assert [world.states() for world in worlds] == [{"sent": 20}] * 3
