"""Deliveries a second, end to end: claimed, begun, sent, recorded, each with a durable row and its attempt."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import requests

from benchmarks.audience import live_theme
from benchmarks.sender_process import Done, Order, at_work
from channels.service import planning
from channels.states import Channel, DeliveryState
from models.database import Database
from models.delivery import Distribution
from models.queries import tallies

_numbers = count(1)
CONCURRENCY = {Channel.PUSH: 4, Channel.SMS: 16, Channel.MINI_PROGRAM: 64}
BATCH = {Channel.PUSH: 10_000, Channel.SMS: 8_000, Channel.MINI_PROGRAM: 4_000}


class CountsDiffer(Exception):
    """The rows, the senders and the sink do not agree on how many were reached."""

    def __init__(self, *, channel: Channel, wanted: int, rows: int, told: int, sink: int) -> None:
        self.channel, self.wanted, self.rows, self.told, self.sink = channel, wanted, rows, told, sink
        super().__init__(f"{channel}: {wanted} planned, {rows} rows sent, senders told {told}, the sink took {sink}")


@dataclass(frozen=True, kw_only=True)
class Measured:
    recipients: int
    seconds: float  # from the first sender's beginning to the last one's end
    senders: Sequence[Done]

    @property
    def per_second(self) -> float:
        return self.recipients / self.seconds

    @property
    def per_cpu_second(self) -> float:
        """Of the senders alone."""
        return self.recipients / sum(done.cpu_seconds for done in self.senders)


def measure(
    database: Database,
    sink: str,
    *,
    channel: Channel,
    recipients: int,
    senders: int = 1,
    concurrency: int | None = None,
) -> Measured:
    """Plan a theme for so many and let senders go at it. Raises CountsDiffer: somebody was lost, or counted twice."""
    distribution_id, audience = live_theme(
        database, channel=channel, customers=recipients, key=f"{channel}-{next(_numbers)}"
    )
    planning.plan(database, distribution_id=distribution_id, audience_of=lambda *_: audience, now=datetime.now(UTC))
    with database.begin() as session:
        account_id = session.get_one(Distribution, distribution_id).account_id
    order = Order(
        database=database.engine.url.render_as_string(hide_password=False),
        distribution_id=distribution_id,
        account_id=account_id,
        sink=sink,
        channel=channel,
        concurrency=concurrency or CONCURRENCY[channel],
        batch=BATCH[channel],
    )
    before = _accepted(sink)
    done = at_work([order] * senders)
    with database.begin() as session:
        rows = tallies.of(session, distribution_id, DeliveryState.SENT)
    told, taken = sum(one.sent for one in done), _accepted(sink) - before
    if not rows == told == taken == recipients:
        raise CountsDiffer(channel=channel, wanted=recipients, rows=rows, told=told, sink=taken)
    seconds = max(one.ended for one in done) - min(one.began for one in done)
    return Measured(recipients=recipients, seconds=seconds, senders=done)


def _accepted(sink: str) -> int:
    time.sleep(0.1)  # what was answered is counted
    return int(requests.get(f"{sink}/_count", timeout=10).json()["accepted"])
