"""What follows from the state of a theme in the database: gates to open and close, a launch to schedule."""

from collections.abc import Iterable

from prefect import get_run_logger

from tasks.gate_runs import close_gate, open_gate
from tasks.launch_runs import schedule_launch
from tasks.previews import publish_previews
from tasks.theme_steps import alert, needless_gates, theme_key_of, unopened_gates
from tasks.timeline import publish_timeline


def move_on(theme_id: int) -> None:
    """Bring Prefect to where the database is. Idempotent, so that whoever comes first may call it.

    What is no longer asked goes first: nobody shall see two questions, and spend a code on the one that is over.
    """
    for task_id, run_id in needless_gates(theme_id):
        close_gate(task_id, run_id)
    unopened = unopened_gates(theme_id)
    if unopened:
        publish_previews(theme_id)  # their briefs link to them
    for task_id in unopened:
        open_gate(task_id)
    schedule_launch(theme_id)
    publish_timeline(theme_id)


def move_all_on(theme_ids: Iterable[int]) -> None:
    """One theme that cannot be moved on keeps no other from it."""
    for theme_id in theme_ids:
        try:
            move_on(theme_id)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next theme has nothing to do with it
            key = theme_key_of(theme_id)
            get_run_logger().exception("theme %s could not be moved on", key)
            text = f"theme {key!r} could not be moved on ({type(error).__name__}: {error}); it is tried again"
            alert(key=f"move-on:{key}", subject="a theme could not be moved on", text=text, theme_key=key)
