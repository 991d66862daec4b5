"""Brings Prefect back to where the database is, whatever happened to it."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.distribution import mend_plans, open_distributions, plan_channel, settle_finished, sweep_deliveries
from tasks.healing import heal_gates
from tasks.launch_healing import heal_launches, live_themes, themes_to_move_on
from tasks.moving_on import move_all_on
from tasks.own_run import own_run_id
from tasks.sender_runs import ensure_senders
from tasks.takedowns import follow_takedowns
from tasks.upkeep_turns import turn


@flow(name="reconcile")
def reconcile() -> State:
    """Every open question has one working gate, every launch its run, every due delivery a sender."""
    with turn("reconcile") as ours:
        if ours:
            _reconcile()
    return Completed() if ours else Completed(name="Skipped", message="another run is at it")


def _reconcile() -> None:
    heal_gates()
    heal_launches()
    move_all_on(themes_to_move_on())
    sweep_deliveries()
    follow_takedowns()
    mend_plans()
    for live in live_themes():
        if not live.planned:
            for distribution_id in open_distributions(live.theme_id):
                plan_channel(distribution_id, own_run_id())
        for distribution_id, channel in live.distributions:
            ensure_senders(distribution_id, channel, live.theme_key)
        settle_finished(live.theme_id)
