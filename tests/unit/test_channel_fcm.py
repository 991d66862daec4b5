"""Answers of FCM as they are documented, given by a transport that plays them."""

import asyncio
import base64
import json
from collections.abc import Mapping
from datetime import timedelta
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from channels.message import Message, Outcome, PushContent
from channels.push.fcm import from_settings
from channels.push.service_account import read_service_account
from channels.states import ErrorClass
from channels.transport import HttpResponse
from tests.unit.test_channel_terms import Play, encoded

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
ACCOUNT = {
    "project_id": "shop",
    "client_email": "sender@shop.iam.gserviceaccount.com",
    "private_key_id": "k1",
    "private_key": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    "token_uri": "https://oauth2.googleapis.com/token",
}
TOKEN = {"access_token": "very-secret-token", "expires_in": 3599, "token_type": "Bearer"}
SENT = {"name": "projects/shop/messages/0:1"}


class Google(Play):
    """The first answer comes from the token endpoint with 200, the others with their own status."""

    def __init__(
        self, *answers: tuple[int, object], token: object = TOKEN, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(headers=headers)
        self.token, self.replies = token, list(answers)

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,  # noqa: ARG002, ASYNC109 - the transport's signature
        http2: bool = False,
    ) -> HttpResponse:
        self.asked.append((url, body))
        self.told.append(headers)
        assert http2 == ("messages:send" in url)
        status, answer = (200, self.token) if url.endswith("/token") else self.replies.pop(0)
        return HttpResponse(status, self.headers, answer if isinstance(answer, bytes) else encoded(answer))


def send(play: Play) -> Outcome:
    provider = from_settings(
        account="main", settings={}, secrets={"service_account": json.dumps(ACCOUNT)}, transport=play
    )
    message = Message(delivery_id=UUID(int=1), address="dev:APA91", content=PushContent(title="t", body="b"))
    (outcome,) = asyncio.run(provider.send([message]))
    return outcome


def refusal(
    status: int, word: str, said: str = "m", code: str | None = None, field: str | None = None
) -> tuple[int, object]:
    details: list[object] = []
    if code is not None:
        details.append({"@type": FCM_ERROR, "errorCode": code})
    if field is not None:
        details.append({"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": said}]})
    return status, {"error": {"code": status, "message": said, "status": word, "details": details}}


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (refusal(404, "NOT_FOUND", code="UNREGISTERED"), ErrorClass.BAD_RECIPIENT, "UNREGISTERED"),
        (refusal(404, "NOT_FOUND"), ErrorClass.UNRECOGNISED, "NOT_FOUND"),  # the project, perhaps: nobody's address
        (refusal(403, "PERMISSION_DENIED", code="SENDER_ID_MISMATCH"), ErrorClass.BAD_RECIPIENT, "SENDER_ID_MISMATCH"),
        (refusal(403, "PERMISSION_DENIED"), ErrorClass.CONFIG, "PERMISSION_DENIED"),
        (
            refusal(401, "UNAUTHENTICATED", code="THIRD_PARTY_AUTH_ERROR"),
            ErrorClass.CONFIG,
            "THIRD_PARTY_AUTH_ERROR",
        ),
        (refusal(400, "INVALID_ARGUMENT", code="INVALID_ARGUMENT"), ErrorClass.BAD_RECIPIENT, "INVALID_ARGUMENT"),
        (
            refusal(400, "INVALID_ARGUMENT", code="INVALID_ARGUMENT", field="message.token"),
            ErrorClass.BAD_RECIPIENT,
            "INVALID_ARGUMENT",
        ),
        (
            refusal(400, "INVALID_ARGUMENT", code="INVALID_ARGUMENT", field="message.android"),
            ErrorClass.CONTENT,
            "INVALID_ARGUMENT",
        ),
        (refusal(400, "INVALID_ARGUMENT", field="message.data"), ErrorClass.CONTENT, "INVALID_ARGUMENT"),
        (refusal(400, "INVALID_ARGUMENT"), ErrorClass.CONTENT, "INVALID_ARGUMENT"),
        (
            refusal(400, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"),
            ErrorClass.BAD_RECIPIENT,
            "INVALID_ARGUMENT",
        ),
        (refusal(503, "UNAVAILABLE", code="UNAVAILABLE"), ErrorClass.DOWN, "UNAVAILABLE"),
        (refusal(500, "INTERNAL", code="INTERNAL"), ErrorClass.DOWN, "INTERNAL"),
        (refusal(400, "FAILED_PRECONDITION", code="NEW"), ErrorClass.UNRECOGNISED, "NEW"),
        ((502, b"<html>"), ErrorClass.UNKNOWN_OUTCOME, "HTTP 502"),
        ((200, b"<html>"), ErrorClass.UNKNOWN_OUTCOME, "HTTP 200"),
        ((200, {}), ErrorClass.UNKNOWN_OUTCOME, "HTTP 200"),
        ((400, {"error": "text"}), ErrorClass.UNRECOGNISED, "HTTP 400"),
        ((500, {"error": {"details": "text"}}), ErrorClass.DOWN, ""),
    ],
)
def test_fcm_s_own_code_counts_before_the_status(answer: tuple[int, object], error: ErrorClass, code: str) -> None:
    outcome = send(Google(answer))
    assert (outcome.error, outcome.code) == (error, code)
    assert outcome.about_recipient == (error is ErrorClass.BAD_RECIPIENT)


@pytest.mark.parametrize(("headers", "seconds"), [({}, 60), ({"Retry-After": "7"}, 7)])
@pytest.mark.parametrize("code", ["QUOTA_EXCEEDED", None])
def test_project_over_its_quota_waits_a_minute_or_as_told(
    headers: dict[str, str], seconds: int, code: str | None
) -> None:
    outcome = send(Google(refusal(429, "RESOURCE_EXHAUSTED", code=code), headers=headers))
    assert (outcome.error, outcome.retry_after) == (ErrorClass.THROTTLED, timedelta(seconds=seconds))


def test_refused_token_is_renewed_and_the_message_tried_once_more() -> None:
    play = Google(refusal(401, "UNAUTHENTICATED"), (200, SENT))
    outcome = send(play)
    assert (outcome.error, outcome.provider_message_id) == (None, "projects/shop/messages/0:1")
    assert [url.rpartition("/")[2] for url, _ in play.asked] == ["token", "messages:send", "token", "messages:send"]


def test_second_refusal_of_a_token_is_left_to_the_engine() -> None:
    outcome = send(Google(*[refusal(401, "UNAUTHENTICATED", "no: very-secret-token")] * 2))
    assert outcome.error is ErrorClass.TOKEN
    assert "very-secret-token" not in repr(outcome)


@pytest.mark.parametrize("answer", [b"<html>", [], {"access_token": "x"}, {"access_token": 1, "expires_in": 1}])
def test_token_answer_that_cannot_be_read_leaves_nothing_unknown(answer: object) -> None:
    assert send(Google(token=answer)).error is ErrorClass.DOWN


def test_assertion_is_signed_with_the_key_and_says_what_google_asks_for() -> None:
    play = Google((200, SENT))
    send(play)
    url, body = play.asked[0]
    form = parse_qs(body.decode())
    assert (url, form["grant_type"]) == (ACCOUNT["token_uri"], ["urn:ietf:params:oauth:grant-type:jwt-bearer"])
    signed, _, signature = form["assertion"][0].rpartition(".")
    KEY.public_key().verify(unpacked(signature), signed.encode(), padding.PKCS1v15(), SHA256())
    header, claims = (json.loads(unpacked(part)) for part in signed.split("."))
    assert header == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert (claims["iss"], claims["aud"]) == (ACCOUNT["client_email"], ACCOUNT["token_uri"])
    assert claims["scope"] == "https://www.googleapis.com/auth/firebase.messaging"
    assert claims["exp"] - claims["iat"] == 3600


def test_message_goes_under_the_token_alone() -> None:
    play = Google((200, SENT))
    send(play)
    url, body = play.asked[1]
    assert url == "https://fcm.googleapis.com/v1/projects/shop/messages:send"
    assert play.told[1]["Authorization"] == "Bearer very-secret-token"
    assert json.loads(body)["message"]["token"] == "dev:APA91"
    assert "very-secret-token" not in url + body.decode()


def test_service_account_never_shows_its_key() -> None:
    assert "PRIVATE" not in repr(read_service_account(json.dumps(ACCOUNT)))


def unpacked(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
