"""What a recall gives back is planned afresh by the next launch: nobody is lost, and nobody is reached twice."""

import pytest

from channels import service
from channels.message import Message, Outcome
from channels.service.errors import NothingToGiveBack
from channels.states import Channel, ErrorClass
from tests.integration.delivery_world import RecordingProvider, accept, refuse, run
from tests.integration.scene import Scene
from tests.integration.takedown_world import CUSTOMERS, Launched, add_revision, launched, now, open_on, sender
from themes.lifecycle import ThemeState

BOTH = (Channel.PUSH, Channel.SMS)


def give_back(world: Launched) -> dict[str, int]:
    with world.scene.begin() as session:
        return service.give_back(session, theme_id=world.theme_id, now=now())


def recalled(scene: Scene, *, channels: tuple[Channel, ...] = BOTH) -> Launched:
    """Planned ahead of its start, and recalled."""
    world = launched(scene, channels=channels)
    world.push.set_theme(ThemeState.DRAFT)
    return world


def test_a_recall_gives_back_every_planned_delivery_and_its_distributions(scene: Scene) -> None:
    world = recalled(scene)
    assert give_back(world) == {"push": CUSTOMERS, "sms": CUSTOMERS}
    assert world.push.rows("SELECT count(*) FROM deliveries") == [(0,)]
    assert world.push.rows("SELECT count(*) FROM distributions") == [(0,)]
    assert give_back(world) == {}


@pytest.mark.parametrize("edited", [False, True])
def test_the_next_launch_plans_everybody_whatever_the_revision(scene: Scene, *, edited: bool) -> None:
    world = recalled(scene)
    give_back(world)
    if edited:
        add_revision(world)
    world.push.set_theme(ThemeState.LIVE)
    again = open_on(world, Channel.PUSH)
    assert again.plan().new == CUSTOMERS
    provider = RecordingProvider()
    run(sender(again, provider))
    assert sorted(provider.reached.values()) == [1] * CUSTOMERS


def test_an_address_that_was_suppressed_in_the_recalled_plan_is_judged_anew(scene: Scene) -> None:
    world = launched(scene)
    suppress = (
        "INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)"
        " SELECT :line, 'push', address, 'by_hand', 'test', now() FROM addresses WHERE channel = 'push' LIMIT 3"
    )
    world.push.change("DELETE FROM deliveries")
    world.push.change(suppress)
    assert world.push.plan_again().states == {"planned": CUSTOMERS - 3, "suppressed": 3}
    world.push.set_theme(ThemeState.SCHEDULED)
    give_back(world)
    world.push.change("DELETE FROM suppressions")
    world.push.set_theme(ThemeState.LIVE)
    assert open_on(world, Channel.PUSH).plan().states == {"planned": CUSTOMERS}


@pytest.mark.parametrize("edited", [False, True])
def test_whoever_was_tried_after_all_is_not_reached_again(scene: Scene, *, edited: bool) -> None:
    world = launched(scene)
    others = world.push.at_work()
    held = [row.seq for row in others.claim(limit=CUSTOMERS - 2, replays_of=(), now=now()).deliveries]
    answers = iter([accept, refuse(ErrorClass.UNRECOGNISED)])

    def answer(message: Message) -> Outcome:
        return next(answers)(message)

    first = RecordingProvider(answer=answer)
    run(sender(world.push, first))
    others.release(held, now())
    world.push.set_theme(ThemeState.DRAFT)
    assert give_back(world) == {"push": CUSTOMERS - 2}
    assert world.states() == {"sent": 1, "failed": 1}
    if edited:
        add_revision(world)
    world.push.set_theme(ThemeState.LIVE)
    again = open_on(world, Channel.PUSH)
    assert again.plan().new == CUSTOMERS - 2
    second = RecordingProvider()
    run(sender(again, second))
    assert set(first.reached).isdisjoint(second.reached)
    assert len(first.reached) + len(second.reached) == CUSTOMERS - 1  # and one that was refused for good


@pytest.mark.parametrize("state", [ThemeState.LIVE, ThemeState.PAUSED, ThemeState.ENDED, ThemeState.REVOKED])
def test_a_theme_that_was_live_gives_nothing_back(scene: Scene, state: ThemeState) -> None:
    world = launched(scene)
    world.push.set_theme(state)
    with pytest.raises(NothingToGiveBack, match=f"is {state}"):
        give_back(world)
    assert world.states() == {"planned": CUSTOMERS}
