"""What can be wrong with a verb of delivery. The class is the fact; its docstring is the message."""

from collections.abc import Sequence

from channels.errors import ChannelError


class AccountUnknown(ChannelError):
    """There is no such provider account."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"there is no provider account {key!r}: add it, or correct `account` in the theme file")


class AccountUnfit(ChannelError):
    """The provider account cannot serve this."""

    def __init__(self, *, key: str, problem: str) -> None:
        self.key, self.problem = key, problem
        super().__init__(f"provider account {key!r} {problem}")


class DistributionUnknown(ChannelError):
    """There is no such distribution."""

    def __init__(self, distribution: int | str) -> None:
        self.distribution = distribution
        super().__init__(f"there is no distribution {distribution}")


class DistributionClosed(ChannelError):
    """The distribution may not be planned as things are."""

    def __init__(self, *, distribution_id: int, because: str) -> None:
        self.distribution_id, self.because = distribution_id, because
        super().__init__(f"distribution {distribution_id} is not planned: {because}")


class RevisionMissing(ChannelError):
    """A theme without an approved revision has nothing to send."""

    def __init__(self, theme_key: str) -> None:
        self.theme_key = theme_key
        super().__init__(f"theme {theme_key!r} has no approved revision: submit it and have it approved first")


class NothingToGiveBack(ChannelError):
    """Only a theme that was never live gives back what distribution has reserved for it."""

    def __init__(self, *, theme_key: str, state: str) -> None:
        self.theme_key, self.state = theme_key, state
        super().__init__(f"theme {theme_key!r} is {state}: what it planned is not given back; take it down instead")


class DeliveryThemeUnknown(ChannelError):
    """There is no such theme."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"there is no theme {key!r}")


class DeliveryUnknown(ChannelError):
    """There is no such delivery."""

    def __init__(self, delivery_id: object) -> None:
        self.delivery_id = delivery_id
        super().__init__(f"there is no delivery {delivery_id}")


class NotInDoubt(ChannelError):
    """Only a delivery whose outcome is unknown is settled by hand."""

    def __init__(self, ids: Sequence[object]) -> None:
        self.ids = tuple(ids)
        super().__init__(f"not in state unknown, so there is nothing to settle: {', '.join(map(str, ids))}")


class NotSentAgain(ChannelError):
    """What was taken down is not sent again."""

    def __init__(self, theme_keys: Sequence[str]) -> None:
        self.theme_keys = tuple(theme_keys)
        named = ", ".join(map(repr, theme_keys))
        super().__init__(f"taken down, so nothing of it is sent again: {named}; `mark sent` is what can be said of it")


class ChannelNotOpen(ChannelError):
    """Only a channel that a theme sends on can be cancelled."""

    def __init__(self, *, theme_key: str, channel: str) -> None:
        self.theme_key, self.channel = theme_key, channel
        super().__init__(f"theme {theme_key!r} does not send by {channel}, or does no more: there is nothing to cancel")


class TestRecipientUnfit(ChannelError):
    """A test message goes to one of our own people, at an address of hers."""

    __test__ = False  # to pytest: this is no test

    def __init__(self, *, login: str, problem: str) -> None:
        self.login, self.problem = login, problem
        super().__init__(f"no test message can go to {login!r}: {problem}")


class TestSendFailed(ChannelError):
    """The provider did not take a test message."""

    __test__ = False  # to pytest: this is no test

    def __init__(self, *, account: str, error: str, code: str, detail: str) -> None:
        self.account, self.error, self.code, self.detail = account, error, code, detail
        super().__init__(f"account {account!r} did not take the test message ({error}): {code} {detail}".rstrip())
