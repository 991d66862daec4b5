"""The names by which Prefect knows a gate: form key, idempotency key, tags, run name.

A form key with anything but `[a-z0-9-]` would leave its run suspended for ever, so it is made of database ids alone.
"""

from collections.abc import Sequence
from urllib.parse import urlencode

INBOX_DAYS = 90  # without a range of its own Prefect's page of runs shows the past 7 days only
THEME_TAG, APPROVER_TAG, LEVEL_TAG = "theme:", "approver:", "level:"


def pause_key(task_id: int, attempt: int) -> str:
    return f"t{task_id}-a{attempt}"


def gate_idempotency_key(task_id: int, attempt: int) -> str:
    return f"approval-gate-{pause_key(task_id, attempt)}"


def input_keys(task_id: int, attempt: int) -> dict[str, str]:
    """The run inputs that make up a suspended run's form and answer, by role."""
    base = f"suspended-{pause_key(task_id, attempt)}"
    return {part: f"{base}-{part}" for part in ("schema", "description", "response")}


def theme_tag(theme_key: str) -> str:
    return f"{THEME_TAG}{theme_key}"


def gate_tags(*, theme_key: str, login: str, level: int) -> Sequence[str]:
    return [theme_tag(theme_key), f"{APPROVER_TAG}{login}", f"{LEVEL_TAG}{level}"]


def gate_run_name(*, title: str, level: int, level_name: str, login: str) -> str:
    return f"Approve · {title}{gate_run_name_end(level=level, level_name=level_name, login=login)}"


def gate_run_name_end(*, level: int, level_name: str, login: str) -> str:
    """What stays of the name while the theme gets other titles."""
    return f" · level {level} {level_name} · {login}"


def inbox_path(login: str) -> str:
    """The page of Prefect's UI with the questions that wait for a person, to be put behind the UI's address."""
    seconds = -INBOX_DAYS * 24 * 3600
    wanted = {"tag": f"{APPROVER_TAG}{login}", "state": "Suspended", "type": "span", "seconds": seconds}
    return f"/runs?{urlencode(wanted, safe=':')}"
