"""What can go wrong on the way to a provider. The class is the fact; its docstring is the message."""

from collections.abc import Sequence


class ChannelError(Exception):
    """A channel could not do what was asked."""


class AccountSettingsInvalid(ChannelError):
    """The settings of a provider account are not usable."""

    def __init__(self, *, account: str, problems: Sequence[str]) -> None:
        self.account = account
        self.problems = tuple(problems)
        super().__init__(f"provider account {account!r}: " + "; ".join(problems))


class ProviderUnknown(ChannelError):
    """No provider of that name serves this channel."""

    def __init__(self, *, channel: str, provider: str, known: Sequence[str]) -> None:
        self.channel, self.provider, self.known = channel, provider, tuple(known)
        super().__init__(f"no provider {provider!r} for channel {channel!r}; known: {', '.join(known)}")


class NotSent(ChannelError):
    """The request never reached the provider: it is safe to try again."""


class AnswerLost(ChannelError):
    """The request may have reached the provider, but its answer did not reach us."""
