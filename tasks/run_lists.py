"""Flow runs by the hundred, as plain JSON: Prefect's own client would spend seconds on making objects of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient

from approval.gates import GateRun

Json = Mapping[str, Any]
_PAGE = 200  # the most that the server gives at once
_UNFINISHED = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")


def unfinished_runs(client: SyncPrefectClient, deployment_id: UUID, states: Sequence[str] = _UNFINISHED) -> list[Json]:
    """Every run of a deployment that has not ended. One that ends meanwhile may hide another: look it up by its id."""
    wanted = {"deployment_id": {"any_": [str(deployment_id)]}, "state": {"type": {"any_": list(states)}}}
    found: list[Json] = []
    while page := _filter(client, wanted, offset=len(found)):
        found += page
        if len(page) < _PAGE:
            break
    return found


def runs_by_id(client: SyncPrefectClient, ids: Iterable[UUID]) -> list[Json]:
    """Those of the runs that there are."""
    return [run for page in _pages(list(ids)) for run in _filter(client, {"id": {"any_": [str(id_) for id_ in page]}})]


def _filter(client: SyncPrefectClient, wanted: Json, *, offset: int = 0) -> list[Json]:
    body = {"flow_runs": wanted, "sort": "ID_DESC", "limit": _PAGE, "offset": offset}
    found: list[Json] = client.request("POST", "/flow_runs/filter", json=body).json()
    return found


def _pages(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    return (ids[start : start + _PAGE] for start in range(0, len(ids), _PAGE))


def gate_run(run: Json) -> GateRun:
    state: Json = run["state"] or {}
    details: Json = state.get("state_details") or {}
    return GateRun(
        id=UUID(run["id"]),
        deployment_id=_uuid(run["deployment_id"]),
        state=str(state.get("type") or "SCHEDULED"),
        state_name=str(state.get("name") or ""),
        since=instant(state.get("timestamp") or run["created"]),
        created_at=instant(run["created"]),
        name=run["name"],
        scheduled_at=instant(details["scheduled_time"]) if details.get("scheduled_time") else None,
        pause_key=details.get("pause_key"),
        keyset=details.get("run_input_keyset") or {},
        reschedules=bool(details.get("pause_reschedule")),
        times_out=details.get("pause_timeout") is not None,
        parameters=run["parameters"] or {},
        tags=frozenset(run["tags"] or ()),
        idempotency_key=run["idempotency_key"],
    )


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
