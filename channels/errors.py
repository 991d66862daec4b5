"""What can go wrong on the way to a provider. The class is the fact; its docstring is the message."""

from collections.abc import Sequence
from datetime import timedelta

from channels.states import ErrorClass


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


class KeysRefused(NotSent):
    """The provider gave no idempotency keys; nothing was sent to anybody."""

    def __init__(self, *, error: ErrorClass, code: str, detail: str, retry_after: timedelta | None = None) -> None:
        self.error, self.code, self.detail, self.retry_after = error, code, detail, retry_after
        super().__init__(f"the provider gave no idempotency keys ({error}): {code} {detail}".rstrip())


class SenderTakenForDead(ChannelError):
    """A sender gave no sign of life for longer than its lease, so that others may go on with what it held."""

    def __init__(self, *, lease: timedelta) -> None:
        self.lease = lease
        super().__init__(
            f"this sender was taken for dead: it gave no sign of life for {lease.total_seconds():g} s. What its calls "
            "came to is written down, and what had not left is left to others: start a sender anew"
        )


class AnswerLost(ChannelError):
    """The request may have reached the provider, but its answer did not reach us."""


class QueryRefused(ChannelError):
    """The provider did not answer a question; the message asked about is as unknown as before."""

    def __init__(self, *, error: ErrorClass, code: str, detail: str, retry_after: timedelta | None = None) -> None:
        self.error, self.code, self.detail, self.retry_after = error, code, detail, retry_after
        super().__init__(f"the provider did not say what became of the message ({error}): {code} {detail}".rstrip())


class ProductLineUnknown(ChannelError):
    """An account belongs to a product line."""

    def __init__(self, *, key: str, known: Sequence[str]) -> None:
        self.key, self.known = key, tuple(known)
        super().__init__(f"there is no product line {key!r} (there is: {', '.join(known) or 'none yet'})")
