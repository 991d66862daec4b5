"""The stand-in for FCM and for Google's token endpoint, called as their documentation says; httpx speaks HTTP/2."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sandbox.process import Running, start, started, stop

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GOOGLE = "https://oauth2.googleapis.com/token"
MESSAGE: dict[str, Any] = {"token": "device-token-1", "notification": {"title": "t", "body": "b"}}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(folder=tmp_path_factory.mktemp("fcm")) as found:
        yield found


@pytest.fixture
def sandbox(running: Running) -> Running:
    for path in ("/_faults", "/_log"):
        requests.delete(running.http + path, timeout=10)
    return running


def service_account(sandbox: Running) -> dict[str, str]:
    found: dict[str, str] = requests.get(f"{sandbox.http}/_service_account", timeout=10).json()
    return found


def packed(part: object) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def assertion(account: dict[str, str], header: dict[str, object] | None = None, **claims: object) -> str:
    now = int(time.time())
    full = {
        "iss": account["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
        **claims,
    }
    head = {"alg": "RS256", "typ": "JWT", "kid": account["private_key_id"], **(header or {})}
    signed = f"{packed(head)}.{packed(full)}"
    key = load_pem_private_key(account["private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return f"{signed}.{packed(key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def trade(sandbox: Running, signed: str, grant: str = GRANT) -> tuple[int, dict[str, Any]]:
    form = {"grant_type": grant, "assertion": signed}
    answer = requests.post(f"{sandbox.http}/token", data=form, timeout=10)
    return answer.status_code, answer.json()


def token(sandbox: Running) -> str:
    found: str = trade(sandbox, assertion(service_account(sandbox)))[1]["access_token"]
    return found


def send(
    sandbox: Running, message: object, bearer: str | None = None, project: str = "sandbox-project"
) -> tuple[int, dict[str, Any]]:
    url = f"{sandbox.http}/v1/projects/{project}/messages:send"
    headers = {"Authorization": f"Bearer {bearer or token(sandbox)}"}
    answer = requests.post(url, json={"message": message}, headers=headers, timeout=10)
    return answer.status_code, answer.json()


def test_assertion_brings_a_token_and_the_token_lets_a_message_through(sandbox: Running) -> None:
    status, granted = trade(sandbox, assertion(service_account(sandbox)))
    assert (status, granted["token_type"], granted["expires_in"]) == (200, "Bearer", 3599)
    status, sent = send(sandbox, MESSAGE, granted["access_token"])
    assert status == 200
    assert sent["name"].startswith("projects/sandbox-project/messages/")


def test_audience_of_google_s_own_library_counts(sandbox: Running) -> None:
    assert trade(sandbox, assertion(service_account(sandbox), aud=GOOGLE))[0] == 200


@pytest.mark.parametrize(
    ("header", "claims", "code"),
    [
        ({"alg": "none"}, {}, "invalid_grant"),
        ({"alg": "HS256"}, {}, "invalid_grant"),
        ({"kid": "another"}, {}, "invalid_grant"),
        ({}, {"iss": "another@project"}, "invalid_grant"),
        ({}, {"aud": "https://elsewhere.example/token"}, "invalid_grant"),
        ({}, {"scope": "https://www.googleapis.com/auth/drive"}, "invalid_scope"),
        ({}, {"exp": int(time.time()) + 7200}, "invalid_grant"),
        ({}, {"iat": int(time.time()) - 7200, "exp": int(time.time()) - 3600}, "invalid_grant"),
        ({}, {"iat": "now"}, "invalid_grant"),
    ],
)
def test_wrong_assertion_brings_no_token(
    header: dict[str, object], claims: dict[str, object], code: str, sandbox: Running
) -> None:
    status, answer = trade(sandbox, assertion(service_account(sandbox), header, **claims))
    assert (status, answer["error"]) == (400, code)


@pytest.mark.parametrize("signed", ["", "a.b.c", "a", "..", "é.é.é"])
def test_what_is_no_assertion_brings_no_token(signed: str, sandbox: Running) -> None:
    assert trade(sandbox, signed)[0] == 400


def test_changed_claims_do_not_fit_the_signature(sandbox: Running) -> None:
    head, _, signature = assertion(service_account(sandbox)).split(".")
    other = assertion(service_account(sandbox), sub="somebody").split(".")[1]
    assert trade(sandbox, f"{head}.{other}.{signature}")[1]["error_description"] == "Invalid JWT Signature."
    assert trade(sandbox, "", grant="password")[1]["error"] == "unsupported_grant_type"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({**MESSAGE, "token": "no token"}, "message.token"),
        ({"fid": "!", "notification": {"body": "b"}}, "message.fid"),
        ({**MESSAGE, "fid": "cInstallation"}, "message"),
        ({"notification": {"body": "b"}}, "message"),
        ({"topic": "news", "notification": {"body": "b"}}, "message.topic"),
        ({"token": "device-token-1"}, "message"),
        ({**MESSAGE, "data": {"n": 1}}, "message.data"),
        ({**MESSAGE, "data": {"from": "me"}}, "message.data"),
        ({**MESSAGE, "data": {"n": "x" * 4096}}, "message.data"),
        ({**MESSAGE, "android": {"ttl": "1h"}}, "message.android.ttl"),
        ({**MESSAGE, "apns": {"headers": {"apns-collapse-id": "x" * 65}}}, "message.apns.headers"),
        ({**MESSAGE, "registration_ids": ["a"]}, "message.registration_ids"),
        (None, "message"),
    ],
)
def test_malformed_message_is_an_invalid_argument_that_names_the_field(
    message: object, field: str, sandbox: Running
) -> None:
    status, answer = send(sandbox, message)
    assert (status, answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert answer["error"]["details"][-1]["fieldViolations"][0]["field"] == field


def test_who_may_not_come_in_is_told_so(sandbox: Running) -> None:
    assert send(sandbox, MESSAGE, "ya29.never-given")[0] == 401
    assert send(sandbox, MESSAGE, project="another")[0] == 403
    ended = token(sandbox)
    requests.delete(f"{sandbox.http}/_tokens", timeout=10)
    assert send(sandbox, MESSAGE, ended)[0] == 401


@pytest.mark.parametrize("is_cleared", [False, True])
def test_key_and_tokens_survive_a_restart_with_a_journal(tmp_path: Path, is_cleared: bool) -> None:  # noqa: FBT001 - a column
    journal = tmp_path / "journal"
    first = start(folder=tmp_path, journal=journal)
    key, bearer = service_account(first)["private_key"], token(first)
    if is_cleared:
        requests.delete(f"{first.http}/_log", timeout=10)
    stop(first)
    with started(folder=tmp_path, journal=journal) as second:
        assert service_account(second)["private_key"] == key
        assert send(second, MESSAGE, bearer)[0] == 200


def test_another_client_of_http2_gets_the_same_answers(sandbox: Running) -> None:
    headers = {"Authorization": f"Bearer {token(sandbox)}"}
    with httpx.Client(http1=False, http2=True, trust_env=False) as client:
        answers = [
            client.post(
                f"{sandbox.http}/v1/projects/sandbox-project/messages:send",
                headers=headers,
                json={"message": {**MESSAGE, "token": f"device-token-{n}"}},
            )
            for n in range(3)
        ]
        log = client.get(f"{sandbox.http}/_log?channel=push")
        assert client.get(f"{sandbox.http}/nowhere").status_code == 404
    assert [(answer.status_code, answer.http_version) for answer in answers] == [(200, "HTTP/2")] * 3
    assert log.json()["channels"]["push"]["accepted"] == 3


@pytest.mark.parametrize("code", ["unregistered", "1011", "UN REGISTERED"])
def test_code_of_a_fault_is_one_of_fcm_s(code: str, sandbox: Running) -> None:
    fault = {"channel": "push", "provider": "fcm", "kind": "recipient_error", "code": code}
    answer = requests.post(f"{sandbox.http}/_faults", json=fault, timeout=10)
    assert (answer.status_code, answer.json()["field"]) == (400, "code")
