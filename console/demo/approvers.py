"""Approvers at work: each finds her question in Prefect and answers its form, as the UI does."""

import time
from collections.abc import Callable
from typing import Any

from console.demo.cast import Authenticator
from console.prefect_api import PrefectApi
from console.refusals import DemoFailed

_LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 60.0


class NothingCame(DemoFailed):
    """What the demo waited for did not come."""

    def __init__(self, *, what: str, seconds: float) -> None:
        super().__init__(f"{what} did not come within {seconds:.0f} s")


def wait_for(what: str, look: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:  # noqa: ANN401 - what `look` finds
    """Look until something is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(_LOOK_SECONDS)
    raise NothingCame(what=what, seconds=seconds)


def waiting_question(api: PrefectApi, login: str, theme: str) -> dict[str, Any] | None:
    """The gate run of a person that waits with its form, if there is one."""
    tags = [f"approver:{login}", f"theme:{theme}"]
    runs = api.filter_flow_runs({"tags": {"all_": tags}, "state": {"type": {"any_": ["PAUSED"]}}})
    ready = [run for run in runs if _form_is_there(api, run)]
    return ready[0] if ready else None


def _form_is_there(api: PrefectApi, run: dict[str, Any]) -> bool:
    keyset = run["state"]["state_details"].get("run_input_keyset") or {}
    return bool(keyset) and api.read_input(run["id"], keyset["description"]) is not None


def answer(
    api: PrefectApi, theme: str, login: str, app: Authenticator, *, decision: str, comment: str = ""
) -> dict[str, Any]:
    """Wait for the question, then submit the form through the resume API."""
    run: dict[str, Any] = wait_for(f"the question to {login}", lambda: waiting_question(api, login, theme))
    form = {"decision": decision, "login": login, "code": app.code(), "comment": comment}
    api.resume(run["id"], form)
    return run
