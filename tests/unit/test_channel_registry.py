from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

import pytest

from channels.errors import AccountSettingsInvalid, ProviderUnknown
from channels.message import Capabilities
from channels.registry import PROVIDERS, build_provider, capabilities
from channels.states import Channel
from channels.transport import HttpTransport

MATRIX = Path(__file__).parents[2] / "docs" / "providers.md"
GOOD: Mapping[tuple[Channel, str], tuple[dict[str, object], dict[str, object]]] = {
    (Channel.SMS, "aliyun"): (
        {"access_key_id": "ak", "sign_name": "Shop", "template_code": "SMS_1"},
        {"access_key_secret": "s3cret-value"},
    ),
    (Channel.EMAIL, "smtp"): (
        {"host": "mail.example", "sender": "news@shop.example", "username": "news"},
        {"password": "s3cret-value"},
    ),
    (Channel.PUSH, "jpush"): ({"app_key": "key"}, {"master_secret": "s3cret-value"}),
    (Channel.MINI_PROGRAM, "wechat"): ({"app_id": "wx1"}, {"app_secret": "s3cret-value"}),
}
every_provider = pytest.mark.parametrize(("channel", "provider"), list(PROVIDERS))


def build(channel: Channel, provider: str, settings: Mapping[str, object], secrets: Mapping[str, object]) -> object:
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
    required = [name for name in GOOD[channel, provider][0] if name != "username"]
    for name in required:
        assert f"{name}: is missing among the settings" in error.value.problems


@every_provider
def test_value_of_a_secret_is_never_told(channel: Channel, provider: str) -> None:
    settings, secrets = GOOD[channel, provider]
    (secret,) = secrets
    with pytest.raises(AccountSettingsInvalid) as error:
        build(channel, provider, {"timeout": "x"}, {secret: ["s3cret-value"], "other": "s3cret-value"})
    assert "s3cret-value" not in str(error.value)
    assert "s3cret-value" not in repr(build(channel, provider, settings, secrets).__dict__)


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


def test_unknown_provider_is_named_with_the_known_ones() -> None:
    with pytest.raises(ProviderUnknown, match="known: aliyun"):
        capabilities(Channel.SMS, "twilio")


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
