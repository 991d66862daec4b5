"""What races and dead processes leave behind is clean, and is found by whoever looks next."""

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from approval.service import questions
from models.database import Database
from models.queries import distributions, themes, turns
from tests.integration.delivery_world import LEASE, make_world
from tests.integration.scene import KEY, STARTS_AT, TEMPLATES, Scene, theme_text
from themes.lifecycle import ThemeState
from themes.service import launch, saving
from themes.service.saving import Saved

GRACE = timedelta(minutes=30)
RUN = UUID(int=1)


def wait_for_a_lock(scene: Scene) -> None:
    """Until somebody waits for what another transaction holds."""
    deadline = time.monotonic() + 10
    while True:
        with scene.begin() as session:
            if session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                return
        assert time.monotonic() < deadline, "nobody waits"
        time.sleep(0.01)


@pytest.mark.parametrize(("other", "changed"), [("20000.00", False), ("9000.00", True)])
def test_second_of_two_first_saves_waits_and_finds_the_theme_of_the_first(
    scene: Scene, other: str, *, changed: bool
) -> None:
    outcomes: list[Saved] = []
    edited = theme_text(('budget: "20000.00"', f'budget: "{other}"'))
    second = threading.Thread(target=lambda: outcomes.append(scene.draft(edited, login="bob")))
    with scene.begin() as session:
        first = saving.save_draft(session, text=theme_text(), templates=TEMPLATES, login="ann", now=scene.tick())
        second.start()
        wait_for_a_lock(scene)
    second.join(timeout=10)
    (found,) = outcomes
    assert (found.theme_id, found.changed) == (first.theme_id, changed)
    with scene.begin() as session:
        assert [theme.key for theme in themes.all_themes(session)] == [KEY]
    assert [row.actor for row in scene.audit("draft")] == (["ann", "bob"] if changed else ["ann"])


def test_run_tied_to_a_question_that_is_cancelled_before_its_form_is_there_is_closed(asked: Scene) -> None:
    task_id, run = asked.question_to("bob"), uuid4()
    with asked.begin() as session:
        assert questions.note_gate_run(session, task_id=task_id, attempt=1, flow_run_id=run)
    asked.withdraw()
    with asked.begin() as session:
        assert questions.gates_to_close(session) == [(task_id, run)]
        assert questions.themes_with_gate_work(session) == {asked.theme().id}
        questions.note_gate_closed(session, task_id=task_id)
    with asked.begin() as session:
        assert questions.gates_to_close(session) == []
        assert questions.themes_with_gate_work(session) == set()


def live(scene: Scene) -> int:
    scene.draft()
    scene.submit()
    scene.approve_all()
    theme_id = scene.theme().id
    note_run(scene, theme_id, RUN)
    with scene.begin() as session:
        launch.start(
            session,
            theme_id=theme_id,
            revision_id=scene.theme().revision_id or 0,
            grace=GRACE,
            now=STARTS_AT,
            flow_run_id=RUN,
        )
    assert scene.theme().state is ThemeState.LIVE
    return theme_id


def note_run(scene: Scene, theme_id: int, run: UUID) -> int:
    with scene.begin() as session:
        wanted = launch.launch_to_schedule(session, theme_id)
        assert wanted is not None
        assert launch.schedule(session, launch=wanted, run_id=run, now=scene.now)
        return wanted.attempt


def test_resumed_theme_wants_one_launch_run_of_its_own_whoever_makes_it(scene: Scene) -> None:
    theme_id = live(scene)
    with scene.begin() as session:
        assert launch.launch_to_schedule(session, theme_id) is None
    for steer in (launch.pause, launch.resume):
        signature = scene.sign("ann")
        with scene.begin() as session:
            steer(session, key=KEY, signature=signature, rules=scene.rules, now=scene.now)
    assert note_run(scene, theme_id, UUID(int=2)) == 2
    with scene.begin() as session:
        assert launch.launch_to_schedule(session, theme_id) is None


def test_paused_theme_wants_no_launch_run(scene: Scene) -> None:
    theme_id = live(scene)
    signature = scene.sign("ann")
    with scene.begin() as session:
        launch.pause(session, key=KEY, signature=signature, rules=scene.rules, now=scene.now)
        assert launch.launch_to_schedule(session, theme_id) is None


def test_turn_is_one_processs_at_a_time_and_ends_with_its_transaction(database: Database) -> None:
    with database.begin() as ours, database.begin() as theirs:
        assert turns.take_turn(ours, "upkeep")
        assert not turns.take_turn(theirs, "upkeep")
        assert turns.take_turn(theirs, "something else")
    with database.begin() as later:
        assert turns.take_turn(later, "upkeep")


def test_distribution_is_being_sent_only_while_a_lease_lasts(database: Database) -> None:
    world, now = make_world(database, customers=2), datetime.now(UTC)
    world.plan()

    def being_sent() -> bool:
        with database.begin() as session:
            return distributions.is_being_sent(session, distribution_id=world.distribution_id, now=now)

    assert not being_sent()
    world.at_work(at=now - LEASE + timedelta(seconds=1))
    assert being_sent()
    now += timedelta(seconds=1)
    assert not being_sent()
