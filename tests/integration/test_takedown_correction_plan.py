# ruff: noqa: S608 - the one part put into a statement is a constant of this file
"""Corrections are planned in chunks of their own transactions, and what of them is missing is found and planned."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from channels.service import corrections as planner
from channels.service.errors import DistributionClosed, DistributionUnknown
from channels.states import Channel, Purpose
from models.delivery import DistributionState
from models.queries import corrections
from tests.integration.delivery_world import RecordingProvider, World, run
from tests.integration.scene import Scene
from tests.integration.takedown_world import CUSTOMERS, Launched, add_revision, launched, now, open_on, sender

PUSH = "channels: {push: {title: We were wrong, body: Sorry.}}"


class Died(Exception):
    """What a test lets a planner die of."""


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corrections, "CHUNK", 6)


def undone(scene: Scene) -> Launched:
    """Everybody was reached, the channel is undone, and its correction is open and not planned."""
    world = launched(scene)
    run(sender(world.push, RecordingProvider()))
    world.take_down(correction=world.correction(PUSH))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planner, "plan_corrections", lambda *_, **__: {})
        world.undo()
    return world


def mend(world: Launched, **values: Any) -> Mapping[int, int]:
    return planner.plan_corrections(world.scene.database, now=now(), **values)


def state_of(world: Launched) -> DistributionState:
    (row,) = world.progress(Purpose.CORRECTION)
    return row.state


def test_a_takedown_opens_the_correction_and_plans_none_of_it_in_its_own_transaction(scene: Scene) -> None:
    world = undone(scene)

    assert (world.correction_world().states(), state_of(world)) == ({}, DistributionState.PLANNING)
    (act,) = [act for act in scene.audit("revoke_channel") if act.details["channel"] == "push"]
    assert act.details["corrections"] == CUSTOMERS


def test_each_chunk_is_a_transaction_of_its_own_and_a_planner_that_dies_leaves_whole_chunks(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, insert_missing, calls = undone(scene), corrections.insert_missing, iter(range(1, 100))

    def dying(*args: Any, **values: Any) -> int:
        made = insert_missing(*args, **values)
        if next(calls) == 3:
            raise Died
        return made

    with monkeypatch.context() as patch:
        patch.setattr(corrections, "insert_missing", dying)
        with pytest.raises(Died):
            mend(world)
    correction = world.correction_world()
    assert (correction.states(), state_of(world)) == ({"planned": 12}, DistributionState.PLANNING)

    assert mend(world) == {correction.distribution_id: CUSTOMERS - 12}
    assert (correction.states(), state_of(world)) == ({"planned": CUSTOMERS}, DistributionState.SENDING)
    assert mend(world) == {}


def test_rows_of_every_revision_are_corrected(scene: Scene) -> None:
    world = launched(scene)
    world.push.change("DELETE FROM deliveries WHERE address LIKE '%1'")
    run(sender(world.push, RecordingProvider()))
    add_revision(world)
    newer = open_on(world, Channel.PUSH)
    newer.plan()
    run(sender(newer, RecordingProvider()))
    world.take_down(correction=world.correction(PUSH))
    world.undo()

    assert world.correction_world().states() == {"planned": CUSTOMERS}


def test_a_lost_row_is_planned_anew_with_its_id_and_sent(scene: Scene) -> None:
    world = undone(scene)
    mend(world)
    correction = world.correction_world()
    ids = "SELECT id FROM deliveries WHERE distribution_id = :distribution_id ORDER BY id"
    before = correction.rows(ids)
    correction.change("DELETE FROM deliveries WHERE distribution_id = :distribution_id AND address LIKE '%7'")
    run(sender(correction, RecordingProvider()))
    correction.change("UPDATE distributions SET state = 'complete' WHERE id = :distribution_id")

    assert set(mend(world)) == {correction.distribution_id}

    assert correction.rows(ids) == before
    run(sender(correction, RecordingProvider()))
    assert correction.states() == {"sent": CUSTOMERS}


def test_the_id_is_the_one_that_the_database_makes_of_its_name(scene: Scene) -> None:
    world = undone(scene)
    mend(world)

    name = "d.theme_id || ':' || s.revision_id || ':' || d.channel || ':correction:' || d.address"
    same = (
        "SELECT count(*) FROM deliveries d JOIN distributions s ON s.id = d.distribution_id"
        f" WHERE s.id = :distribution_id AND d.id = delivery_id({name})"
    )
    assert world.correction_world().rows(same) == [(CUSTOMERS,)]


def shown_reached(world: World, who: str) -> None:
    """As a receipt does that comes late."""
    world.change("UPDATE deliveries SET state = 'delivered' WHERE purpose = 'theme' AND address LIKE :who", who=who)


@pytest.fixture
def half_reached(scene: Scene) -> Launched:
    world = launched(scene)
    world.push.change("UPDATE deliveries SET state = 'failed', error_class = 'down' WHERE address LIKE '%1'")
    run(sender(world.push, RecordingProvider()))
    world.take_down(correction=world.correction(PUSH))
    world.undo()
    return world


def test_whoever_turns_out_to_be_reached_after_the_takedown_is_told_as_well(half_reached: Launched) -> None:
    correction = half_reached.correction_world()
    before = sum(correction.states().values())
    assert before < CUSTOMERS

    shown_reached(half_reached.push, "%1")

    assert mend(half_reached) == {correction.distribution_id: CUSTOMERS - before}
    assert mend(half_reached) == {}


def test_who_turns_out_to_be_reached_while_another_is_not_is_found_when_all_is_gone_through_again(
    half_reached: Launched,
) -> None:
    correction = half_reached.correction_world()
    half_reached.push.change(
        "UPDATE deliveries SET state = 'failed', error_class = 'down' WHERE purpose = 'theme' AND address LIKE '%2'"
    )
    shown_reached(half_reached.push, "%1")

    assert mend(half_reached) == {}
    assert mend(half_reached, check_every=timedelta(0))[correction.distribution_id] > 0
    half_reached.push.change("UPDATE distributions SET segment_as_of = now() - interval '31 days'")
    assert mend(half_reached, check_every=timedelta(0)) == {}  # no receipt comes any more


def test_a_correction_of_a_theme_that_is_live_is_not_planned(scene: Scene) -> None:
    world = undone(scene)
    world.push.set_theme("live")

    assert mend(world) == {}
    with pytest.raises(DistributionClosed, match="the theme is live"):
        planner.plan_correction(scene.database, distribution_id=world.correction_world().distribution_id, now=now())
    with pytest.raises(DistributionUnknown):
        planner.plan_correction(scene.database, distribution_id=-1, now=now())
