"""What a flow run says of itself."""

from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import get_client

from approval.keys import theme_tag


def own_run_id() -> UUID:
    return UUID(runtime.flow_run.get_id())


def tag_with_theme(key: str) -> None:
    """Tag the running flow, so that a theme's whole way shows under one tag."""
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(own_run_id())
        client.update_flow_run(own_run_id(), tags=sorted({*run.tags, theme_tag(key)}))
