"""The races of a takedown are real: with its locks off, each of them goes wrong."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from threading import Barrier, Event, local

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from channels.service.errors import DistributionClosed
from channels.states import Channel
from models.delivery import Distribution
from models.queries import distributions, takedowns, themes
from models.takedown import Revocation
from models.theme import Theme
from tests.integration.scene import Scene
from tests.integration.takedown_world import CUSTOMERS, Launched, launched, open_on, wait_for_a_lock
from themes.lifecycle import ThemeState
from themes.revocation import AlreadyTakenDown
from themes.service import takedown

PATIENCE = 20.0


def at_once(act: Callable[[], object], times: int = 2) -> list[str]:
    """The kinds of what the same act comes to."""

    def run(_: int) -> str:
        try:
            return type(act()).__name__
        except (AlreadyTakenDown, IntegrityError) as refused:
            return type(refused).__name__

    with ThreadPoolExecutor(times) as pool:
        return sorted(pool.map(run, range(times)))


def meeting(query: Callable[..., object], parties: int) -> Callable[..., object]:
    """The query, after whose first answer each thread waits for the others."""
    together, met = Barrier(parties), local()

    def answer_and_wait(*args: object, **values: object) -> object:
        answer = query(*args, **values)
        if not getattr(met, "once", False):
            met.once = True
            together.wait(PATIENCE)
        return answer

    return answer_and_wait


# two who undo at once


def test_two_looks_at_once_write_every_channel_down_once(scene: Scene) -> None:
    world = launched(scene)
    world.take_down()
    assert at_once(world.undo) == ["Undone", "Undone"]
    assert (len(scene.audit("revoke_channel")), len(scene.audit("revoke_done"))) == (len(Channel), 1)


def test_two_looks_at_once_without_the_lock_on_the_theme_write_every_channel_down_twice(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = launched(scene)
    world.take_down()
    theme: Callable[[Session, int], Theme] = themes.theme_by_id
    read: Callable[..., Sequence[Revocation]] = takedowns.revocations
    monkeypatch.setattr(themes, "theme_by_id", lambda session, theme_id, **_: theme(session, theme_id))
    monkeypatch.setattr(takedowns, "revocations", meeting(read, 2))
    assert at_once(world.undo) == ["Undone", "Undone"]
    assert (len(scene.audit("revoke_channel")), len(scene.audit("revoke_done"))) == (2 * len(Channel), 2)


# two who take down at once


def test_two_takedowns_at_once_are_one(scene: Scene) -> None:
    assert at_once(launched(scene).take_down) == ["AlreadyTakenDown", "int"]


def test_two_takedowns_at_once_without_lock_and_code_are_stopped_by_the_unique_constraint(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = launched(scene)
    theme: Callable[..., Theme | None] = themes.theme_by_key
    monkeypatch.setattr(takedown, "identify", lambda *_, **__: None)
    monkeypatch.setattr(themes, "theme_by_key", meeting(lambda session, key, **_: theme(session, key), 2))
    assert at_once(world.take_down) == ["IntegrityError", "int"]
    assert len(scene.audit("takedown")) == 1


# a planner that had to wait


Locked = tuple[Distribution, Theme] | None


def planned_late(
    scene: Scene, world: Launched, monkeypatch: pytest.MonkeyPatch, *, lock: Callable[[Session, int], Locked]
) -> dict[str, int]:
    """What a planner makes whose first chunk began before the takedown and gets its lock after it."""
    late = open_on(world, Channel.SMS)
    locks, at_chunk, held = count(1), Event(), Event()

    def lock_behind_the_takedown(session: Session, distribution_id: int) -> Locked:
        if next(locks) == 2:  # the first transaction lays down the audience, and this one plans a chunk of it
            at_chunk.set()
            assert held.wait(PATIENCE)
        return lock(session, distribution_id)

    monkeypatch.setattr(distributions, "lock", lock_behind_the_takedown)
    with ThreadPoolExecutor(1) as pool:
        planning = pool.submit(late.plan)
        assert at_chunk.wait(PATIENCE)
        with scene.begin() as holder:
            holder.execute(text("SELECT 1 FROM distributions WHERE id = :id FOR UPDATE"), {"id": late.distribution_id})
            held.set()
            wait_for_a_lock(scene)  # the theme was live when the chunk began
            world.take_down()
            assert world.state() is ThemeState.REVOKING
        with suppress(DistributionClosed):
            planning.result(timeout=PATIENCE)
    return late.states()


def test_a_planner_that_waited_for_the_takedown_plans_nothing_after_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = launched(scene)
    assert planned_late(scene, world, monkeypatch, lock=distributions.lock) == {}
    assert world.undo().state is ThemeState.REVOKED
    assert world.push.rows("SELECT DISTINCT state FROM deliveries") == [("cancelled",)]


def test_a_planner_that_reads_the_theme_before_it_has_its_lock_plans_for_a_theme_that_is_down(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock_in_one_statement(session: Session, distribution_id: int) -> tuple[Distribution, Theme]:
        both = select(Distribution, Theme).join(Theme, Theme.id == Distribution.theme_id)
        locked = both.where(Distribution.id == distribution_id).with_for_update(of=Distribution, key_share=True)
        return session.execute(locked, execution_options={"populate_existing": True}).one()._tuple()

    late = planned_late(scene, launched(scene), monkeypatch, lock=lock_in_one_statement)
    assert late == {"planned": CUSTOMERS}
