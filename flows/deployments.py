"""Registers every deployment of prefect.yaml in one process: `python -m flows.deployments`.

`prefect deploy --all` reads the same file and comes to the same result, one slow step after another.
"""

import asyncio
import importlib
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker

from settings import get_settings

type_of_pool = ProcessWorker.type


def read_entries(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(path.read_text(encoding="utf-8"))["deployments"])


def load_flow(entrypoint: str) -> Flow[..., Any]:
    """Import the flow itself: Prefect's own loader would put a placeholder in the place of a broken module."""
    module, _, function = entrypoint.rpartition(".")
    flow = getattr(importlib.import_module(module), function)
    if not isinstance(flow, Flow):
        raise TypeError(f"{function!r} in {module} is not a flow")
    return flow


def load_flows(entries: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Flow[..., Any]], list[str]]:
    """The flows by entrypoint, and a line for each entrypoint that cannot be imported."""
    flows: dict[str, Flow[..., Any]] = {}
    problems: list[str] = []
    for entry in entries:
        entrypoint = entry["entrypoint"]
        try:
            flows[entrypoint] = load_flow(entrypoint)
        except Exception as error:  # noqa: BLE001 - whatever a module does at import, the next one is tried as well
            problems.append(f"{entry['name']}: entrypoint {entrypoint}: {type(error).__name__}: {error}")
    return flows, problems


def pool_of(entry: Mapping[str, Any]) -> str:
    return str(entry["work_pool"]["name"])


async def await_server(client: PrefectClient, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while (problem := await client.api_healthcheck()) is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the Prefect server at {client.api_url} does not answer: {problem}") from problem
        await asyncio.sleep(0.2)


async def ensure_pool(client: PrefectClient, name: str) -> None:
    template = job_template()
    try:
        await client.create_work_pool(WorkPoolCreate(name=name, type=type_of_pool, base_job_template=template))
    except ObjectAlreadyExists:
        await client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))


def job_template() -> dict[str, Any]:
    """A process worker's template, less what would let whoever creates a run say which command it is, and where."""
    template = ProcessWorker.get_default_base_job_template()
    for name in ("command", "env", "working_dir"):
        template["job_configuration"].pop(name)
        template["variables"]["properties"].pop(name)
    return template


def schedules_of(entry: Mapping[str, Any]) -> list[DeploymentScheduleCreate]:
    return [
        DeploymentScheduleCreate(slug=item["slug"], schedule=IntervalSchedule(interval=item["interval"]), active=True)
        for item in entry.get("schedules", [])
    ]


async def register(client: PrefectClient, entry: Mapping[str, Any], flow: Flow[..., Any]) -> None:
    """Create the deployment, or bring it up to date: the server goes by flow and name."""
    limit = entry.get("concurrency_limit") or {}
    await client.create_deployment(
        flow_id=await client.create_flow(flow),
        name=entry["name"],
        entrypoint=entry["entrypoint"],
        description=entry.get("description") or flow.description,
        tags=entry.get("tags", []),
        work_pool_name=pool_of(entry),
        schedules=schedules_of(entry),
        concurrency_limit=limit.get("limit"),
        concurrency_options=ConcurrencyOptions(collision_strategy=limit["collision_strategy"]) if limit else None,
        parameters=entry.get("parameters", {}),
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        enforce_parameter_schema=True,
        pull_steps=[],
        job_variables={},
        paused=False,
    )


async def register_all(entries: Sequence[Mapping[str, Any]], flows: Mapping[str, Flow[..., Any]]) -> None:
    async with get_client() as client:
        await await_server(client, seconds=60)
        for pool in sorted({pool_of(entry) for entry in entries}):
            await ensure_pool(client, pool)
        await asyncio.gather(*(register(client, entry, flows[entry["entrypoint"]]) for entry in entries))


def main() -> int:
    path = get_settings().prefect_file
    entries = read_entries(path)
    flows, problems = load_flows(entries)
    for problem in problems:
        sys.stderr.write(f"{path.name}: {problem}\n")
    if problems:
        return 1
    try:
        asyncio.run(register_all(entries, flows))
    except (TimeoutError, httpx.HTTPError) as error:
        sys.stderr.write(f"the deployments could not be registered: {error}\n")
        return 1
    sys.stdout.write(f"{len(entries)} deployments registered\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
