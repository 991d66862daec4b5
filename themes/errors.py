"""What stands against an act on a theme. The class is the fact; its text is the message."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from documents.problem import Problem
from themes.lacking import Lacking


class ThemeError(Exception):
    """A theme could not do what was asked."""


class ThemeInvalid(ThemeError):
    """The theme file has problems; all that could be seen at once are in `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "the theme file has a problem" if count == 1 else f"the theme file has {count} problems"
        super().__init__("\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)]))


class ThemeUnknown(ThemeError):
    """There is no theme of that key."""

    def __init__(self, *, key: str, nearest: str | None) -> None:
        self.key, self.nearest = key, nearest
        meant = f"; did you mean {nearest!r}?" if nearest else ""
        super().__init__(f"there is no theme {key!r}{meant}")


class ThemeNotDraft(ThemeError):
    """Only a draft can be saved or submitted."""

    def __init__(self, *, key: str, state: str, remedy: str) -> None:
        self.key, self.state = key, state
        super().__init__(f"theme {key!r} is {state}, not a draft: {remedy}")


class NotAllowed(ThemeError):
    """This person may not do this to this theme."""

    def __init__(self, *, login: str, act: str, key: str, who: str) -> None:
        self.login, self.act, self.key = login, act, key
        super().__init__(f"{login} may not {act} theme {key!r}; that takes {who}")


class WindowOver(ThemeError):
    """A theme whose end has passed cannot be launched any more."""

    def __init__(self, *, key: str, ends_at: datetime) -> None:
        self.key, self.ends_at = key, ends_at
        super().__init__(f"theme {key!r} ended at {ends_at.isoformat()}: give it a window that is still to come")


class StartOutsideWindow(ThemeError):
    """A start can only be moved within the window that was approved."""

    def __init__(self, *, starts_at: datetime, ends_at: datetime) -> None:
        self.starts_at, self.ends_at = starts_at, ends_at
        super().__init__(
            f"{starts_at.isoformat()} is not between now and the approved end {ends_at.isoformat()}: "
            "for another window draft the theme anew"
        )


class RecipientsLackVariables(ThemeError):
    """Messages use values that some recipients do not have."""

    def __init__(self, *, lacking: Mapping[str, Mapping[str, Lacking]]) -> None:
        self.lacking = lacking
        lines = [
            f"  {channel}: {variable} is missing for {recipients}"
            for channel, variables in lacking.items()
            for variable, recipients in variables.items()
        ]
        super().__init__("\n".join(["messages use values that some recipients lack:", *lines]))


class NobodyToReach(ThemeError):
    """The audience is empty on every channel."""

    def __init__(self, *, key: str) -> None:
        super().__init__(f"theme {key!r} would reach nobody: look at its audience, and at addresses and consents")


class ProductLineFixed(ThemeError):
    """Approvers were chosen for one product line: a theme in review cannot be moved to another."""

    def __init__(self, *, key: str) -> None:
        self.key = key
        super().__init__(f"theme {key!r} is in review and cannot be moved to another product line: withdraw it first")


class DetailMissing(ThemeError):
    """An act needs more to be said than was."""

    def __init__(self, *, act: str, missing: Sequence[str]) -> None:
        self.act, self.missing = act, tuple(missing)
        super().__init__(f"to {act} needs {', '.join(missing)}: fill it in and try again")
