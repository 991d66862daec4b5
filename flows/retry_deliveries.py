"""Ops: try again what failed, and only that."""

from datetime import datetime

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from channels.states import Channel, ErrorClass
from tasks.distribution import progress
from tasks.own_run import tag_with_theme
from tasks.progress import publish_counts, publish_retry
from tasks.retrying import retry_failed
from tasks.sender_runs import ensure_sender
from tasks.theme_steps import theme_id_of


@flow(name="retry-deliveries")
def retry_deliveries(
    theme: str,
    channel: Channel | None = None,
    error_class: ErrorClass | None = None,
    since: datetime | None = None,
    dry_run: bool = False,  # noqa: FBT001, FBT002 - a check box
) -> State:
    """Make the failed deliveries that match due again, each once however often this is started, and send them.

    Args:
        theme: The theme's key.
        channel: Only this channel; empty for all.
        error_class: Only failures of this class; empty for all.
        since: Only what failed at or after this time.
        dry_run: Only say what would be retried.
    """
    tag_with_theme(theme)
    report = retry_failed(theme, channel, error_class, since, dry_run=dry_run)
    publish_retry(report)
    theme_id = theme_id_of(theme)
    channels = progress(theme_id)
    for one in channels if report.total_taken and not dry_run else ():
        ensure_sender(one.distribution_id, one.channel.value, theme)
    publish_counts(theme_id, channels)
    left = ", ".join(f"{count} {why}" for why, count in sorted(report.left_by_reason.items())) or "none"
    return Completed(message=f"{'would take' if dry_run else 'took'} {report.total_taken}; left: {left}")
