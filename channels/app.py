"""Whose addresses an account can write to: a push token or an openid belongs to the app that it was made for."""

from typing import Protocol, runtime_checkable

from channels.message import Provider


@runtime_checkable
class OfApp(Protocol):
    """A provider account whose addresses mean nothing to any other app."""

    app: str  # as the provider names it


def app_of(provider: Provider) -> str | None:
    """None: an address is a number or a mailbox, which every account of the channel reaches."""
    return provider.app if isinstance(provider, OfApp) else None
