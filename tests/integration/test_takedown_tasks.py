"""The tasks that follow a takedown, called as functions: how far they go, and that one theme's trouble is its own."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
from prefect.logging import disable_run_logger

from approval.secrecy import Cipher, new_key
from channels.message import PushContent
from channels.states import Channel, Purpose
from models.delivery import DistributionState
from models.queries import steps
from tasks import distribution, sending, takedowns, theme_steps
from tests.integration.delivery_world import RecordingProvider, run
from tests.integration.scene import KEY, Scene
from tests.integration.takedown_world import CUSTOMERS, Launched, launched, now, open_on, sender
from themes.lifecycle import ThemeState

PUSH = "channels: {push: {title: We were wrong, body: 'No, {{ customer.name }}.'}}"


@pytest.fixture
def of_scene(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for module in (distribution, sending, takedowns, theme_steps):
        monkeypatch.setattr(module, "database", lambda: scene.database)
    monkeypatch.setattr(sending, "cipher", lambda: Cipher([new_key()]))  # links of messages are signed
    with disable_run_logger():
        yield scene


def outcome_of(world: Launched, step: str) -> str | None:
    with world.scene.begin() as session:
        return {row.name: row.outcome for row in steps.timeline(session, world.theme_id)}.get(step)


def test_undoing_goes_on_until_the_theme_is_revoked_and_then_there_is_nothing_to_undo(of_scene: Scene) -> None:
    world = launched(of_scene)
    world.take_down()
    assert takedowns.undo_takedowns.fn() == [KEY]
    assert world.state() is ThemeState.REVOKED
    assert takedowns.undo_takedowns.fn() == []


def test_undoing_waits_for_calls_under_way_no_longer_than_its_patience(of_scene: Scene) -> None:
    world = launched(of_scene)
    world.push.at_work(lease=timedelta(hours=1)).claim(limit=1, replays_of=(), now=now())
    world.take_down()
    assert takedowns.undo_takedowns.fn() == []
    assert world.revocations()[Channel.PUSH].tries == 1
    of_scene.run("UPDATE senders SET alive_until = now() + interval '1 second'")
    assert takedowns.undo_takedowns.fn(timedelta(seconds=20)) == [KEY]
    assert world.revocations()[Channel.PUSH].tries > 1


def test_a_theme_that_cannot_be_undone_is_an_alert_and_the_theme_stays_to_be_tried_again(of_scene: Scene) -> None:
    world = launched(of_scene)
    world.take_down(correction=world.correction(PUSH))
    of_scene.run('UPDATE takedowns SET correction = \'{"channels": {"fax": {}}}\'')
    assert takedowns.undo_takedowns.fn() == []
    (alert,) = of_scene.alerts()
    assert alert.subject == "a takedown cannot be undone"
    assert world.state() is ThemeState.REVOKING
    of_scene.run("UPDATE takedowns SET correction = NULL")
    assert takedowns.undo_takedowns.fn() == [KEY]
    assert of_scene.alerts() == []


def test_a_correction_is_under_way_until_its_end_is_in_the_timeline(of_scene: Scene) -> None:
    world = launched(of_scene)
    run(sender(world.push, RecordingProvider()))
    world.take_down(correction=world.correction(PUSH))
    takedowns.undo_takedowns.fn()
    (under_way,) = takedowns.corrections_under_way.fn()
    assert (under_way.theme_key, under_way.channel) == (KEY, "push")
    assert distribution.senders_wanted(under_way.distribution_id)
    run(sender(world.correction_world(), RecordingProvider()))
    distribution.sweep_deliveries.fn()  # completes it, and leaves the timeline to be finished
    assert [one.state for one in world.progress(Purpose.CORRECTION)] == [DistributionState.COMPLETE]
    assert takedowns.corrections_under_way.fn() == [under_way]
    distribution.settle_corrections.fn(world.theme_id)
    assert takedowns.corrections_under_way.fn() == []
    assert outcome_of(world, "correct · push") == f"{CUSTOMERS} sent"


def test_senders_of_a_correction_render_the_correction(of_scene: Scene) -> None:
    world = launched(of_scene)
    run(sender(world.push, RecordingProvider()))
    world.take_down(correction=world.correction(PUSH))
    takedowns.undo_takedowns.fn()
    recipient = {"delivery_id": uuid4(), "customer": {"name": "Mei"}}
    own, corrected = (sending._prepare(one.distribution_id).render for one in (world.push, world.correction_world()))
    assert corrected(recipient) == PushContent(title="We were wrong", body="No, Mei.")
    assert own(recipient) != corrected(recipient)


def test_a_launch_that_finds_its_theme_taken_down_plans_nothing_and_ends_in_peace(of_scene: Scene) -> None:
    world = launched(of_scene)
    late = open_on(world, Channel.SMS)
    world.take_down()
    planned = distribution.plan_channel.fn(late.distribution_id, None)
    assert (planned.rows, planned.closed_because) == (0, "the theme is revoking")
    assert distribution.open_distributions.fn(world.theme_id) == []
    assert not distribution.senders_wanted(late.distribution_id)
    assert outcome_of(world, "plan · sms") is None
