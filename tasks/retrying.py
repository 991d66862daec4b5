"""Retrying what failed."""

from datetime import datetime

from prefect import task

from channels.service import retry
from channels.service.retry import RetryReport
from channels.states import Channel, ErrorClass
from tasks.connection import clock, database


@task(name="retry failed", task_run_name="retry failed of {theme_key}")
def retry_failed(
    theme_key: str, channel: Channel | None, error_class: ErrorClass | None, since: datetime | None, *, dry_run: bool
) -> RetryReport:
    with database().begin() as session:
        return retry.retry_failed(
            session,
            theme_key=theme_key,
            channel=channel,
            error_class=error_class,
            since=since,
            dry_run=dry_run,
            now=clock(),
        )
