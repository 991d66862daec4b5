"""What a verb may refuse: shown as one message, exit status 2. Anything else is a bug, and shown whole."""

from approval.errors import ApprovalError
from audience.errors import AudienceError
from channels.errors import ChannelError
from console.prefect_api import PrefectError
from console.supervisor.errors import SupervisorError
from console.verbs import SettingsInvalid
from models.database import DatabaseNotConfigured, DatabaseUnreachable, DatabaseUrlInvalid
from offers.errors import OfferError
from themes.errors import ThemeError


class FileUnreadable(Exception):
    """A file that was named cannot be read."""

    def __init__(self, *, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} cannot be read: {reason}")


class FileUnwritable(Exception):
    """A file that was named cannot be written."""

    def __init__(self, *, path: str, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} cannot be written: {reason}")


class FlowFailed(Exception):
    """A flow run did not come to its end."""

    def __init__(self, *, name: str, state: str, message: str, url: str) -> None:
        self.name, self.state, self.message, self.url = name, state, message, url
        super().__init__(f"{name} ended {state}: {message} ({url})")


class DemoFailed(Exception):
    """The demo did not end as it must."""


class OptionInvalid(Exception):
    """An option has a value that cannot be used."""


REFUSALS: tuple[type[Exception], ...] = (
    DemoFailed,
    ApprovalError,
    AudienceError,
    ChannelError,
    DatabaseNotConfigured,
    DatabaseUnreachable,
    DatabaseUrlInvalid,
    FileUnreadable,
    FileUnwritable,
    FlowFailed,
    OfferError,
    OptionInvalid,
    PrefectError,
    SettingsInvalid,
    SupervisorError,
    ThemeError,
)
