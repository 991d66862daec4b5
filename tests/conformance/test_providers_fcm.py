"""What only FCM does: a token from a signed assertion, tokens and installation ids, calls that share a connection."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from channels.message import Outcome, Provider, PushContent
from channels.states import ErrorClass
from tests.conformance.provider_case import FCM, Sandbox, deliver


def token_calls(sandbox: Sandbox) -> int:
    found: int = sandbox.summary(FCM)["token_calls"]
    return found


def contents(sandbox: Sandbox) -> list[dict[str, Any]]:
    return [record["content"] for record in sandbox.records(FCM)]


def test_title_body_data_and_time_to_live_arrive(sandbox: Sandbox) -> None:
    FCM.deliver(sandbox, 1, time_to_live=3600)
    (content,) = contents(sandbox)
    assert content["notification"] == {"title": "女神节", "body": "逛吃喝，我们买单"}
    assert content["data"] == {"theme": "womens-day"}
    assert content["android"]["ttl"] == "3600s"


def test_phone_is_told_to_show_the_same_delivery_once(sandbox: Sandbox) -> None:
    (message,) = FCM.messages(1)
    FCM.deliver(sandbox, 1)
    (content,) = contents(sandbox)
    same = str(message.delivery_id)
    assert (content["android"]["notification"]["tag"], content["apns"]["headers"]["apns-collapse-id"]) == (same, same)


def test_message_that_may_not_wait_expires_at_once(sandbox: Sandbox) -> None:
    FCM.deliver(sandbox, 1, time_to_live=0)
    (content,) = contents(sandbox)
    assert (content["android"]["ttl"], content["apns"]["headers"]["apns-expiration"]) == ("0s", "0")


@pytest.mark.parametrize(
    ("address", "kind", "settings"),
    [
        ("dTo:APA91b-token_1", "token", {}),
        ("token:dTo:APA91b-token_1", "token", {"address_kind": "fid"}),
        ("fid:cInstallation_id-00000", "fid", {}),
        ("cInstallation_id-00000", "fid", {"address_kind": "fid"}),
    ],
)
def test_address_is_a_token_or_an_installation_id(
    address: str, kind: str, settings: dict[str, object], sandbox: Sandbox
) -> None:
    message = replace(FCM.messages(1)[0], address=address)

    async def send(provider: Provider) -> Sequence[Outcome]:
        return await provider.send([message])

    (outcome,) = FCM.run(sandbox, send, **settings)
    assert outcome.error is None
    (content,) = contents(sandbox)
    assert content[kind] == address.removeprefix("token:").removeprefix("fid:")


def test_malformed_address_is_a_bad_recipient_and_too_much_text_is_content(sandbox: Sandbox) -> None:
    (message,) = FCM.messages(1)
    malformed = replace(message, address="no token")
    too_long = replace(message, content=PushContent(title="t", body="x" * 4100))

    async def send(provider: Provider) -> list[Outcome]:
        return [*await provider.send([malformed]), *await provider.send([too_long])]

    bad, long = FCM.run(sandbox, send)
    assert (bad.error, bad.code, bad.about_recipient) == (ErrorClass.BAD_RECIPIENT, "INVALID_ARGUMENT", True)
    assert (long.error, long.code, long.about_recipient) == (ErrorClass.CONTENT, "INVALID_ARGUMENT", False)


def test_token_server_that_hangs_leaves_nothing_unknown(sandbox: Sandbox) -> None:
    sandbox.fault(FCM, kind="hang", endpoint="token")
    outcomes = FCM.deliver(sandbox, 5, timeout=0.4)
    assert {outcome.error for outcome in outcomes} == {ErrorClass.DOWN}
    assert sandbox.summary(FCM)["accepted"] == 0


def test_token_that_stays_refused_is_not_fetched_again_and_again(sandbox: Sandbox) -> None:
    """Google gives a new one each time, so it cannot be told by the token that fetching is of no use."""
    sandbox.fault(FCM, kind="status", status=401)

    async def send(provider: Provider) -> list[Outcome]:
        return [(await provider.send([message]))[0] for message in FCM.messages(10)]

    before = token_calls(sandbox)
    assert {outcome.error for outcome in FCM.run(sandbox, send)} == {ErrorClass.TOKEN}
    assert token_calls(sandbox) - before == 2


def test_project_that_is_not_the_account_s_own_is_a_fault_of_configuration(sandbox: Sandbox) -> None:
    (outcome,) = FCM.deliver(sandbox, 1, project_id="another-project")
    assert (outcome.error, outcome.code) == (ErrorClass.CONFIG, "PERMISSION_DENIED")


def test_token_may_come_from_elsewhere_than_the_service_account_says(sandbox: Sandbox) -> None:
    """Google's own audience is signed then, as its own library does."""
    google = "https://oauth2.googleapis.com/token"
    case = replace(FCM, secrets=lambda s: {"service_account": s.service_account(token_uri=google)})
    assert [outcome.error for outcome in case.deliver(sandbox, 1, token_url=sandbox.http)] == [None]


def test_failing_stream_is_in_doubt_and_its_neighbours_are_not(sandbox: Sandbox) -> None:
    sandbox.fault(FCM, kind="cut_after_accept", match="7$")

    async def send(provider: Provider) -> list[Outcome]:
        return await deliver(provider, FCM.messages(50))

    outcomes = FCM.run(sandbox, send)
    doubtful = [n for n, outcome in enumerate(outcomes) if outcome.error]
    assert doubtful == [7, 17, 27, 37, 47]
    assert {outcomes[n].error for n in doubtful} == {ErrorClass.UNKNOWN_OUTCOME}
    assert sandbox.summary(FCM)["accepted"] == 50
    assert sandbox.summary(FCM)["max_per_recipient"] == 1
