"""How far a distribution is, shown in Prefect."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import cast
from uuid import UUID

from prefect import task
from prefect.artifacts import create_progress_artifact, create_table_artifact, update_progress_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey

from channels.service.distribution import ChannelProgress
from channels.service.failures import REMEDIES, failures_of
from channels.service.retry import LEFT_BECAUSE, RetryReport
from channels.states import DeliveryState
from models.queries import themes
from models.queries.failures import FailureGroup
from tasks.connection import database

#: An artifact shows so many ways of failing; the export has all of them.
MOST_GROUPS = 200


def percent(progress: ChannelProgress) -> float:
    """Settled rows of all rows, 0 to 100; an empty channel is done."""
    doubtful = progress.states.get(DeliveryState.UNKNOWN, 0)  # in the hands of a person
    return 100.0 * (progress.settled + doubtful) / progress.planned if progress.planned else 100.0


class Pace:
    """How fast a channel goes, from what it was first seen at."""

    def __init__(self, progress: ChannelProgress, *, at: float) -> None:
        """`at` and all later times are seconds of one steady clock."""
        self._settled, self._at = progress.settled, at

    def told(self, progress: ChannelProgress, *, at: float) -> str:
        """How many of how many, what failed by class, and how fast and for how long it still goes, where that shows."""
        parts = [f"{progress.settled:,} of {progress.planned:,}"]
        if progress.failed:
            parts.append(", ".join(f"{count:,} {name}" for name, count in sorted(progress.failed.items())))
        done, seconds = progress.settled - self._settled, at - self._at
        if done > 0 and seconds > 0:
            left = timedelta(seconds=round((progress.planned - progress.settled) * seconds / done))
            parts.append(f"{done / seconds:,.1f} a second, {left} left")
        return f"Delivery by {progress.channel}: " + "; ".join(parts)


class ProgressBoard:
    """One progress artifact a channel, made at its first showing and updated when it moves."""

    def __init__(self, *, theme_id: int) -> None:
        self._theme_id = theme_id
        self._artifacts: dict[str, UUID] = {}
        self._paces: dict[str, Pace] = {}
        self._shown: dict[str, float] = {}

    def show(self, channels: Sequence[ChannelProgress]) -> None:
        for channel in channels:
            self._show(channel)

    def _show(self, progress: ChannelProgress) -> None:
        channel, done, at = progress.channel.value, percent(progress), time.monotonic()
        if self._shown.get(channel) == done:
            return
        told = self._paces.setdefault(channel, Pace(progress, at=at)).told(progress, at=at)
        if channel in self._artifacts:
            update_progress_artifact(self._artifacts[channel], progress=done, description=told)
        else:
            # Keys of artifacts take no underscore.
            key = f"progress-theme-{self._theme_id}-{channel.replace('_', '-')}"
            made = create_progress_artifact(done, key=key, description=told)
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


@task(name="publish retry", task_run_name="publish retry of {report.theme_key}", retries=2, retry_delay_seconds=1)
def publish_retry(theme_id: int, report: RetryReport) -> None:
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
    asked = ", ".join(f"{name} {value}" for name, value in report.asked.items()) or "everything that failed"
    meanings = [f"- `{why}`: {LEFT_BECAUSE[why]}" for why in sorted(report.left_by_reason)]
    create_table_artifact(
        key=f"retry-deliveries-theme-{theme_id}",
        table=rows,
        description="\n".join(
            [f"Retry of **{report.theme_key}** ({asked}) {verb} {report.total_taken} deliveries", "", *meanings]
        ),
    )


@task(name="publish failures", task_run_name="publish failures of theme {theme_id}", retries=2, retry_delay_seconds=1)
def publish_failures(theme_id: int) -> None:
    """What failed or is in doubt, grouped, with the providers' own words; nothing where nothing ever did."""
    with database().begin() as session:
        theme = themes.theme_by_id(session, theme_id)
        key, groups = theme.key, failures_of(session, theme_key=theme.key)
    if not groups and not _was_published(f"failures-theme-{theme_id}"):
        return
    create_table_artifact(
        key=f"failures-theme-{theme_id}",
        table=[_failed(group) for group in groups[:MOST_GROUPS]],
        description=(
            f"{sum(group.count for group in groups)} deliveries of **{key}** failed or are in doubt. "
            f"One by one, as CSV: `themeline deliveries failures {key} --to failures.csv`"
        ),
    )


def _failed(group: FailureGroup) -> dict[str, str | int]:
    return {
        "channel": group.channel.value,
        "count": group.count,
        "state": group.state.value,
        "class": group.error_class.value,
        "code": group.error_code or "",
        "the provider's words": " / ".join(group.words),
        "last": group.last_at.isoformat(timespec="seconds"),
        "what to do": REMEDIES[group.error_class],
    }


def _was_published(key: str) -> bool:
    wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[key]))
    with get_client(sync_client=True) as client:
        return bool(client.read_latest_artifacts(artifact_filter=wanted, limit=1))
