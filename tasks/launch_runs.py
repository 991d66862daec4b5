"""The run that launches a theme: shown by Prefect as Scheduled until the theme's start."""

from uuid import UUID

from prefect import task
from prefect.client.orchestration import get_client
from prefect.states import Scheduled

from approval.keys import theme_tag
from tasks.connection import clock
from tasks.gate_runs import cancel_run
from tasks.theme_steps import launch_to_schedule, note_launch

LAUNCH_DEPLOYMENT = "distribute-theme/at-start"


@task(name="schedule launch", task_run_name="schedule launch of theme {theme_id}", retries=3, retry_delay_seconds=1)
def schedule_launch(theme_id: int) -> UUID | None:
    """Give an approved theme its launch run; None where none is wanted.

    The idempotency key holds what was approved and when it starts, so that the same launch is one run for ever.
    """
    launch = launch_to_schedule(theme_id)
    if launch is None:
        return None
    wanted = f"theme-{launch.theme_id}-revision-{launch.revision_id}-{launch.starts_at.isoformat()}"
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(LAUNCH_DEPLOYMENT)
        run = client.create_flow_run_from_deployment(
            deployment.id,
            parameters={"theme_id": launch.theme_id, "revision_id": launch.revision_id},
            state=Scheduled(scheduled_time=max(launch.starts_at, clock())),
            name=f"Launch · {launch.title} · revision {launch.revision}",
            tags=[theme_tag(launch.key)],
            idempotency_key=f"launch-{wanted}-a{launch.attempt}",
        )
        if not note_launch(launch, run.id):
            cancel_run(client, run.id, "the theme was recalled or changed before its launch was scheduled")
            return None
    return run.id


@task(name="cancel launch", retries=3, retry_delay_seconds=1)
def cancel_launch(flow_run_id: UUID) -> None:
    with get_client(sync_client=True) as client:
        cancel_run(client, flow_run_id, "the theme was recalled")
