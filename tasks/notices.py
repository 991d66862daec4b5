"""Telling people what they are waited for: the notices that are due, over the accounts that serve them."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import uvloop
from prefect import get_run_logger, task
from prefect.settings import PREFECT_UI_URL

from approval.errors import ApprovalError
from channels.engine import Backoff
from channels.errors import ChannelError
from channels.line import Line
from channels.rate import Counted
from channels.sender import Sender
from channels.service import notices as service
from channels.service.notices import NoticeLedger
from channels.service.provider import Cipher, limits_of, notice_provider_of, notice_template_of
from channels.states import DeliveryState
from channels.transport import HttpTransport
from models.database import Database
from models.delivery import ProviderAccount
from models.queries import notices, permits
from settings import Settings, get_settings
from tasks.connection import cipher, clock, database

ACCOUNTS_AT_ONCE = 4
CALLS_AT_ONCE = 8  # per account
CLAIMED_AT_ONCE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What notices are sent with."""

    database: Database
    cipher: Cipher
    backoff: Backoff
    lease: timedelta
    ui_url: str | None
    begin_seconds: float = 5.0  # calls begin for so long, and then no more:
    call_seconds: float = 4.0  # the sweep has other things to do, and comes again

    @classmethod
    def from_settings(cls, settings: Settings) -> "Terms":
        return cls(
            database=database(),
            cipher=cipher(),
            backoff=Backoff(base=settings.retry_base, ceiling=settings.retry_ceiling, budget=settings.retry_budget),
            lease=settings.lease,
            ui_url=settings.prefect_ui_url or PREFECT_UI_URL.value() or None,
        )


@task(name="send notices")
def send_notices() -> dict[str, int]:
    """Send what is due, for a few seconds; what is left then is sent by the next sweep. Any number may run at once."""
    states = send_due(Terms.from_settings(get_settings()))
    if states:
        get_run_logger().info("notices: %s", states)
    return states


def send_due(terms: Terms) -> dict[str, int]:
    """What the tries of this call came to, by state."""
    with terms.database.begin() as session:
        service.sweep_notices(session, now=clock())
        accounts = notices.accounts_with_due(session, clock())
    if not accounts:
        return {}
    return {state.value: count for state, count in uvloop.run(_send_all(accounts, terms)).items()}


async def _send_all(accounts: Sequence[ProviderAccount], terms: Terms) -> Counter[DeliveryState]:
    stop, waiting = asyncio.Event(), asyncio.Semaphore(ACCOUNTS_AT_ONCE)
    asyncio.get_running_loop().call_later(terms.begin_seconds, stop.set)

    async def send(account: ProviderAccount) -> Counter[DeliveryState]:
        async with waiting:
            return Counter() if stop.is_set() else await _send_over(account, terms, stop)

    # One account's failure must not cut off the calls of another.
    done = await asyncio.gather(*map(send, accounts), return_exceptions=True)
    failures = [one for one in done if isinstance(one, BaseException)]
    if failures:
        raise failures[0]
    return sum((one for one in done if isinstance(one, Counter)), Counter())


async def _send_over(account: ProviderAccount, terms: Terms, stop: asyncio.Event) -> Counter[DeliveryState]:
    limits = limits_of(account)
    backoff = limits.backoff(terms.backoff)
    transport = HttpTransport(connections=CALLS_AT_ONCE)
    try:
        provider = notice_provider_of(
            account, cipher=terms.cipher, transport=transport, call_seconds=terms.call_seconds
        )
    except (ChannelError, ApprovalError) as problem:
        with terms.database.begin() as session:
            service.alert_unusable(session, account=account, problem=str(problem), now=clock())
        return Counter()
    ledger = NoticeLedger(
        database=terms.database,
        account_id=account.id,
        owner=uuid4(),
        lease=terms.lease,
        retry_budget=backoff.budget,
        template=notice_template_of(account),
        ui_url=terms.ui_url,
    )
    line = Line(
        account_id=account.id,
        key=account.key,
        provider=provider,
        backoff=backoff,
        concurrency=min(limits.concurrency or CALLS_AT_ONCE, CALLS_AT_ONCE),
        counts_recipients=permits.counted(account.windows) is Counted.RECIPIENTS,
    )
    sender = Sender(
        ledger=ledger,
        lines=[line],
        render=ledger.content,
        lease=terms.lease,
        batch=CLAIMED_AT_ONCE,
        stop=stop,
        clock=clock,
    )
    try:
        await sender.run()
    finally:
        await provider.close()
        await transport.close()
    return ledger.states
