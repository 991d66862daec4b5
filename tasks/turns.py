"""Senders take turns: who has worked long enough gives its place to one that waits, and queues again behind it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType

from channels.turns import gives_way, waiting
from channels.waits import wait_for
from tasks.connection import clock

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
_UNDER_WAY = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING]
_MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The other sender runs: when those at work began, and when those that have not begun were asked for."""

    began_at: Sequence[datetime]
    asked_at: Sequence[datetime]


async def end_turn(stop: asyncio.Event, *, run_id: UUID) -> bool:
    """Set `stop` once this sender's turn is over and another waits; True when it did so, and queued its successor."""
    while not stop.is_set():
        await wait_for(stop, LOOK_SECONDS)
        if not stop.is_set() and await asyncio.to_thread(_gives_way, run_id):
            stop.set()
            return True
    return False


def _gives_way(run_id: UUID) -> bool:
    """A server that does not answer ends nobody's turn."""
    try:
        return give_way(run_id)
    except Exception:
        log.warning("turn_not_looked_up", exc_info=True)
        return False


def give_way(run_id: UUID) -> bool:
    """Queue the sender run again behind all that wait, if it is to give its place to one of them."""
    with get_client(sync_client=True) as client:
        own = client.read_flow_run(run_id)
        if own.deployment_id is None or own.start_time is None:
            return False  # started by hand: it has no place that another could take
        queue, now = _queue(client, own.deployment_id, but=run_id), clock()
        in_line = waiting(queue.asked_at, now=now)
        if not gives_way(began_at=own.start_time, others_began_at=queue.began_at, waiting=in_line, now=now):
            return False
        client.create_flow_run_from_deployment(
            own.deployment_id, parameters=own.parameters, name=own.name, tags=own.tags
        )
        return True


def _queue(client: SyncPrefectClient, deployment_id: UUID, *, but: UUID) -> Queue:
    under_way = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment_id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY)),
    )
    others = [run for run in client.read_flow_runs(flow_run_filter=under_way, limit=_MOST) if run.id != but]
    return Queue(
        began_at=[run.start_time for run in others if run.start_time is not None],
        asked_at=[run.created for run in others if run.start_time is None and run.created is not None],
    )
