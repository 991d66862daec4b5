"""What every provider has to do alike, over real HTTP and SMTP."""

import asyncio
import socket
from dataclasses import replace
from datetime import timedelta

import pytest

from channels.message import Message, Outcome
from channels.registry import capabilities
from channels.states import ErrorClass
from channels.transport import HttpTransport
from tests.conformance.provider_case import CASES, Case, Refused, Sandbox

SHORT = 0.4  # seconds that a call may take where a test waits for that


def errors(outcomes: list[Outcome]) -> set[ErrorClass | None]:
    return {outcome.error for outcome in outcomes}


def with_any_key(case: Case) -> Message:
    """For calls that are not to get through anyway, and that must not fail earlier, for want of a key."""
    return replace(case.messages(1)[0], key="sandboxappkey0000000000-00000000-0000-0000-0000-000000000000")


def test_full_batch_reaches_everybody_once(case: Case, sandbox: Sandbox) -> None:
    count = max(capabilities(case.channel, case.provider).batch_size, 100)
    outcomes = case.deliver(sandbox, count)
    assert errors(outcomes) == {None}
    assert [outcome.delivery_id for outcome in outcomes] == [message.delivery_id for message in case.messages(count)]
    assert all(outcome.provider_message_id for outcome in outcomes)
    assert len(set(sandbox.recipients(case))) == len(sandbox.recipients(case)) == count


def test_only_the_bad_recipients_of_many_are_refused(case: Case, sandbox: Sandbox) -> None:
    sandbox.fault(case, match="[37]$|[37]@", **case.bad_recipient.fault)
    outcomes = case.deliver(sandbox, 40)
    refused = [n for n, outcome in enumerate(outcomes) if outcome.error]
    assert refused == [n for n in range(40) if n % 10 in {3, 7}]
    assert {outcomes[n].error for n in refused} == {ErrorClass.BAD_RECIPIENT}
    assert {outcomes[n].code for n in refused} == {case.bad_recipient.code}
    assert sandbox.summary(case)["accepted"] == 32
    assert len(set(sandbox.recipients(case))) == 32


@pytest.mark.parametrize(
    ("case", "refused"),
    [
        pytest.param(case, refused, id=f"{case.provider}: {refused.code} is {refused.error}")
        for case in CASES
        for refused in (case.bad_recipient, *case.refusals)
    ],
)
def test_term_of_the_provider_is_the_class(case: Case, refused: Refused, sandbox: Sandbox) -> None:
    sandbox.fault(case, **refused.fault)
    (outcome,) = case.deliver(sandbox, 1)
    assert (outcome.error, outcome.code) == (refused.error, refused.code)
    assert sandbox.summary(case)["accepted"] == 0


def test_throttle_with_a_wait_names_it(case: Case, sandbox: Sandbox) -> None:
    sandbox.fault(case, kind="throttle", retry_after=7)
    (outcome,) = case.deliver(sandbox, 1)
    assert (outcome.error, outcome.code) == (ErrorClass.THROTTLED, case.throttle_code)
    assert outcome.retry_after == timedelta(seconds=7)


def test_throttle_without_a_wait_leaves_it_to_the_engine(case: Case, sandbox: Sandbox) -> None:
    sandbox.fault(case, kind="throttle")
    (outcome,) = case.deliver(sandbox, 1)
    assert (outcome.error, outcome.code) == (ErrorClass.THROTTLED, case.throttle_code)
    assert outcome.retry_after == (None if case.default_wait is None else timedelta(seconds=case.default_wait))


def test_wrong_secret_is_the_account_s_fault(case: Case, sandbox: Sandbox) -> None:
    async def send() -> Outcome:
        transport = HttpTransport()
        provider = case.build(sandbox, transport, settings={}, secrets=case.wrong_secret)
        (outcome,) = await provider.send([with_any_key(case)])
        await provider.close()
        await transport.close()
        return outcome

    outcome = asyncio.run(send())
    assert (outcome.error, outcome.code) == (ErrorClass.CONFIG, case.wrong_secret_code)
    assert not any(str(secret) in outcome.detail for secret in case.wrong_secret.values())


def test_call_that_hangs_has_an_unknown_outcome(case: Case, sandbox: Sandbox) -> None:
    sandbox.fault(case, kind="hang")
    outcomes = case.deliver(sandbox, 3, timeout=SHORT)
    assert errors(outcomes) == {ErrorClass.UNKNOWN_OUTCOME}


def test_answer_lost_after_acceptance_has_an_unknown_outcome(case: Case, sandbox: Sandbox) -> None:
    sandbox.fault(case, kind="cut_after_accept")
    outcomes = case.deliver(sandbox, 3)
    assert errors(outcomes) == {ErrorClass.UNKNOWN_OUTCOME}
    # Nothing below the engine tries again: the provider has each of them once.
    assert sandbox.recipients(case) == sorted({record["recipient"] for record in sandbox.records(case)})
    assert sandbox.summary(case)["accepted"] == 3


def test_late_answer_within_the_timeout_is_an_answer(case: Case, sandbox: Sandbox) -> None:
    sandbox.fault(case, kind="delay", delay=0.2)
    assert errors(case.deliver(sandbox, 2)) == {None}


def test_refused_connection_means_nothing_was_sent(case: Case) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        nowhere = Sandbox(http=f"http://127.0.0.1:{port}", smtp_host="127.0.0.1", smtp_port=port)

        async def send() -> Outcome:
            transport = HttpTransport()
            provider = case.build(nowhere, transport, settings={})
            (outcome,) = await provider.send([with_any_key(case)])
            await provider.close()
            await transport.close()
            return outcome

        outcome = asyncio.run(send())
    assert outcome.error is ErrorClass.DOWN
    assert outcome.retry_after is None


def test_secrets_never_appear_in_what_is_told(case: Case, sandbox: Sandbox) -> None:
    for kind in ("status", "hang"):
        sandbox.reset()
        sandbox.fault(case, kind=kind, **({"status": 500} if kind == "status" else {}))
        (outcome,) = case.deliver(sandbox, 1, timeout=SHORT)
        told = f"{outcome!r}"
        assert not any(str(secret) in told for secret in case.secrets.values())
        assert "access_token" not in told
