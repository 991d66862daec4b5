"""Serves the deployments of pool `approvals`: `python -m flows.serve [--ready-file PATH]`.

From an answered question to the flow's next line is what a person waits for, so this polls every second or faster and
starts runs warm. It only watches deployments that are registered (`python -m flows.deployments`).
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from prefect.logging import get_logger

from flows.deployments import await_server, load_flows, pool_of, read_entries
from flows.warm_start import WarmRunner, start_fork_server
from settings import get_settings

POOL = "approvals"


async def find_deployments(
    entries: Sequence[Mapping[str, Any]], flows: Mapping[str, Flow[..., Any]]
) -> dict[UUID, tuple[str, str]]:
    """Wait until every entry is registered, and say which one is awaited."""
    found: dict[UUID, tuple[str, str]] = {}
    async with get_client() as client:
        await await_server(client, seconds=60)
        for entry in entries:
            full_name = f"{flows[entry['entrypoint']].name}/{entry['name']}"
            deployment = None
            while deployment is None:
                try:
                    deployment = await client.read_deployment_by_name(full_name)
                except ObjectNotFound:
                    get_logger("runner").debug("Waiting for deployment %s to be registered", full_name)
                    await asyncio.sleep(0.2)
            found[deployment.id] = (entry["name"], entry["entrypoint"])
    return found


async def serve(
    entries: Sequence[Mapping[str, Any]], flows: Mapping[str, Flow[..., Any]], ready_file: Path | None
) -> None:
    settings = get_settings()
    runner = WarmRunner(
        name=POOL,
        query_seconds=settings.approvals_poll.total_seconds(),
        limit=settings.approvals_limit,
        pause_on_shutdown=False,
    )
    runner.watch(await find_deployments(entries, flows))
    if ready_file:
        announce(ready_file)
    await runner.start()


def announce(ready_file: Path) -> None:
    ready_file.write_text(f"{os.getpid()}\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m flows.serve", description=__doc__)
    parser.add_argument("--ready-file", type=Path, help="written once runs are polled for")
    arguments = parser.parse_args()
    path = get_settings().prefect_file
    entries = [entry for entry in read_entries(path) if pool_of(entry) == POOL]
    start_fork_server([entry["entrypoint"] for entry in entries])
    flows, problems = load_flows(entries)
    if problems:
        sys.stderr.writelines(f"{path.name}: {problem}\n" for problem in problems)
        return 1
    asyncio.run(serve(entries, flows, arguments.ready_file))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
