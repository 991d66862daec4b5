"""What a verb may refuse: shown as one message, exit status 2. Anything else is a bug, and shown whole."""

from approval.errors import ApprovalError
from audience.errors import AudienceError
from channels.errors import ChannelError
from models.database import DatabaseNotConfigured, DatabaseUnreachable
from themes.errors import ThemeError
from themes.lifecycle import MoveRefused
from themes.problem import ThemeInvalid
from themes.render import RenderFailed


class FileUnreadable(Exception):
    """A file that was named cannot be read."""

    def __init__(self, *, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} cannot be read: {reason}")


class FlowFailed(Exception):
    """A flow run did not come to its end."""

    def __init__(self, *, name: str, state: str, message: str, url: str) -> None:
        self.name, self.state, self.message, self.url = name, state, message, url
        super().__init__(f"{name} ended {state}: {message} ({url})")


class OptionInvalid(Exception):
    """An option has a value that cannot be used."""


REFUSALS: tuple[type[Exception], ...] = (
    ApprovalError,
    AudienceError,
    ChannelError,
    DatabaseNotConfigured,
    DatabaseUnreachable,
    FileUnreadable,
    FlowFailed,
    MoveRefused,
    OptionInvalid,
    RenderFailed,
    ThemeError,
    ThemeInvalid,
)


def kind_of(error: Exception) -> str:
    return type(error).__name__
