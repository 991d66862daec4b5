"""The provider clients under test, pointed at the sink; the same for the senders and for Prefect's tasks."""

from collections.abc import Mapping
from typing import Any

from channels.message import Content, MiniProgramContent, Provider, PushContent
from channels.registry import build_provider
from channels.states import Channel
from channels.transport import Transport

_PROVIDERS = {Channel.PUSH: "jpush", Channel.MINI_PROGRAM: "wechat"}
_SETTINGS = {Channel.PUSH: {"app_key": "benchmark"}, Channel.MINI_PROGRAM: {"app_id": "benchmark"}}
_SECRETS = {Channel.PUSH: {"master_secret": "benchmark"}, Channel.MINI_PROGRAM: {"app_secret": "benchmark"}}


def provider_for(channel: Channel, sink: str, transport: Transport) -> Provider:
    return build_provider(
        account="benchmark",
        channel=channel,
        provider=_PROVIDERS[channel],
        settings={**_SETTINGS[channel], "base_url": sink},
        secrets=_SECRETS[channel],
        transport=transport,
    )


def content_for(channel: Channel, recipient: Mapping[str, Any]) -> Content:
    name = recipient["customer"]["name"]
    if channel is Channel.PUSH:
        return PushContent(title="Women's Day", body=f"{name}, 20 off from 100 until Monday")
    return MiniProgramContent(template="TPL_COUPON_ARRIVED", data={"thing1": "20 off from 100", "thing2": name})
