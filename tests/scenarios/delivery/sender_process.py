"""A sender in a process of its own, which can be killed at any point; it shares the clock of the scenario."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any
from uuid import uuid4

from approval.secrecy import Cipher
from channels.engine import Backoff
from channels.line import Line
from channels.message import Content
from channels.rate import Counted
from channels.sender import Sender, SenderReport
from channels.service.ledger import Ledger
from channels.service.provider import provider_of
from channels.states import Purpose
from channels.transport import HttpTransport
from channels.waits import wait_for
from models.database import Database
from models.delivery import ProviderAccount
from models.queries import distributions, permits, provider_accounts, themes
from tests.scenarios.delivery.clock import Clock
from themes.recipient import RecipientLinks
from themes.render import Renderer
from themes.revision import load
from themes.service.takedown import say_correction
from themes.signed_links import PURPOSE, LinkSigner

LEASE = timedelta(seconds=5)
BACKOFF = Backoff(base=timedelta(seconds=2), ceiling=timedelta(minutes=15), budget=timedelta(hours=6))
#: So many runs in a row without a call are no patience any more.
IDLE_RUNS = 25
PUBLIC_URL = "https://themeline.example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a sender is to do. `patience`: so many seconds of real time it waits for rows that will be due."""

    url: str
    key: str
    distribution_id: int
    patience: float = 0.0
    call_size: int | None = None
    concurrency: int = 16
    backoff: Backoff = BACKOFF


class SenderSpins(AssertionError):
    """Again and again there is said to be work, and a sender finds none."""

    def __init__(self, report: SenderReport) -> None:
        self.report = report
        super().__init__(f"{IDLE_RUNS} runs in a row made no call; the last: {report}")


def work(order: Order, clock: Clock, told: Connection) -> None:
    """Send until nothing is due. Told are first that it may be stopped from now on, at the end what came of it."""
    database = Database(url=order.url)
    reports = asyncio.run(_send(order, database, clock, told))
    told.send([({state.value: n for state, n in one.states.items()}, one.calls, one.closed_because) for one in reports])
    database.dispose()


async def _send(order: Order, database: Database, clock: Clock, told: Connection) -> list[SenderReport]:
    stop, reports = _stop_on_sigterm(), []
    told.send("ready")
    accounts, render = _prepare(order, database)
    transport = HttpTransport()
    lines = [_line(account, order, transport) for account in accounts]
    while True:
        sender = Sender(
            ledger=Ledger(
                database=database,
                distribution_id=order.distribution_id,
                owner=uuid4(),
                lease=LEASE,
                retry_budget=order.backoff.budget,
            ),
            lines=lines,
            render=render,
            lease=LEASE,
            batch=500,
            stop=stop,
            clock=clock,
        )
        reports.append(await sender.run())
        if not await _wait_for_more(reports[-1], order, stop, clock):
            break
        if len(reports) >= IDLE_RUNS and not any(one.calls for one in reports[-IDLE_RUNS:]):
            raise SenderSpins(reports[-1])
    for line in lines:
        await line.provider.close()
    await transport.close()
    return reports


def _line(account: ProviderAccount, order: Order, transport: HttpTransport) -> Line:
    provider = provider_of(account, cipher=Cipher([order.key]), transport=transport)
    if order.call_size is not None:
        provider.capabilities = replace(provider.capabilities, batch_size=order.call_size)
    return Line(
        account_id=account.id,
        key=account.key,
        provider=provider,
        backoff=order.backoff,
        concurrency=order.concurrency,
        counts_recipients=permits.counted(account.windows) is Counted.RECIPIENTS,
    )


async def _wait_for_more(report: SenderReport, order: Order, stop: asyncio.Event, clock: Clock) -> bool:
    if report.next_due_at is None or stop.is_set():
        return False
    wait = (report.next_due_at - clock()).total_seconds()
    if wait > order.patience or (report.closed_because is not None and wait <= 0):
        return False
    await wait_for(stop, max(wait, 0.05))
    return not stop.is_set()


def _prepare(
    order: Order, database: Database
) -> tuple[Sequence[ProviderAccount], Callable[[Mapping[str, Any]], Content]]:
    with database.begin() as session:
        row = distributions.by_id(session, order.distribution_id)
        assert row is not None
        accounts = provider_accounts.serving(session, distribution_id=row.id)
        theme = load(themes.revision_by_id(session, row.revision_id).content)
        if row.purpose is Purpose.CORRECTION:
            theme = say_correction(session, theme_id=row.theme_id, value=theme)
    renderer = Renderer(theme, row.channel)
    signer = LinkSigner(Cipher([order.key]).keys_for(PURPOSE))
    links = RecipientLinks(theme.key, public_url=PUBLIC_URL, signer=signer)

    def render(recipient: Mapping[str, Any]) -> Content:
        return renderer.render({**recipient, **links.of(recipient["delivery_id"])})

    return accounts, render


def _stop_on_sigterm() -> asyncio.Event:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop
