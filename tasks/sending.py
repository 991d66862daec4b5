"""One sender at work: what is due of one distribution, over its provider account, until nothing is due soon."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import uuid4

import uvloop
from prefect import get_run_logger, task

from channels.account_file import Limits
from channels.engine import Backoff
from channels.message import Content
from channels.sender import Sender, SenderReport
from channels.service.ledger import Ledger
from channels.service.provider import limits_of, provider_of
from channels.states import Purpose
from channels.transport import HttpTransport
from models.delivery import ProviderAccount
from models.queries import distributions, provider_accounts, themes
from settings import Settings, get_settings
from tasks.connection import cipher, clock, database
from themes.recipient import links
from themes.render import Renderer
from themes.revision import load
from themes.service.takedown import say_correction

#: A sender waits so long for rows that will be due; later ones get a sender of their own.
PATIENCE = timedelta(seconds=20)


@task(name="send", task_run_name="send distribution {distribution_id}")
def send_due(distribution_id: int) -> dict[str, int]:
    """Send what is due. Killed at any point it leaves rows from which any other sender goes on."""
    account, render = _prepare(distribution_id)
    sent = uvloop.run(_send(distribution_id, account, render))
    return {state.value: count for state, count in sent.items()}


def _prepare(distribution_id: int) -> tuple[ProviderAccount, Callable[[Mapping[str, Any]], Content]]:
    with database().begin() as session:
        row = distributions.by_id(session, distribution_id)
        if row is None:
            raise LookupError(f"there is no distribution {distribution_id}")
        account = provider_accounts.by_id(session, row.account_id)
        theme = load(themes.revision_by_id(session, row.revision_id).content)
        if row.purpose is Purpose.CORRECTION:
            theme = say_correction(session, theme_id=row.theme_id, value=theme)
    renderer = Renderer(theme, row.channel)
    public_url = get_settings().public_url

    def render(recipient: Mapping[str, Any]) -> Content:
        reference = str(recipient["delivery_id"])
        return renderer.render({**recipient, **links(theme.key, public_url=public_url, reference=reference)})

    return account, render


async def _send(
    distribution_id: int, account: ProviderAccount, render: Callable[[Mapping[str, Any]], Content]
) -> Counter[Any]:
    settings, limits, stop = get_settings(), limits_of(account), _stop_on_sigterm()
    transport = HttpTransport(connections=limits.concurrency or settings.sender_concurrency)
    provider = provider_of(account, cipher=cipher(), transport=transport)
    total: Counter[Any] = Counter()
    backoff = _backoff(settings, limits)
    try:
        while True:
            ledger = Ledger(
                database=database(),
                distribution_id=distribution_id,
                owner=uuid4(),
                lease=settings.lease,
                retry_budget=backoff.budget,
            )
            sender = Sender(
                ledger=ledger,
                provider=provider,
                render=render,
                backoff=backoff,
                lease=settings.lease,
                batch=settings.sender_batch,
                concurrency=limits.concurrency or settings.sender_concurrency,
                rate_per_second=limits.rate_per_second,
                stop=stop,
            )
            report = await sender.run()
            total.update(report.states)
            get_run_logger().info("sent %s in %s calls", dict(report.states), report.calls)
            if not await _wait_for_more(report, stop):
                return total
    finally:
        await provider.close()
        await transport.close()


def _backoff(settings: Settings, limits: Limits) -> Backoff:
    return limits.backoff(
        Backoff(base=settings.retry_base, ceiling=settings.retry_ceiling, budget=settings.retry_budget)
    )


async def _wait_for_more(report: SenderReport, stop: asyncio.Event) -> bool:
    """Wait for rows that will be due soon; False when this sender has nothing to wait for."""
    if report.next_due_at is None or stop.is_set():
        return False
    wait = report.next_due_at - clock()
    # Due already, and yet the sender ended: it was closed, and whoever opens it again starts a sender.
    closed_for_good = report.closed_because is not None and wait <= timedelta()
    if wait > PATIENCE or closed_for_good:
        return False
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), max(wait.total_seconds(), 0.2))
    return not stop.is_set()


def _stop_on_sigterm() -> asyncio.Event:
    """Set when the process is told to end: calls in flight finish, the rest is given back."""
    stop = asyncio.Event()
    with contextlib.suppress(ValueError, RuntimeError):  # only the main thread may listen to signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop
