"""Asking providers what became of messages whose answer was lost."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import cast

from prefect import get_run_logger, task

from channels.errors import ChannelError
from channels.message import Inquirer
from channels.service import cancellation, inquiry
from channels.service.inquiry import Answered
from channels.service.provider import provider_of
from channels.states import DeliveryState
from channels.transport import HttpTransport
from models.delivery import ProviderAccount
from models.queries.inquiries import InDoubt
from tasks.connection import cipher, clock, database

#: A sweep asks each account about so many at most, so many at once, and for so long.
QUESTIONS, AT_ONCE, SECONDS = 400, 8, 20.0


@task(name="ask providers", retries=2, retry_delay_seconds=1)
def ask_providers() -> str:
    """Settle what is in doubt where the provider can be asked what became of it."""
    with database().begin() as session:
        accounts = list(inquiry.accounts_to_ask(session))
    total: Counter[DeliveryState] = Counter()
    for account in accounts:
        try:
            total.update(_ask(account))
        except ChannelError as error:  # its settings or secrets: the other accounts can still be asked
            get_run_logger().warning("account %s could not be asked: %s", account.key, error)
    return ", ".join(f"{count} {state}" for state, count in sorted(total.items())) or "nothing was settled"


@task(name="cancel what came back", retries=3, retry_delay_seconds=1)
def cancel_returned() -> int:
    """What a sender has given back of a channel that was cancelled meanwhile."""
    with database().begin() as session:
        return cancellation.cancel_more(session, now=clock())


def _ask(account: ProviderAccount) -> Counter[DeliveryState]:
    with database().begin() as session:
        questions = inquiry.questions(session, account_id=account.id, limit=QUESTIONS, now=clock())
    if not questions:
        return Counter()
    answers = asyncio.run(_answers(account, questions))
    if not answers:
        return Counter()
    with database().begin() as session:
        return Counter(inquiry.take_answers(session, answers, now=clock()))


async def _answers(account: ProviderAccount, questions: Sequence[InDoubt]) -> list[Answered]:
    """Empty where the provider cannot be asked."""
    transport = HttpTransport(connections=AT_ONCE)
    provider = provider_of(account, cipher=cipher(), transport=transport)
    try:
        if not provider.capabilities.status_query:
            return []
        asking = Asking(inquirer=cast("Inquirer", provider), until=asyncio.get_running_loop().time() + SECONDS)
        return [one for one in await asyncio.gather(*map(asking.ask, questions)) if one is not None]
    finally:
        await provider.close()
        await transport.close()


class Asking:
    """Asks one question at a time of each of some conversations, so that one that fails costs the others nothing."""

    def __init__(self, *, inquirer: Inquirer, until: float) -> None:
        self._inquirer, self._until = inquirer, until
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def ask(self, one: InDoubt) -> Answered | None:
        """None: there was no time for it, the next sweep asks."""
        async with self._slots:
            if asyncio.get_running_loop().time() > self._until:
                return None
            try:
                (found,) = await self._inquirer.inquire([inquiry.as_inquiry(one)])
            except ChannelError as error:
                return Answered(asked=one, found=None, problem=str(error))
            return Answered(asked=one, found=found)
