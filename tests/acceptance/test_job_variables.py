"""Whoever may create runs cannot have a worker do anything but the deployment's own work."""

from pathlib import Path
from typing import Any

import pytest

from console.prefect_api import PrefectApi
from tests.acceptance.world import Prefect, wait_until
from tests.installation import Running

pytestmark = pytest.mark.timeout(300)  # the first test waits for the installation as well

OVER = {"COMPLETED", "FAILED", "CRASHED"}


def test_a_command_that_comes_with_a_run_is_not_run(installation: Running, tmp_path: Path) -> None:
    prefect, api = Prefect(installation.environment), PrefectApi.from_environment(installation.environment)
    proof = tmp_path / "was-here"
    deployment = prefect.call("GET", "/deployments/name/send-deliveries/for-channel")
    variables = {"command": f"touch {proof}", "working_dir": str(tmp_path), "env": {"PATH": str(tmp_path)}}
    body = {"parameters": {"distribution_id": 999_999_999}, "job_variables": variables}
    run = prefect.call("POST", f"/deployments/{deployment['id']}/create_flow_run", body)
    ended: dict[str, Any] = wait_until("the run's end", lambda: _ended(api, run["id"]), seconds=120)
    assert not proof.exists()
    assert "999999999" in str(ended["state"]["message"])  # the flow itself ran, and found no such distribution


def _ended(api: PrefectApi, run_id: str) -> dict[str, Any] | None:
    run = api.flow_run(run_id)
    return run if run["state"]["type"] in OVER else None
