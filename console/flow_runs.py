"""Starting a flow by its deployment's name, and waiting for its end."""

from collections.abc import Mapping
from typing import Any

import typer

from console.prefect_api import PrefectApi
from console.printing import print_json
from console.refusals import FlowFailed

WAIT_SECONDS = 180.0


def run_flow(deployment: str, parameters: Mapping[str, Any], *, seconds: float = WAIT_SECONDS) -> dict[str, str]:
    """Run a deployment to its end. Returns its id, state, message and address.

    Raises:
        PrefectUnreachable, PrefectRefused
        FlowFailed: it ended otherwise than completed; the message is the flow's own.
    """
    api = PrefectApi.from_environment()
    started = api.create_flow_run(deployment, parameters={k: v for k, v in parameters.items() if v is not None})
    run = api.wait(started["id"], timeout=seconds)
    state, url = run["state"], api.run_url(run["id"])
    message = _reason(str(state.get("message") or ""))
    if state["type"] != "COMPLETED":
        raise FlowFailed(name=deployment, state=state["name"], message=message, url=url)
    return {"flow_run": run["id"], "state": state["name"], "message": message, "url": url}


def report_run(key: str, run: Mapping[str, object], *, as_json: bool) -> None:
    """What became of a run that moved a theme."""
    if as_json:
        print_json({"theme": key, **run})
    else:
        typer.echo(f"{key}: {run['message']} ({run['url']})")


def _reason(message: str) -> str:
    """The flow's own words, without what Prefect puts in front of an exception."""
    prefix = "Flow run encountered an exception: "
    return message.removeprefix(prefix).partition(": ")[2] or message if message.startswith(prefix) else message
