"""A launch: the theme goes live, every channel is planned, senders start, and their progress is shown."""

import time

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed

from settings import get_settings
from tasks.distribution import Planned, open_distributions, plan_channel, progress, settle_finished
from tasks.own_run import own_run_id
from tasks.preflights import publish_preflight
from tasks.progress import ProgressBoard, publish_counts, publish_failures
from tasks.sender_runs import any_sender_alive, ensure_senders
from tasks.theme_steps import start_theme, theme_key_of
from tasks.timeline import publish_timeline
from themes.service.launch import StartOutcome

LOOK_SECONDS = 1.0
LIVE = {StartOutcome.STARTED, StartOutcome.ALREADY_LIVE}


@flow(name="distribute-theme")
def distribute_theme(theme_id: int, revision_id: int) -> State:
    """Put a theme live at its start and bring it to its recipients. Started twice it does its work once."""
    started = start_theme(theme_id, revision_id, own_run_id(), get_settings().launch_grace)
    if started not in LIVE:
        return Completed(name=started.value.title().replace(" ", ""), message=f"nothing is sent: {started}")
    ahead = publish_preflight.submit(theme_id)  # for the record: a launch that was approved does not wait for it
    distributions = [plan_channel(distribution, own_run_id()) for distribution in open_distributions(theme_id)]
    for planned in distributions:
        get_run_logger().info("%s: %s planned, left out %s", planned.channel, planned.rows, planned.left_out)
    _send(theme_id, distributions)
    settle_finished(theme_id)
    counts = progress(theme_id)
    publish_counts(theme_id, counts)
    publish_failures(theme_id)
    publish_timeline(theme_id)
    ahead.wait()
    return Completed(message=", ".join(f"{one.channel}: {one.settled} of {one.planned} settled" for one in counts))


def _send(theme_id: int, distributions: list[Planned]) -> None:
    key = theme_key_of(theme_id)
    # Twice, for a sender that a pause was just ending may have stood in the way of the one that a resume wants.
    for _ in range(2):
        for planned in distributions:
            ensure_senders(planned.distribution_id, planned.channel.value, key)
        _show_until_senders_rest(theme_id, [planned.distribution_id for planned in distributions])


def _show_until_senders_rest(theme_id: int, distributions: list[int]) -> None:
    """What still waits when no sender is left, for a late retry or a person, is no reason to hold a process."""
    board = ProgressBoard(theme_id=theme_id)
    while any_sender_alive(distributions):
        board.show(progress(theme_id))
        time.sleep(LOOK_SECONDS)
    board.show(progress(theme_id))
