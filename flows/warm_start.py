"""Starts flow runs from a process that has everything imported already.

A flow run in a process of its own costs the import of Prefect (about two seconds) before its first line. Here a
fork server imports Prefect and the flows once; each run is a fork of it. The fork server itself runs no threads
and no flow, so a fork of it is as clean as a new process.
"""

import asyncio
import atexit
import gc
import inspect
import multiprocessing
import os
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from typing import TYPE_CHECKING, Self

import anyio
import anyio.abc
import anyio.to_thread
from prefect._internal.control_listener import configure_from_env
from prefect.client.schemas.objects import FlowRun
from prefect.context import SettingsContext, get_settings_context
from prefect.engine import handle_engine_signals
from prefect.flow_engine import run_flow
from prefect.runner import Runner
from prefect.runner._control_channel import ControlChannel
from prefect.runner._process_manager import ProcessHandle
from prefect.settings import Settings

from flows.deployments import load_flow

if TYPE_CHECKING:
    from uuid import UUID


def start_fork_server(entrypoints: Sequence[str]) -> None:
    """Begin importing the flows' modules in the fork server, before the first run is due."""
    modules = sorted({entrypoint.rpartition(".")[0] for entrypoint in entrypoints})
    multiprocessing.get_context("forkserver").set_forkserver_preload(["flows.warm_start", *modules])
    forkserver.ensure_running()


def run_in_fork(entrypoint: str, flow_run: FlowRun, environment: Mapping[str, str]) -> None:
    """The whole life of a forked process: one flow run, with its logs delivered at the end."""
    gc.freeze()
    os.environ.update(environment)
    configure_from_env()
    try:
        with (
            SettingsContext(profile=get_settings_context().profile, settings=Settings()),
            handle_engine_signals(flow_run.id),
        ):
            outcome = run_flow(load_flow(entrypoint), flow_run=flow_run)
            if inspect.iscoroutine(outcome):
                asyncio.run(outcome)
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001 - a fork of multiprocessing ends without them


class WarmStarter:
    """Prefect's process starter, by fork: hands over the process, then waits for its end."""

    def __init__(self, *, entrypoint: str, deployment: str, control_channel: ControlChannel) -> None:
        self._entrypoint = entrypoint
        self._deployment = deployment
        self._control_channel = control_channel

    def _environment(self, flow_run: FlowRun) -> dict[str, str]:
        environment = {
            "PREFECT__DEPLOYMENT_NAME": self._deployment,
            "PREFECT__FLOW_RUN_ID": str(flow_run.id),
            "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",
        }
        try:
            port, token = self._control_channel.register(flow_run.id)
        except RuntimeError:  # no channel: a cancelled run is ended by its signal alone
            return environment
        return environment | {"PREFECT__CONTROL_PORT": str(port), "PREFECT__CONTROL_TOKEN": token}

    async def start(
        self,
        flow_run: FlowRun,
        task_status: anyio.abc.TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED,
    ) -> None:
        process = multiprocessing.get_context("forkserver").Process(
            target=run_in_fork, args=(self._entrypoint, flow_run, self._environment(flow_run))
        )
        try:
            await anyio.to_thread.run_sync(process.start)
        except BaseException:
            self._control_channel.unregister(flow_run.id)
            raise
        task_status.started(ProcessHandle(process))  # type: ignore[arg-type]  # it asks for pid and exit code alone
        await anyio.to_thread.run_sync(process.join)


class WarmRunner(Runner):
    """Prefect's runner over deployments that are registered already, with warm starts.

    `Runner.add_flow` would register them once more, outside their work pool; so this uses the runner's own registry.
    """

    _entrypoints: "dict[UUID, tuple[str, str]]"

    def watch(self, deployments: "Mapping[UUID, tuple[str, str]]") -> None:
        """Poll for these: deployment id to deployment name and entrypoint."""
        self._entrypoints = dict(deployments)
        for deployment, (name, entrypoint) in deployments.items():
            self._deployment_registry.register_deployment(deployment, name)
            self._deployment_registry.register_flow(deployment, load_flow(entrypoint))

    def _resolve_warm(self, flow_run: FlowRun) -> WarmStarter:
        assert flow_run.deployment_id is not None  # noqa: S101 - the poller asks for runs of deployments
        name, entrypoint = self._entrypoints[flow_run.deployment_id]
        return WarmStarter(entrypoint=entrypoint, deployment=name, control_channel=self._control_channel)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._scheduled_run_poller._resolve_starter = self._resolve_warm  # noqa: SLF001 - no public way in 3.8.8
        return self

    async def __aexit__(self, *details: object) -> None:
        await super().__aexit__(*details)
