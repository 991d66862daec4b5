"""What every provider has to do alike, over real HTTP and SMTP."""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from channels.email import replies, smtp
from channels.engine import refused_as_a_whole
from channels.errors import AnswerLost, QueryRefused
from channels.message import Fate, Found, Inquirer, Inquiry, Message, Outcome, Provider
from channels.registry import PROVIDERS, capabilities
from channels.states import ErrorClass
from channels.transport import HttpTransport
from tests.conformance.provider_case import CASES, Case, Refused, Sandbox, deliver, with_keys

SHORT = 1.5  # seconds that a call may take where a test waits for that; enough for the call before it, for a token


INQUIRING = [case for case in CASES if capabilities(case.channel, case.provider).status_query]
TOKENED = [case for case in CASES if case.preparing_calls and ErrorClass.TOKEN in {one.error for one in case.refusals}]
REPLAYING = [case for case in CASES if capabilities(case.channel, case.provider).idempotent_replay]


def errors(outcomes: list[Outcome]) -> set[ErrorClass | None]:
    return {outcome.error for outcome in outcomes}


def with_any_key(case: Case) -> Message:
    """For calls that are not to get through anyway, and that must not fail earlier, for want of a key."""
    return replace(case.messages(1)[0], key="sandboxappkey0000000000-00000000-0000-0000-0000-000000000000")


def test_every_provider_runs_through_all_of_this() -> None:
    assert {(case.channel, case.provider) for case in CASES} == set(PROVIDERS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.provider)
def test_every_class_in_the_terms_of_the_provider_is_provoked_over_the_wire(case: Case) -> None:
    module = PROVIDERS[case.channel, case.provider]
    terms = vars(replies if module is smtp else module)["TERMS"]
    provoked = {refused.error for refused in (case.bad_recipient, *case.refusals)} | {ErrorClass.THROTTLED}
    assert set(terms.values()) <= provoked


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
    wrong = case.wrong_secret(sandbox)

    async def send() -> Outcome:
        transport = HttpTransport()
        provider = case.build(sandbox, transport, settings={}, secrets=wrong)
        (outcome,) = await provider.send([with_any_key(case)])
        await provider.close()
        await transport.close()
        return outcome

    outcome = asyncio.run(send())
    assert (outcome.error, outcome.code) == (ErrorClass.CONFIG, case.wrong_secret_code)
    assert not any(str(secret) in outcome.detail for secret in wrong.values())


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


def test_refused_connection_means_nothing_was_sent(case: Case, sandbox: Sandbox) -> None:
    secrets = case.secrets(sandbox)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        nowhere = Sandbox(http=f"http://127.0.0.1:{port}", smtp_host="127.0.0.1", smtp_port=port)

        async def send() -> Outcome:
            transport = HttpTransport()
            provider = case.build(nowhere, transport, settings={}, secrets=secrets)
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
        assert not any(str(secret) in told for secret in case.secrets(sandbox).values())
        assert not any(word in told for word in ("access_token", "Bearer", "Basic ", "assertion"))


def test_many_workers_prepare_once_and_once_more_when_what_they_had_has_ended(case: Case, sandbox: Sandbox) -> None:
    """A token or keys: fetched once however many calls wait for it, and once when all of them find it expired."""

    async def send(provider: Provider) -> list[Outcome]:
        first = await deliver(provider, case.messages(50))
        sandbox.expire_tokens()
        return [*first, *await deliver(provider, case.messages(250)[50:])]

    before = sandbox.summary(case)["token_calls"]
    assert errors(case.run(sandbox, send)) == {None}
    assert sandbox.summary(case)["token_calls"] - before == 2 * case.preparing_calls
    assert sandbox.summary(case)["accepted"] == sandbox.summary(case)["recipients"] == 250


@pytest.mark.parametrize("case", TOKENED, ids=lambda case: case.provider)
def test_token_that_stays_refused_is_fetched_once_more_and_told_in_the_providers_words(
    case: Case, sandbox: Sandbox
) -> None:
    (refused,) = (one for one in case.refusals if one.error is ErrorClass.TOKEN)
    sandbox.fault(case, **refused.fault, message="invalid credential, access_token is invalid")
    before = sandbox.summary(case)["token_calls"]
    outcomes = case.deliver(sandbox, 50)
    assert errors(outcomes) == {ErrorClass.TOKEN}
    assert all("invalid credential" in outcome.detail for outcome in outcomes)
    assert sandbox.summary(case)["token_calls"] - before == 2
    assert sandbox.summary(case)["calls"] == 2 * 50  # each message once more with the fresh token, and no more
    # So the sender leaves the account alone, with these words as the reason.
    assert refused_as_a_whole(outcomes[:1]) == outcomes[0]


@pytest.mark.parametrize("case", REPLAYING, ids=lambda case: case.provider)
def test_lost_answer_is_settled_by_the_same_keys(case: Case, sandbox: Sandbox) -> None:
    sandbox.fault(case, kind="cut_after_accept", count=1)

    async def send(provider: Provider) -> list[Sequence[Outcome]]:
        keyed = await with_keys(provider, case.messages(20))
        return [await provider.send(keyed), await provider.send(keyed)]

    lost, settled = case.run(sandbox, send)
    assert (errors(lost), errors(settled)) == ({ErrorClass.UNKNOWN_OUTCOME}, {None})
    assert sandbox.summary(case)["max_per_recipient"] == 1


def ask(case: Case, sandbox: Sandbox, numbers: Sequence[int], began_at: datetime) -> list[Found]:
    asked = [case.messages(number + 1)[-1] for number in numbers]
    questions = [Inquiry(delivery_id=m.delivery_id, address=m.address, began_at=began_at) for m in asked]

    async def inquire(provider: Provider) -> list[Found]:
        inquirer: Inquirer = provider  # type: ignore[assignment]
        return list(await inquirer.inquire(questions))

    found: list[Found] = case.run(sandbox, inquire)
    return found


@pytest.mark.parametrize("case", INQUIRING, ids=lambda case: case.provider)
def test_provider_tells_what_became_of_lost_answers(case: Case, sandbox: Sandbox) -> None:
    sandbox.fault(case, kind="cut_after_accept")
    began_at = datetime.now(UTC)
    outcomes = case.deliver(sandbox, 3)
    assert errors(outcomes) == {ErrorClass.UNKNOWN_OUTCOME}
    found = ask(case, sandbox, [0, 1, 2, 3], began_at)
    assert [answer.fate for answer in found] == [Fate.DELIVERED] * 3 + [None]
    assert [answer.delivery_id for answer in found] == [message.delivery_id for message in case.messages(4)]
    ids, told = {r["message_id"] for r in sandbox.records(case)}, {f.provider_message_id for f in found[:3]}
    references = {reference for answer in found for reference in answer.references}
    assert told == ids or references == {str(message.delivery_id) for message in case.messages(1)}


@pytest.mark.parametrize("case", INQUIRING, ids=lambda case: case.provider)
@pytest.mark.parametrize(
    ("fault", "fate"), [("recipient_error", Fate.FAILED), ("no_receipt", Fate.SENT), (None, Fate.DELIVERED)]
)
def test_fate_is_told_in_our_words(case: Case, fault: str | None, fate: Fate, sandbox: Sandbox) -> None:
    began_at = datetime.now(UTC)
    case.deliver(sandbox, 1)
    if fault is not None:
        sandbox.fault(case, kind=fault, endpoint="query")
    (found,) = ask(case, sandbox, [0], began_at)
    assert found.fate is fate


@pytest.mark.parametrize("case", INQUIRING, ids=lambda case: case.provider)
def test_what_was_sent_long_before_is_no_answer(case: Case, sandbox: Sandbox) -> None:
    case.deliver(sandbox, 1)
    (found,) = ask(case, sandbox, [0], datetime.now(UTC) + timedelta(minutes=6))
    assert found.fate is None


@pytest.mark.parametrize("case", INQUIRING, ids=lambda case: case.provider)
def test_refused_question_stays_open(case: Case, sandbox: Sandbox) -> None:
    sandbox.fault(case, kind="throttle", endpoint="query", retry_after=5)
    with pytest.raises(QueryRefused) as refused:
        ask(case, sandbox, [0], datetime.now(UTC))
    assert (refused.value.error, refused.value.retry_after) == (ErrorClass.THROTTLED, timedelta(seconds=5))


@pytest.mark.parametrize("case", INQUIRING, ids=lambda case: case.provider)
def test_question_without_an_answer_stays_open(case: Case, sandbox: Sandbox) -> None:
    sandbox.fault(case, kind="cut_after_accept", endpoint="query")
    with pytest.raises(AnswerLost):
        ask(case, sandbox, [0], datetime.now(UTC))
