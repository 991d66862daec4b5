"""What each provider says that it can do, against what its module does over the wire."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from channels.callback_readers import READERS
from channels.message import (
    Content,
    EmailContent,
    Message,
    MiniProgramContent,
    Outcome,
    Provider,
    PushContent,
    SmsContent,
)
from channels.registry import PROVIDERS, capabilities
from tests.conformance.provider_case import CASES, Case, Sandbox, deliver, with_keys

_WORD = re.compile(r"~w\d{4}")
PERSONAL = [case for case in CASES if capabilities(case.channel, case.provider).personal_content]
BATCHING = [case for case in CASES if capabilities(case.channel, case.provider).batch_size > 1]


def saying(content: Content, word: str) -> Content:
    """The same message, with a word of its own where each provider shows it."""
    match content:
        case SmsContent():
            return replace(content, text=word)
        case EmailContent():
            return replace(content, text=word)
        case PushContent():
            return replace(content, body=word)
        case MiniProgramContent():
            return replace(content, data={"thing1": word})


def test_receipts_are_announced_where_somebody_reads_them() -> None:
    announced = {served for served, module in PROVIDERS.items() if module.CAPABILITIES.receipts}
    assert announced == set(READERS)


def test_provider_carries_the_capabilities_of_its_module(case: Case, sandbox: Sandbox) -> None:
    async def carried(provider: Provider) -> object:
        return provider.capabilities

    assert case.run(sandbox, carried) == capabilities(case.channel, case.provider)


def test_whoever_can_be_asked_says_so(case: Case, sandbox: Sandbox) -> None:
    async def can_be_asked(provider: Provider) -> bool:
        return hasattr(provider, "inquire")

    assert case.run(sandbox, can_be_asked) == capabilities(case.channel, case.provider).status_query


def test_same_message_sent_twice_arrives_once_only_where_replay_is_idempotent(case: Case, sandbox: Sandbox) -> None:
    can = capabilities(case.channel, case.provider)

    async def send(provider: Provider) -> int:
        keyed = await with_keys(provider, case.messages(1))
        for _ in range(2):
            (outcome,) = await provider.send(keyed)
            assert outcome.error is None
        return len(await provider.allocate_keys(3))

    assert case.run(sandbox, send) == (3 if can.idempotent_replay else 0)
    assert sandbox.summary(case)["max_per_recipient"] == (1 if can.idempotent_replay else 2)


@pytest.mark.parametrize("case", PERSONAL, ids=lambda case: case.provider)
def test_full_batch_leaves_in_one_call_and_carries_content_of_its_own_to_each(case: Case, sandbox: Sandbox) -> None:
    can = capabilities(case.channel, case.provider)
    count = max(can.batch_size, 3)
    words = {message.address: f"~w{number:04d}" for number, message in enumerate(case.messages(count))}
    personal: Sequence[Message] = [
        replace(message, content=saying(message.content, words[message.address])) for message in case.messages(count)
    ]

    async def send(provider: Provider) -> list[Outcome]:
        return await deliver(provider, personal)

    assert {outcome.error for outcome in case.run(sandbox, send)} == {None}
    assert sandbox.summary(case)["calls"] == count // can.batch_size
    told = {record["recipient"]: set(_WORD.findall(str(record["content"]))) for record in sandbox.records(case)}
    # A provider may write a number without its plus.
    assert told == {name: {word} for address, word in words.items() for name in (address, address[1:]) if name in told}
    assert len(told) == count


@pytest.mark.parametrize("case", BATCHING, ids=lambda case: case.provider)
def test_batch_is_as_large_as_the_provider_takes(case: Case, sandbox: Sandbox) -> None:
    size = capabilities(case.channel, case.provider).batch_size

    async def send(provider: Provider) -> Sequence[Outcome]:
        return await provider.send(await with_keys(provider, case.messages(size + 1)))

    assert None not in {outcome.error for outcome in case.run(sandbox, send)}
    assert sandbox.summary(case)["accepted"] == 0
