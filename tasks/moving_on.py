"""What follows from the state of a theme in the database: gates to open and close, a launch to schedule."""

from tasks.gate_runs import close_gate, open_gate
from tasks.launch_runs import schedule_launch
from tasks.theme_steps import needless_gates, unopened_gates
from tasks.timeline import publish_timeline


def move_on(theme_id: int) -> None:
    """Bring Prefect to where the database is. Idempotent, so that whoever comes first may call it."""
    for task_id in unopened_gates(theme_id):
        open_gate(task_id)
    for task_id, run_id in needless_gates(theme_id):
        close_gate(task_id, run_id)
    schedule_launch(theme_id)
    publish_timeline(theme_id)
