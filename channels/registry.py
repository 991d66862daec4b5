"""Which provider serves which channel: one line each."""

from collections.abc import Mapping
from typing import Protocol

from channels.email import smtp
from channels.errors import ProviderUnknown
from channels.message import Capabilities, Provider
from channels.mini_program import wechat
from channels.push import fcm, jpush
from channels.sms import aliyun, twilio
from channels.states import Channel
from channels.transport import Transport


class ProviderModule(Protocol):
    """What a module of a provider has to offer."""

    @property
    def CAPABILITIES(self) -> Capabilities: ...  # noqa: N802 - a module's constant

    def from_settings(
        self, *, account: str, settings: Mapping[str, object], secrets: Mapping[str, object], transport: Transport
    ) -> Provider:
        """Raise AccountSettingsInvalid with everything that is wrong with the settings; connect nowhere yet."""
        ...


PROVIDERS: Mapping[tuple[Channel, str], ProviderModule] = {
    (Channel.SMS, "aliyun"): aliyun,
    (Channel.SMS, "twilio"): twilio,
    (Channel.EMAIL, "smtp"): smtp,
    (Channel.PUSH, "jpush"): jpush,
    (Channel.PUSH, "fcm"): fcm,
    (Channel.MINI_PROGRAM, "wechat"): wechat,
}


def build_provider(
    *,
    account: str,
    channel: Channel,
    provider: str,
    settings: Mapping[str, object],
    secrets: Mapping[str, object],
    transport: Transport,
) -> Provider:
    """The provider account, ready to send; `transport` is shared and stays open when the provider is closed.

    Raises:
        ProviderUnknown: no such provider serves this channel.
        AccountSettingsInvalid: the settings or secrets do not fit it.
    """
    module = _module(channel, provider)
    return module.from_settings(account=account, settings=settings, secrets=secrets, transport=transport)


def capabilities(channel: Channel, provider: str) -> Capabilities:
    return _module(channel, provider).CAPABILITIES


def _module(channel: Channel, provider: str) -> ProviderModule:
    try:
        return PROVIDERS[channel, provider]
    except KeyError:
        known = [name for served, name in PROVIDERS if served == channel]
        raise ProviderUnknown(channel=channel, provider=provider, known=known) from None
