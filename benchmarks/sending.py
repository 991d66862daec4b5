"""Deliveries a second, end to end: planned, claimed, begun, sent, recorded, each with a durable row and its attempt."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import requests
import uvloop

from benchmarks.audience import live_theme
from benchmarks.provider import content_for, provider_for
from channels import service
from channels.engine import Backoff
from channels.sender import Sender, SenderReport
from channels.states import Channel, DeliveryState
from channels.transport import HttpTransport
from models.database import Database

LEASE = timedelta(seconds=60)
CONCURRENCY = {Channel.PUSH: 4, Channel.MINI_PROGRAM: 64}
BATCH = {Channel.PUSH: 10_000, Channel.MINI_PROGRAM: 4_000}


class CountsDiffer(Exception):
    """The rows, the report and the sink do not agree on how many were reached."""

    def __init__(self, *, channel: Channel, wanted: int, rows: int, sink: int) -> None:
        self.channel, self.wanted, self.rows, self.sink = channel, wanted, rows, sink
        super().__init__(f"{channel}: {wanted} recipients, {rows} rows sent, {sink} accepted by the sink")


@dataclass(frozen=True, kw_only=True)
class Measured:
    planned_per_second: float
    sent_per_second: float
    cpu_microseconds: float  # of the sender's process, per delivery


def measure(database: Database, sink: str, *, channel: Channel, recipients: int) -> Measured:
    distribution_id, audience = live_theme(database, channel=channel, customers=recipients)
    began = time.perf_counter()
    with database.begin() as session:
        service.plan_distribution(session, distribution_id=distribution_id, audience=audience, now=datetime.now(UTC))
    planned = time.perf_counter() - began
    accepted, began, cpu = _accepted(sink), time.perf_counter(), time.process_time()
    report = uvloop.run(_send(database, sink, channel, distribution_id))
    sent, cpu = time.perf_counter() - began, time.process_time() - cpu
    rows = report.states.get(DeliveryState.SENT, 0)
    accepted = _accepted(sink) - accepted
    if not rows == accepted == recipients:
        raise CountsDiffer(channel=channel, wanted=recipients, rows=rows, sink=accepted)
    return Measured(
        planned_per_second=recipients / planned,
        sent_per_second=recipients / sent,
        cpu_microseconds=cpu / recipients * 1e6,
    )


async def _send(database: Database, sink: str, channel: Channel, distribution_id: int) -> SenderReport:
    transport = HttpTransport()
    provider = provider_for(channel, sink, transport)
    sender = Sender(
        ledger=service.Ledger(database=database, distribution_id=distribution_id, owner=uuid4(), lease=LEASE),
        provider=provider,
        render=lambda recipient: content_for(channel, recipient),
        backoff=Backoff(),
        lease=LEASE,
        batch=BATCH[channel],
        concurrency=CONCURRENCY[channel],
    )
    try:
        return await sender.run()
    finally:
        await provider.close()
        await transport.close()


def _accepted(sink: str) -> int:
    return int(requests.get(f"{sink}/_count", timeout=10).json()["accepted"])
