"""What time brings about: reminders, escalations, due actions, missed starts, themes and coupons that are over."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from settings import get_settings
from tasks.coupons import settle_coupons
from tasks.distribution import join_receipts, settle_finished, sweep_deliveries
from tasks.inquiries import ask_providers, cancel_returned
from tasks.launch_healing import themes_to_move_on
from tasks.moving_on import move_all_on
from tasks.notices import send_notices
from tasks.review_timers import act_on_due_levels, mend_levels, run_timers
from tasks.theme_steps import end_themes, forget_used_codes, miss_late_starts
from tasks.timeline import publish_timeline
from tasks.upkeep_turns import turn


@flow(name="sweep-deadlines")
def sweep_deadlines() -> State:
    """Driven by the database and the clock alone, so that a sweep that is skipped is made up for by the next."""
    with turn("sweep-deadlines") as ours:
        if ours:
            _sweep()
    return Completed() if ours else Completed(name="Skipped", message="another run is at it")


def _sweep() -> None:
    miss_late_starts(get_settings().launch_grace)
    mend_levels()
    run_timers()
    act_on_due_levels()
    move_all_on(themes_to_move_on())
    for theme_id in end_themes():
        settle_finished(theme_id)
        publish_timeline(theme_id)
    sweep_deliveries()
    settle_coupons()
    cancel_returned()
    join_receipts()
    forget_used_codes()
    send_notices()
    ask_providers()
