"""One sender at work: what is due of one distribution, over its provider account, until nothing is due soon."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import uvloop
from prefect import get_run_logger, task

from approval.errors import SecretUnreadable
from channels.account_file import Limits
from channels.engine import Backoff
from channels.errors import AccountSettingsInvalid, ProviderUnknown, SenderTakenForDead
from channels.line import Line
from channels.message import Content, EmailContent
from channels.rate import Counted
from channels.sender import Sender, SenderReport
from channels.service.ledger import Ledger
from channels.service.provider import limits_of, provider_of
from channels.states import Channel, Purpose
from channels.transport import HttpTransport
from channels.waits import wait_for
from garbage import rest_the_collector
from logs import bound
from models.delivery import ProviderAccount
from models.product_line import ProductLine
from models.queries import distributions, permits, provider_accounts, themes
from settings import Settings, get_settings
from tasks.connection import cipher, clock, database
from tasks.own_run import own_run_id
from tasks.turns import end_turn
from themes.recipient import RecipientLinks
from themes.render import Renderer
from themes.revision import load
from themes.service.takedown import say_correction
from themes.signed_links import PURPOSE, LinkSigner, Tracking
from themes.theme import Theme
from themes.variables import codes_named

#: A sender waits so long for rows that will be due; later ones get a sender of their own.
PATIENCE = timedelta(seconds=20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a sender needs to know of its distribution before it begins."""

    distribution_id: int
    theme: str  # its key
    accounts: Sequence[ProviderAccount]  # those of its pool
    render: Callable[[Mapping[str, Any]], Content]
    coupons: Sequence[str] = ()  # of which every message carries the recipient's code


@task(name="send", task_run_name="send distribution {distribution_id}")
def send_due(distribution_id: int) -> dict[str, int]:
    """Send what is due. Killed at any point it leaves rows from which any other sender goes on."""
    with bound(distribution_id=distribution_id):
        work = _prepare(distribution_id)
        rest_the_collector()
        with bound(theme=work.theme):
            sent = uvloop.run(_send(work, own_run_id()))
    return {state.value: count for state, count in sent.items()}


def _prepare(distribution_id: int) -> Work:
    with database().begin() as session:
        row = distributions.by_id(session, distribution_id)
        if row is None:
            raise LookupError(f"there is no distribution {distribution_id}")
        accounts = provider_accounts.serving(session, distribution_id=distribution_id)
        theme = load(themes.revision_by_id(session, row.revision_id).content)
        if row.purpose is Purpose.CORRECTION:
            theme = say_correction(session, theme_id=row.theme_id, value=theme)
        line = themes.product_line_of(session, row.theme_id)
    render = _renderer(theme, row.channel, line)
    coupons = codes_named(theme, row.channel)
    return Work(distribution_id=distribution_id, theme=theme.key, accounts=accounts, render=render, coupons=coupons)


def _renderer(theme: Theme, channel: Channel, line: ProductLine) -> Callable[[Mapping[str, Any]], Content]:
    """What makes one recipient's message, with links of its own; a letter tells what was opened and followed."""
    renderer, public_url = Renderer(theme, channel), get_settings().public_url
    signer = LinkSigner(cipher().keys_for(PURPOSE))
    links = RecipientLinks(theme.key, public_url=public_url, signer=signer)
    tracking = Tracking(signer=signer, public_url=public_url, opens=line.tracks_opens, clicks=line.tracks_clicks)

    def render(recipient: Mapping[str, Any]) -> Content:
        delivery_id = recipient["delivery_id"]
        own = links.of(delivery_id) if renderer.leads_out else links.to_theme
        content = renderer.render({**recipient, **own})
        return tracking.tracked(content, delivery_id) if isinstance(content, EmailContent) else content

    return render


async def _send(work: Work, run_id: UUID) -> Counter[Any]:
    stop = _stop_on_sigterm()
    turn = asyncio.create_task(end_turn(stop, run_id=run_id))
    try:
        return await _send_until(stop, work)
    finally:
        turn.cancel()


async def _send_until(stop: asyncio.Event, work: Work) -> Counter[Any]:
    """What came of it all, or SenderTakenForDead: whoever starts a run anew goes on from the rows as they are."""
    total = Counter[Any]()
    async with _lines(work.accounts, get_settings()) as lines:
        while True:
            owner = uuid4()
            with bound(sender=owner):
                report = await _sender(work, lines, owner, stop).run()
                get_run_logger().info("sent %s in %s calls", dict(report.states), report.calls)
            total.update(report.states)
            if report.taken_for_dead:
                raise SenderTakenForDead(lease=get_settings().lease)
            if not await _wait_for_more(report, stop):
                return total


def _sender(work: Work, lines: Sequence[Line], owner: UUID, stop: asyncio.Event) -> Sender:
    settings = get_settings()
    ledger = Ledger(
        database=database(),
        distribution_id=work.distribution_id,
        owner=owner,
        lease=settings.lease,
        retry_budget=max(line.backoff.budget for line in lines),
        coupons=work.coupons,
    )
    return Sender(
        ledger=ledger,
        lines=lines,
        render=work.render,
        lease=settings.lease,
        batch=settings.sender_batch,
        stop=stop,
    )


@asynccontextmanager
async def _lines(accounts: Sequence[ProviderAccount], settings: Settings) -> AsyncIterator[list[Line]]:
    """A line for every account that serves; one whose settings cannot be used leaves its work to the others.

    Raises:
        AccountSettingsInvalid, ProviderUnknown, SecretUnreadable: of the only account.
    """
    limits = {account.id: limits_of(account) for account in accounts}
    slots = {key: limit.concurrency or settings.sender_concurrency for key, limit in limits.items()}
    transport = HttpTransport(connections=sum(slots.values()))
    lines: list[Line] = []
    try:
        for account in accounts:
            with _left_to_others(account, is_last=account is accounts[-1] and not lines):
                line = Line(
                    account_id=account.id,
                    key=account.key,
                    provider=provider_of(account, cipher=cipher(), transport=transport),
                    backoff=_backoff(settings, limits[account.id]),
                    concurrency=slots[account.id],
                    counts_recipients=permits.counted(account.windows) is Counted.RECIPIENTS,
                )
                lines.append(line)
        yield lines
    finally:
        for line in lines:
            await line.provider.close()
        await transport.close()


@contextlib.contextmanager
def _left_to_others(account: ProviderAccount, *, is_last: bool) -> Iterator[None]:
    try:
        yield
    except (AccountSettingsInvalid, ProviderUnknown, SecretUnreadable) as problem:
        if is_last:
            raise
        get_run_logger().error("the account %s cannot be used: %s", account.key, problem)


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
    await wait_for(stop, max(wait.total_seconds(), 0.2))
    return not stop.is_set()


def _stop_on_sigterm() -> asyncio.Event:
    """Set when the process is told to end: calls in flight finish, the rest is given back."""
    stop = asyncio.Event()
    with contextlib.suppress(ValueError, RuntimeError):  # only the main thread may listen to signals
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    return stop
