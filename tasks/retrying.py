"""Retrying what failed."""

from datetime import datetime
from uuid import UUID

from prefect import task

from channels.service import retry
from channels.service.retry import RetryReport, Wanted
from tasks.connection import clock, database


@task(name="retry failed", task_run_name="retry failed of {theme_key}", retries=3, retry_delay_seconds=1)
def retry_failed(
    theme_key: str, wanted: Wanted, by: str, asked_at: datetime, flow_run_id: UUID, *, dry_run: bool
) -> RetryReport:
    """One transaction; cut off before its end it took nothing, and asked again it takes nothing twice."""
    with database().begin() as session:
        return retry.retry_failed(
            session,
            theme_key=theme_key,
            channel=wanted.channel,
            error_class=wanted.error_class,
            error_code=wanted.error_code,
            since=wanted.since,
            ids=wanted.ids,
            dry_run=dry_run,
            by=by or retry.FORM,
            asked_at=asked_at,
            flow_run_id=flow_run_id,
            now=clock(),
        )
