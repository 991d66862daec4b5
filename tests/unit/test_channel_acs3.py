"""Golden vectors of Aliyun's own documentation of the signature, each recomputed independently."""

import hashlib
from datetime import UTC, datetime

import pytest

from channels.sms import acs3

QUERY = {"ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd", "RegionId": "cn-shanghai"}
EMPTY = hashlib.sha256(b"").hexdigest()


def signature(*, at: datetime, nonce: str) -> str:
    headers = acs3.signed_headers(
        access_key_id="YourAccessKeyId",
        access_key_secret="YourAccessKeySecret",
        host="ecs.cn-shanghai.aliyuncs.com",
        action="RunInstances",
        version="2014-05-26",
        query=acs3.canonical_query(QUERY),
        body=b"",
        at=at,
        nonce=nonce,
    )
    return headers["authorization"]


@pytest.mark.parametrize(
    ("at", "nonce", "expected"),
    [
        (
            datetime(2023, 10, 26, 10, 22, 32, tzinfo=UTC),
            "3156853299f313e23d1673dc12e1703d",
            "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
        ),
        (
            datetime(2023, 10, 26, 9, 1, 1, tzinfo=UTC),
            "d410180a5abf7fe235dd9b74aca91fc0",
            "e521358f7776c97df52e6b2891a8bc73026794a071b50c3323388c4e0df64804",
        ),
    ],
)
def test_signature_is_the_documented_one(at: datetime, nonce: str, expected: str) -> None:
    signed = "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
    credential = f"Credential=YourAccessKeyId,SignedHeaders={signed},Signature={expected}"
    assert signature(at=at, nonce=nonce) == f"ACS3-HMAC-SHA256 {credential}"


def test_canonical_request_is_the_documented_one() -> None:
    request = acs3.canonical_request(
        query=acs3.canonical_query(QUERY),
        headers={
            "host": "ecs.cn-shanghai.aliyuncs.com",
            "x-acs-action": "RunInstances",
            "x-acs-content-sha256": EMPTY,
            "x-acs-date": "2023-10-26T10:22:32Z",
            "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
            "x-acs-version": "2014-05-26",
        },
        body_hash=EMPTY,
    )
    digest = hashlib.sha256(request.encode()).hexdigest()
    assert digest == "7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259"


def test_query_is_sorted_and_encoded_as_rfc_3986_says() -> None:
    assert acs3.canonical_query({"b": "a b*~", "a": "女:/"}) == "a=%E5%A5%B3%3A%2F&b=a%20b%2A~"
