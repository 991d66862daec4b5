"""`themeline demo`: the main job from end to end, on real customers, against the sandbox."""

import os
from pathlib import Path
from typing import Annotated

import typer

from console.demo import story
from console.demo.stand_in import Sandbox
from console.prefect_api import PrefectApi
from console.printing import say
from console.supervisor import lifecycle
from console.supervisor.environment import apply_environment
from models.database import Database
from settings import Settings, get_settings

ROOT = Path(__file__).parents[2]


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running, and print the addresses.")] = False,
) -> None:
    """Draft, review, return, approve, launch, fail, retry; every count checked. Starts and stops all it needs."""
    given = Settings()
    settings = given.model_copy(update={"state_dir": given.state_dir / "demo"})
    lifecycle.down(settings)
    story.fresh(settings.state_dir)
    settings.state_dir.parent.mkdir(parents=True, exist_ok=True)
    try:
        lifecycle.up(settings, dev_key=True, report=say)
        apply_environment(settings.state_dir)
        get_settings.cache_clear()
        story.tell(_stage())
    finally:
        if not keep:
            lifecycle.down(settings)
    if keep:
        typer.echo(f"Everything still runs. Prefect: {PrefectApi.from_environment().ui_url}")
        typer.echo(f"User and password of its UI: {settings.state_dir / 'prefect_auth'}")
        typer.echo(f"Stop it: THEMELINE_STATE_DIR={settings.state_dir} themeline down")


def register(root: typer.Typer) -> None:
    root.command("demo")(demo)


def _stage() -> story.Stage:
    host, _, port = os.environ["THEMELINE_SANDBOX_SMTP"].rpartition(":")
    return story.Stage(
        root=ROOT,
        database=Database.from_settings(),
        api=PrefectApi.from_environment(),
        sandbox=Sandbox(http=os.environ["THEMELINE_SANDBOX_HTTP"], smtp_host=host, smtp_port=int(port)),
        http=os.environ["THEMELINE_HTTP"],
        people={},
    )
