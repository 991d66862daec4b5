import json
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from channels.app import app_of
from channels.errors import AccountSettingsInvalid, ProviderUnknown
from channels.message import Capabilities, Provider
from channels.registry import PROVIDERS, build_provider, capabilities
from channels.states import Channel
from channels.transport import HttpTransport

MATRIX = Path(__file__).parents[2] / "docs" / "providers.md"
PEM = rsa.generate_private_key(public_exponent=65_537, key_size=2048).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)
SERVICE_ACCOUNT: Mapping[str, object] = {
    "project_id": "shop",
    "client_email": "sender@shop.iam.gserviceaccount.com",
    "private_key": PEM.decode(),
    "token_uri": "https://oauth2.googleapis.com/token",
    "client_x509_cert_url": "s3cret-value",
}
GOOD: Mapping[tuple[Channel, str], tuple[dict[str, object], dict[str, object]]] = {
    (Channel.SMS, "aliyun"): (
        {"access_key_id": "ak", "sign_name": "Shop", "template_code": "SMS_1"},
        {"access_key_secret": "s3cret-value"},
    ),
    (Channel.SMS, "twilio"): (
        {"account_sid": "AC" + "0" * 32, "messaging_service_sid": "MG" + "0" * 32},
        {"auth_token": "s3cret-value"},
    ),
    (Channel.EMAIL, "smtp"): (
        {"host": "mail.example", "sender": "news@shop.example", "username": "news"},
        {"password": "s3cret-value"},
    ),
    (Channel.PUSH, "jpush"): ({"app_key": "key"}, {"master_secret": "s3cret-value"}),
    (Channel.PUSH, "fcm"): ({}, {"service_account": json.dumps(SERVICE_ACCOUNT)}),
    (Channel.MINI_PROGRAM, "wechat"): ({"app_id": "wx1"}, {"app_secret": "s3cret-value"}),
}
every_provider = pytest.mark.parametrize(("channel", "provider"), list(PROVIDERS))


def build(channel: Channel, provider: str, settings: Mapping[str, object], secrets: Mapping[str, object]) -> Provider:
    return build_provider(
        account="main",
        channel=channel,
        provider=provider,
        settings=settings,
        secrets=secrets,
        transport=HttpTransport(),
    )


@every_provider
def test_provider_is_built_from_its_settings(channel: Channel, provider: str) -> None:
    settings, secrets = GOOD[channel, provider]
    assert build(channel, provider, settings, secrets)
    assert capabilities(channel, provider).channel is channel


def test_addresses_of_push_and_mini_programs_belong_to_the_app_of_the_account() -> None:
    """A number or a mailbox is reached by every account of its channel."""
    apps = {key[1]: app_of(build(*key, settings, secrets)) for key, (settings, secrets) in GOOD.items()}
    assert apps == {"aliyun": None, "twilio": None, "smtp": None, "jpush": "key", "fcm": "shop", "wechat": "wx1"}
    _, secrets = GOOD[Channel.PUSH, "fcm"]
    assert app_of(build(Channel.PUSH, "fcm", {"project_id": "other"}, secrets)) == "other"


@every_provider
def test_everything_that_is_wrong_is_told_at_once(channel: Channel, provider: str) -> None:
    settings, secrets = GOOD[channel, provider]
    (secret,) = secrets
    wrong = {**settings, "timeout": -1, "tiemout": 3, secret: "s3cret-value"}
    with pytest.raises(AccountSettingsInvalid) as error:
        build(channel, provider, wrong, {})
    told = "\n".join(error.value.problems)
    assert "timeout: Input should be greater than 0" in told
    assert "tiemout: is unknown; did you mean timeout?" in told
    assert f"{secret}: is a secret, give it among the secrets" in told


@every_provider
def test_missing_settings_are_named_with_their_place(channel: Channel, provider: str) -> None:
    with pytest.raises(AccountSettingsInvalid) as error:
        build(channel, provider, {}, {})
    required = [name for name in GOOD[channel, provider][0] if name not in {"username", "messaging_service_sid"}]
    for name in required:
        assert f"{name}: is missing among the settings" in error.value.problems


@every_provider
def test_value_of_a_secret_is_never_told(channel: Channel, provider: str) -> None:
    settings, secrets = GOOD[channel, provider]
    (secret,) = secrets
    with pytest.raises(AccountSettingsInvalid) as error:
        build(channel, provider, {"timeout": "x"}, {secret: ["s3cret-value"], "other": "s3cret-value"})
    assert "s3cret-value" not in str(error.value)
    shown = repr(build(channel, provider, settings, secrets).__dict__)
    assert "s3cret-value" not in shown
    assert PEM.decode().splitlines()[1] not in shown


@pytest.mark.parametrize(
    "address",
    ["ftp://host", "host", "https://user:s3cret-value@host", "https://host/path", "https://host?x=1", "https://"],
)
def test_base_url_must_be_an_origin(address: str) -> None:
    settings, secrets = GOOD[Channel.SMS, "aliyun"]
    with pytest.raises(AccountSettingsInvalid) as error:
        build(Channel.SMS, "aliyun", {**settings, "base_url": address}, secrets)
    assert error.value.problems[0].startswith("base_url: must be")
    assert "s3cret-value" not in str(error.value)


def test_smtp_login_is_given_whole_or_not_at_all() -> None:
    settings, _ = GOOD[Channel.EMAIL, "smtp"]
    with pytest.raises(AccountSettingsInvalid, match="username and password"):
        build(Channel.EMAIL, "smtp", settings, {})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"messaging_service_sid": None}, "either sender or messaging_service_sid is needed"),
        ({"sender": "+14155550100"}, "either sender or messaging_service_sid is needed"),
        ({"account_sid": "SK1"}, "account_sid: String should match"),
        ({"api_key": "SK1"}, "api_key and api_key_secret are given together"),
        ({"validity_seconds": 36_001}, "validity_seconds: Input should be less"),
        ({"status_callback": "https://host/twilio?key=s3cret-value"}, "status_callback: must hold neither a query"),
        ({"status_callback": "https://me:s3cret-value@host/twilio"}, "status_callback: must hold neither a query"),
        ({"status_callback": "/twilio"}, "status_callback: must be an address"),
    ],
)
def test_what_twilio_cannot_use_is_told(change: Mapping[str, object], problem: str) -> None:
    settings, secrets = GOOD[Channel.SMS, "twilio"]
    with pytest.raises(AccountSettingsInvalid, match=problem) as error:
        build(Channel.SMS, "twilio", {**settings, **change}, secrets)
    assert "s3cret-value" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("/etc/account.json", "is not JSON: give the whole file"),
        ("[]", "is not JSON"),
        (json.dumps({**SERVICE_ACCOUNT, "project_id": "", "client_email": 1}), "project_id, client_email missing"),
        (json.dumps({**SERVICE_ACCOUNT, "token_uri": "file:///token"}), "token_uri is no address"),
        (json.dumps({**SERVICE_ACCOUNT, "private_key": "s3cret-value"}), "its private_key is no PEM key"),
    ],
)
def test_service_account_that_cannot_be_read_is_told_without_its_text(text: str, problem: str) -> None:
    with pytest.raises(AccountSettingsInvalid, match=problem) as error:
        build(Channel.PUSH, "fcm", {}, {"service_account": text})
    assert "s3cret-value" not in str(error.value)


def test_unknown_provider_is_named_with_the_known_ones() -> None:
    with pytest.raises(ProviderUnknown, match="known: aliyun, twilio"):
        capabilities(Channel.SMS, "tencent")


def test_published_matrix_is_what_the_code_can_do() -> None:
    """docs/providers.md tells the same as the capabilities of each module."""
    rows = [[cell.strip() for cell in line.strip("| \n").split("|")] for line in table(MATRIX.read_text())]
    published = {(row[0], row[1]): row[2:] for row in rows}
    assert published == {(str(c), p): cells(module.CAPABILITIES) for (c, p), module in PROVIDERS.items()}


def table(text: str) -> list[str]:
    """The rows of the table under the mark, without its head."""
    lines = text.partition("<!-- capabilities -->")[2].strip().splitlines()
    return list(takewhile(lambda line: line.startswith("|"), lines))[2:]


def cells(can: Capabilities) -> list[str]:
    flags = (can.idempotent_replay, can.status_query, can.receipts, can.personal_content)
    return [f"{can.batch_size:,}", *("yes" if flag else "no" for flag in flags)]
