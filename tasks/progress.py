"""How far a distribution is, shown in Prefect."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact

from channels.service.distribution import ChannelProgress
from channels.service.retry import RetryReport
from channels.states import DeliveryState
from models.queries import themes
from tasks.connection import database


def percent(progress: ChannelProgress) -> float:
    """Settled rows of all rows, 0 to 100; an empty channel is done."""
    doubtful = progress.states.get(DeliveryState.UNKNOWN, 0)  # in the hands of a person
    return 100.0 * (progress.settled + doubtful) / progress.planned if progress.planned else 100.0


class ProgressBoard:
    """One progress artifact a channel, made at its first showing and updated when it moves."""

    def __init__(self, *, theme_id: int) -> None:
        self._theme_id = theme_id
        self._artifacts: dict[str, UUID] = {}
        self._shown: dict[str, float] = {}

    def show(self, channels: Sequence[ChannelProgress]) -> None:
        for channel in channels:
            self._show(channel.channel.value, percent(channel))

    def _show(self, channel: str, done: float) -> None:
        if self._shown.get(channel) == done:
            return
        if channel in self._artifacts:
            update_progress_artifact(self._artifacts[channel], progress=done)
        else:
            # Keys of artifacts take no underscore.
            key = f"progress-theme-{self._theme_id}-{channel.replace('_', '-')}"
            made = create_progress_artifact(done, key=key, description=f"Delivery by {channel}")
            self._artifacts[channel] = cast("UUID", made)
        self._shown[channel] = done


@task(name="publish counts", task_run_name="publish counts of theme {theme_id}", retries=2, retry_delay_seconds=1)
def publish_counts(theme_id: int, channels: Sequence[ChannelProgress]) -> None:
    with database().begin() as session:
        title = themes.theme_by_id(session, theme_id).title
    create_table_artifact(
        key=f"deliveries-theme-{theme_id}",
        table=[_counts(channel) for channel in channels],
        description=f"Deliveries of **{title}**",
    )


def _counts(channel: ChannelProgress) -> dict[str, str | int]:
    failed = ", ".join(f"{count} {name}" for name, count in sorted(channel.failed.items()))
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(channel.left_out.items()))
    return {
        "channel": channel.channel.value,
        "planned": channel.planned,
        **{state.value: channel.states.get(state, 0) for state in DeliveryState},
        "failed by class": failed,
        "left out": left_out,
    }


def publish_retry(report: RetryReport) -> None:
    rows = [
        {
            "channel": channel.value,
            "taken": report.taken.get(channel, 0),
            "left, and why": ", ".join(f"{n} {why}" for why, n in sorted(report.left.get(channel, {}).items())),
            "held up": report.held_up.get(channel, ""),
        }
        for channel in sorted({*report.taken, *report.left})
    ]
    verb = "would take" if report.dry_run else "took"
    create_table_artifact(
        key="retry-deliveries",
        table=rows,
        description=f"Retry of **{report.theme_key}** {verb} {report.total_taken} deliveries",
    )
