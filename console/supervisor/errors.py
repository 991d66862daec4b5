"""What can go wrong while an installation is started, looked at or ended. Each message names the remedy."""

from pathlib import Path


class SupervisorError(Exception):
    """The installation could not be started or ended."""


class PortBusy(SupervisorError):
    """A port that was asked for is taken by somebody else."""

    def __init__(self, *, port: int, part: str, setting: str, holder: str) -> None:
        self.port, self.part, self.setting, self.holder = port, part, setting, holder
        super().__init__(
            f"port {port} for {part} is taken by {holder}: end that process, or set {setting} to another port "
            "(0 takes a free one)"
        )


class DependencyMissing(SupervisorError):
    """Something that a part needs is not installed."""

    def __init__(self, *, what: str, needed_for: str, remedy: str) -> None:
        self.what, self.needed_for, self.remedy = what, needed_for, remedy
        super().__init__(f"{what} is missing, needed for {needed_for}: {remedy}")


class DevKeyRefused(SupervisorError):
    """A generated key is for the embedded database only."""

    def __init__(self) -> None:
        super().__init__(
            "--dev-key is for the embedded database only, and THEMELINE_DATABASE_URL is set: "
            "set THEMELINE_SECRET_KEY to a key of your own, or unset THEMELINE_DATABASE_URL"
        )


class PartFailed(SupervisorError):
    """A part does not come up."""

    def __init__(self, *, part: str, reason: str, log: Path) -> None:
        self.part, self.reason, self.log = part, reason, log
        super().__init__(f"{part} does not come up: {reason} (its log: {log}); put it right and run `themeline up`")


class StillStarting(SupervisorError):
    """Not everything was ready in time."""

    def __init__(self, *, parts: tuple[str, ...], seconds: float, log: Path) -> None:
        self.parts, self.seconds = parts, seconds
        super().__init__(
            f"not ready after {seconds:.0f} s: {', '.join(parts)}; see the logs in {log} and `themeline status`"
        )


class StartedElsewhere(SupervisorError):
    """Another `up` or `down` works on the same state directory."""

    def __init__(self, *, state_dir: Path) -> None:
        super().__init__(f"another `themeline up` or `down` is at work on {state_dir}: wait for it and try again")


class StateUnreadable(SupervisorError):
    """The record of what runs is damaged."""

    def __init__(self, *, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        remedy = "delete it and run `themeline up`, which finds what is left"
        super().__init__(f"{path} cannot be read ({reason}): {remedy}")
