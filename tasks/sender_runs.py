"""Sender runs: one flow run each, as many as wanted, found again by their tag."""

from collections.abc import Sequence
from uuid import UUID

from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType

from approval.keys import theme_tag
from settings import get_settings
from tasks.connection import clock
from tasks.distribution import is_being_sent, senders_wanted

SENDER_DEPLOYMENT = "send-deliveries/for-channel"
_MOST = 200
ALIVE = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]


def distribution_tag(distribution_id: int) -> str:
    return f"distribution:{distribution_id}"


def alive_senders(client: SyncPrefectClient, distribution_id: int) -> list[FlowRun]:
    """Sender runs of a distribution that wait or work, without those whose process is gone."""
    wanted = FlowRunFilter(
        tags=FlowRunFilterTags(all_=[distribution_tag(distribution_id)]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=ALIVE)),
    )
    found = client.read_flow_runs(flow_run_filter=wanted, limit=_MOST)
    doubtful = [run for run in found if _may_be_lost(run)]
    if not doubtful or is_being_sent(distribution_id):
        return list(found)
    return [run for run in found if run not in doubtful]


def _may_be_lost(run: FlowRun) -> bool:
    """Prefect shows a run as running for ever when the machine under it dies; only leases tell, after a while."""
    state = run.state
    return (
        state is not None
        and state.type is not StateType.SCHEDULED
        and clock() - state.timestamp > get_settings().lost_run_after
    )


def any_sender_alive(distributions: Sequence[int]) -> bool:
    with get_client(sync_client=True) as client:
        return any(alive_senders(client, distribution_id) for distribution_id in distributions)


@task(name="ensure senders", task_run_name="ensure senders of distribution {distribution_id}", retries=3)
def ensure_senders(distribution_id: int, channel: str, theme_key: str) -> list[UUID]:
    """Start the senders that are missing, where there is work that is due; returns their runs.

    Whoever asks at the same time may start some as well: one too many finds nothing to claim, and ends.
    """
    wanted = senders_wanted(distribution_id)
    if not wanted:
        return []
    with get_client(sync_client=True) as client:
        missing = wanted - len(alive_senders(client, distribution_id))
        if missing <= 0:
            return []
        deployment = client.read_deployment_by_name(SENDER_DEPLOYMENT)
        runs = [
            client.create_flow_run_from_deployment(
                deployment.id,
                parameters={"distribution_id": distribution_id},
                name=f"Send · {theme_key} · {channel}",
                tags=[theme_tag(theme_key), distribution_tag(distribution_id), f"channel:{channel}"],
            )
            for _ in range(missing)
        ]
        return [run.id for run in runs]
