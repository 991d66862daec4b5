"""Ops: try again what failed, and only that."""

from datetime import UTC, datetime
from uuid import UUID

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from channels.service.retry import RetryReport, Wanted
from channels.states import Channel, ErrorClass
from tasks.distribution import progress
from tasks.own_run import asked_at, own_run_id, tag_with_theme
from tasks.progress import publish_counts, publish_failures, publish_retry
from tasks.retrying import retry_failed
from tasks.sender_runs import ensure_senders
from tasks.theme_steps import theme_id_of


@flow(name="retry-deliveries")
def retry_deliveries(
    theme: str,
    channel: Channel | None = None,
    error_class: ErrorClass | None = None,
    error_code: str | None = None,
    since: datetime | None = None,
    deliveries: list[UUID] | None = None,
    dry_run: bool = False,  # noqa: FBT001, FBT002 - a check box
    asked_by: str = "",
) -> State:
    """Make the failed deliveries that match due again, each once however often this is started, and send them.

    What is left, and why, is in the message of the run and in the artifact `retry-deliveries-theme-…`.

    Args:
        theme: The theme's key.
        channel: Only this channel; empty for all.
        error_class: Only failures of this class; empty for all.
        error_code: Only failures with this code of the provider; empty for all.
        since: Only what failed at or after this time; in UTC, where it has no zone.
        deliveries: Only these, by their ids; empty for all.
        dry_run: Only say what would be retried.
        asked_by: Who asks. It goes on record.
    """
    tag_with_theme(theme)
    theme_id = theme_id_of(theme)
    wanted = Wanted(
        channel=channel,
        error_class=error_class,
        error_code=error_code or None,
        since=since if since is None or since.tzinfo else since.replace(tzinfo=UTC),
        ids=deliveries or None,
    )
    report = retry_failed(theme, wanted, asked_by, asked_at(), own_run_id(), dry_run=dry_run)
    publish_retry(theme_id, report)
    if report.total_taken and not dry_run:
        _send(theme, theme_id)
    publish_failures(theme_id)
    return Completed(message=_told(report))


def _send(theme: str, theme_id: int) -> None:
    channels = progress(theme_id)
    for one in channels:
        ensure_senders(one.distribution_id, one.channel.value, theme)
    publish_counts(theme_id, channels)


def _told(report: RetryReport) -> str:
    left = ", ".join(f"{count} {why}" for why, count in sorted(report.left_by_reason.items())) or "none"
    held_up = "".join(f"; {channel} waits: {why}" for channel, why in sorted(report.held_up.items()))
    return f"{'would take' if report.dry_run else 'took'} {report.total_taken}; left: {left}{held_up}"
