import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.aliyun_signature import (
    MAX_AGE,
    GatewayRefused,
    Nonces,
    canonical_query,
    canonical_request,
    signature_of,
    verify,
)
from sandbox.credentials import AliyunAccount
from sandbox.http_call import Arrived

# The provider's own worked example, and the same with another date and nonce.
QUERY = "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai"
HEADERS = {
    "host": "ecs.cn-shanghai.aliyuncs.com",
    "x-acs-action": "RunInstances",
    "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
    "x-acs-version": "2014-05-26",
}
FIRST = {"x-acs-date": "2023-10-26T10:22:32Z", "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d"}
SECOND = {"x-acs-date": "2023-10-26T09:01:01Z", "x-acs-signature-nonce": "d410180a5abf7fe235dd9b74aca91fc0"}
FIRST_SIGNATURE = "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
ACCOUNT = AliyunAccount(access_key_id="YourAccessKeyId", access_key_secret="YourAccessKeySecret")
NOW = datetime(2023, 10, 26, 10, 30, tzinfo=UTC)


def canonical(headers: dict[str, str]) -> str:
    digest = headers["x-acs-content-sha256"]
    return canonical_request(
        method="POST", path="/", query=QUERY, headers=headers, signed=sorted(headers), body_sha256=digest
    )


def arrived(signature: str = FIRST_SIGNATURE, **changed: str) -> Arrived:
    headers = {**HEADERS, **FIRST}
    signed = f"Credential=YourAccessKeyId,SignedHeaders={';'.join(sorted(headers))},Signature={signature}"
    headers["authorization"] = f"ACS3-HMAC-SHA256 {signed}"
    return Arrived("POST", f"/?{QUERY}", {**headers, **changed}, b"", 1)


def test_the_golden_vectors_come_out() -> None:
    text = canonical({**HEADERS, **FIRST})
    expected = "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"
    assert hashlib.sha256(text.encode()).hexdigest() == expected
    assert signature_of(text, "YourAccessKeySecret") == FIRST_SIGNATURE
    other = signature_of(canonical({**HEADERS, **SECOND}), "YourAccessKeySecret")
    assert other == "e521358f7776c97df52e6b2891a8bc73026794a071b50c3323388c4e0df64804"


def test_the_golden_call_is_accepted_once() -> None:
    nonces = Nonces()
    verify(arrived(), ACCOUNT, nonces, NOW)
    with pytest.raises(GatewayRefused, match="nonce was used") as refusal:
        verify(arrived(), ACCOUNT, nonces, NOW)
    assert refusal.value.code == "SignatureNonceUsed"


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (arrived(signature="0" * 64), "SignatureDoesNotMatch"),
        (arrived(authorization="Basic abc"), "IncompleteSignature"),
        (arrived(authorization=""), "IncompleteSignature"),
        # A header of the gateway that came along unsigned.
        (arrived(**{"x-acs-security-token": "t"}), "IncompleteSignature"),
        (arrived(**{"x-acs-action": "DeleteInstances"}), "SignatureDoesNotMatch"),
    ],
)
def test_a_call_that_differs_from_what_was_signed_is_refused(call: Arrived, code: str) -> None:
    with pytest.raises(GatewayRefused) as refusal:
        verify(call, ACCOUNT, Nonces(), NOW)
    assert refusal.value.code == code


def test_a_signed_hash_that_is_not_the_body_s_is_refused() -> None:
    headers = {**HEADERS, **FIRST, "x-acs-content-sha256": hashlib.sha256(b"another body").hexdigest()}
    text = canonical_request(
        method="POST",
        path="/",
        query=QUERY,
        headers=headers,
        signed=sorted(headers),
        body_sha256=hashlib.sha256().hexdigest(),
    )
    call = arrived(
        signature_of(text, "YourAccessKeySecret"), **{"x-acs-content-sha256": headers["x-acs-content-sha256"]}
    )
    with pytest.raises(GatewayRefused, match="not the SHA-256 of the body"):
        verify(call, ACCOUNT, Nonces(), NOW)


def test_a_missing_header_is_named() -> None:
    call = arrived()
    headers = {name: value for name, value in call.headers.items() if name != "x-acs-signature-nonce"}
    with pytest.raises(GatewayRefused, match="x-acs-signature-nonce is missing"):
        verify(Arrived("POST", call.target, headers, b"", 1), ACCOUNT, Nonces(), NOW)


def test_an_unsigned_content_type_without_a_body_is_let_through() -> None:
    verify(arrived(**{"content-type": "application/octet-stream"}), ACCOUNT, Nonces(), NOW)


def test_the_query_is_decoded_sorted_and_encoded_again() -> None:
    assert canonical_query("b=%E6%98%A5+x&a=1:2~*&c=") == "a=1%3A2~%2A&b=%E6%98%A5%20x&c="
    assert canonical_query("") == ""


def test_a_nonce_is_remembered_for_as_long_as_its_date_is_good() -> None:
    nonces = Nonces()
    assert nonces.is_fresh("a", NOW)
    assert not nonces.is_fresh("a", NOW + 2 * MAX_AGE - timedelta(seconds=1))
    assert nonces.is_fresh("b", NOW + 3 * MAX_AGE)
    assert not nonces.is_fresh("a", NOW + 3 * MAX_AGE)
    assert not nonces.is_fresh("b", NOW + 5 * MAX_AGE - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("date", "is_good"),
    [
        (NOW - MAX_AGE, True),
        (NOW + MAX_AGE, True),
        (NOW - MAX_AGE - timedelta(seconds=1), False),
        (NOW + MAX_AGE + timedelta(seconds=1), False),
    ],
)
def test_the_date_is_checked_before_the_signature(date: datetime, *, is_good: bool) -> None:
    call = arrived(**{"x-acs-date": date.strftime("%Y-%m-%dT%H:%M:%SZ")})
    with pytest.raises(GatewayRefused) as refusal:
        verify(call, ACCOUNT, Nonces(), NOW)
    assert refusal.value.code == ("SignatureDoesNotMatch" if is_good else "InvalidTimeStamp.Expired")
