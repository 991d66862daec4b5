"""What a flow run says of itself."""

from datetime import datetime
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import get_client

from approval.keys import theme_tag
from tasks.connection import clock


def own_run_id() -> UUID:
    return UUID(runtime.flow_run.get_id())


def tag_with_theme(key: str) -> None:
    """Tag the running flow, so that a theme's whole way shows under one tag."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(own_run_id())
        client.update_flow_run(own_run_id(), tags=sorted({*run.tags, theme_tag(key)}))


def asked_at() -> datetime:
    """When the running flow was asked for, however long it waited for its turn; run again, when it runs again."""
    scheduled = runtime.flow_run.get_scheduled_start_time()
    return clock() if runtime.flow_run.get_run_count() > 1 else min(scheduled, clock())
