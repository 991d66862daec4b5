"""Taking a live theme down, on a real PostgreSQL: who may, what stops, and how it is undone until it is done."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from approval.errors import CodeReused, CodeWrong, CommentRequired
from channels import service
from channels.engine import MOVES
from channels.message import Message, Outcome
from channels.service.errors import NotSentAgain
from channels.service.retry import Settlement
from channels.states import Channel, ErrorClass
from models.delivery import Distribution, DistributionState
from models.queries import distributions, plans
from tests.integration.delivery_world import LEASE, RecordingProvider, accept, refuse, run, until
from tests.integration.moves_guard import guard_moves
from tests.integration.scene import KEY, Scene
from tests.integration.takedown_world import (
    CUSTOMERS,
    Launched,
    add_revision,
    launched,
    now,
    open_on,
    sender,
    wait_for_a_lock,
)
from themes.errors import NotAllowed, ThemeUnknown
from themes.lifecycle import MoveRefused, ThemeState
from themes.revocation import ALERT_AFTER, AlreadyTakenDown, ClaimedRule, RevocationState
from themes.service import takedown

BOTH = (Channel.PUSH, Channel.SMS)


def claim(world: Launched, limit: int = 1_000) -> int:
    claimed = world.push.at_work().claim(limit=limit, replays_of=[world.push.account_id], now=now())
    return len(claimed.deliveries)


@pytest.mark.parametrize("state", [ThemeState.LIVE, ThemeState.PAUSED])
def test_takedown_of_a_live_or_paused_theme_stops_it_and_cancels_what_waits_in_the_same_transaction(
    scene: Scene, state: ThemeState
) -> None:
    guard_moves(scene.database, "deliveries", MOVES)
    world = launched(scene, channels=BOTH)
    world.push.set_theme(state)
    assert world.take_down(claimed="void") == world.theme_id
    assert world.state() is ThemeState.REVOKING
    assert [world.states(channel) for channel in BOTH] == [{"cancelled": CUSTOMERS}] * 2
    row = world.takedown()
    assert (row.comment, row.claimed, row.correction, row.done_at) == (
        "the price was wrong",
        ClaimedRule.VOID,
        None,
        None,
    )
    # every channel of its content has a revocation, opened yet or not
    assert {channel: (one.state, one.cancelled) for channel, one in world.revocations().items()} == {
        Channel.PUSH: (RevocationState.PENDING, CUSTOMERS),
        Channel.SMS: (RevocationState.PENDING, CUSTOMERS),
        Channel.EMAIL: (RevocationState.PENDING, 0),
        Channel.MINI_PROGRAM: (RevocationState.PENDING, 0),
    }
    (act,) = scene.audit("takedown")
    assert (act.actor, act.comment, act.object_hash is not None) == ("dan", "the price was wrong", True)
    assert act.details["cancelled"] == {"email": 0, "mini_program": 0, "push": CUSTOMERS, "sms": CUSTOMERS}
    assert (act.details["from"], act.details["to"], act.details["claimed"]) == (state, "revoking", "void")


def test_theme_is_revoked_once_every_channel_is_undone_and_each_step_is_on_record(scene: Scene) -> None:
    world = launched(scene, channels=BOTH)
    world.take_down()
    undone = world.undo()
    assert (undone.state, undone.missing, world.state()) == (ThemeState.REVOKED, {}, ThemeState.REVOKED)
    assert {one.state for one in world.revocations().values()} == {RevocationState.DONE}
    assert world.takedown().done_at is not None
    assert sorted(str(row.details["channel"]) for row in scene.audit("revoke_channel")) == sorted(map(str, Channel))
    (moved,) = scene.audit("revoke_done")
    assert (moved.actor, moved.details["cancelled"]["push"]) == ("system:takedown", CUSTOMERS)
    assert {one.state for one in world.progress()} == {DistributionState.CANCELLED}
    assert scene.verify().sound
    assert world.undo().state is ThemeState.REVOKED  # looked at again, nothing happens
    assert len(scene.audit("revoke_done")) == 1


def test_a_theme_is_taken_down_once_and_the_second_is_told_who_did_and_when(scene: Scene) -> None:
    world = launched(scene)
    world.take_down()
    for _ in range(2):
        with pytest.raises(AlreadyTakenDown, match=r"dan took it down at .*the price was wrong") as refused:
            world.take_down(by="dan")
        assert isinstance(refused.value, MoveRefused)
        world.undo()
    assert "is revoked" in str(refused.value)


@pytest.mark.parametrize("state", sorted(set(ThemeState) - {ThemeState.LIVE, ThemeState.PAUSED}))
def test_takedown_outside_its_window_is_refused_with_the_state(scene: Scene, state: ThemeState) -> None:
    world = launched(scene)
    world.push.set_theme(state)
    with pytest.raises(MoveRefused, match=f"cannot takedown a theme that is {state}"):
        world.take_down()
    assert world.states() == {"planned": CUSTOMERS}


def test_takedown_takes_somebody_whom_the_policy_names_and_a_reason(scene: Scene) -> None:
    world = launched(scene)
    at = now()
    signature = world.sign("dan", "  ", at=at)
    for who in ("ann", "bob"):
        with pytest.raises(NotAllowed, match=f"{who} may not take down"):
            world.take_down(by=who)
    with pytest.raises(CommentRequired, match="take a theme down"):
        world.take_down(signature=signature)
    with pytest.raises(CodeWrong):
        world.take_down(signature=world.sign("dan", "why", at=at - timedelta(hours=1)))
    assert (world.state(), world.states()) == (ThemeState.LIVE, {"planned": CUSTOMERS})
    world.take_down()  # the code was not used up by a refusal
    with pytest.raises(ThemeUnknown), scene.begin() as session:
        takedown.take_down(
            session, key="no-such", signature=signature, rules=scene.rules, claimed="void", correction=None, now=at
        )


def test_a_code_signs_one_takedown(scene: Scene) -> None:
    world = launched(scene)
    signature = world.sign("dan", "why", at=now())
    world.take_down(signature=signature)
    scene.run("DELETE FROM takedowns", "UPDATE themes SET state = 'live'")
    with pytest.raises(CodeReused):
        world.take_down(signature=signature)


def test_nothing_can_be_claimed_or_begun_from_the_moment_a_takedown_is_committed(scene: Scene) -> None:
    world = launched(scene)
    ledger = world.push.at_work()
    held = ledger.claim(limit=5, replays_of=(), now=now()).deliveries
    world.take_down()
    assert claim(world) == 0
    seqs = [row.seq for row in held]
    assert not ledger.begin(account_id=world.push.account_id, seqs=seqs, keys=None, now=now())
    assert ledger.gate(now()).closed_because == "the theme is revoking"
    assert world.states() == {"sending": 5, "cancelled": CUSTOMERS - 5}


def test_senders_at_work_stop_within_seconds_and_what_they_had_begun_is_recorded(scene: Scene) -> None:
    world = launched(scene)
    provider = RecordingProvider()

    async def play() -> float:
        provider.gate = asyncio.Event()
        work = asyncio.create_task(sender(world.push, provider).run())
        await until(lambda: len(provider.calls) == 8)
        await asyncio.to_thread(world.take_down)
        before = await asyncio.to_thread(world.undo)
        assert "held by senders" in before.missing[Channel.PUSH]
        assert before.state is ThemeState.REVOKING
        at = time.monotonic()
        provider.gate.set()
        report = await work
        assert report.closed_because == "the theme is revoking"
        return time.monotonic() - at

    assert asyncio.run(play()) < 3
    assert len(provider.calls) == 8  # what was in flight came home, and nothing after it left
    assert world.undo().state is ThemeState.REVOKED
    assert world.states() == {"sent": 8, "cancelled": CUSTOMERS - 8}
    assert {one.tries for one in world.revocations().values()} == {1, 2}


def test_a_dead_senders_rows_are_waited_for_until_their_lease_runs_out(scene: Scene) -> None:
    world = launched(scene)
    ledger = world.push.at_work()
    held = ledger.claim(limit=6, replays_of=(), now=now()).deliveries
    begun, seqs = [row.id for row in held[:2]], [row.seq for row in held[:2]]
    assert len(ledger.begin(account_id=world.push.account_id, seqs=seqs, keys=None, now=now())) == 2
    world.take_down()
    assert world.undo().missing == {
        Channel.PUSH: "6 held by senders: their outcome, or the end of their lease, is awaited"
    }
    undone = world.undo(at=now() + LEASE + timedelta(seconds=1))
    assert undone.state is ThemeState.REVOKED
    # whose call had begun may have arrived; the others never left
    assert world.states() == {"unknown": 2, "cancelled": CUSTOMERS - 2}
    assert world.revocations()[Channel.PUSH].tries == 2
    assert claim(world) == 0
    with pytest.raises(NotSentAgain, match="taken down"), scene.begin() as session:
        service.settle_unknown(session, ids=begun, settlement=Settlement.SEND_AGAIN, by="dan", now=now())
    with scene.begin() as session:
        assert service.settle_unknown(session, ids=begun, settlement=Settlement.MARK_SENT, by="dan", now=now()) == 2


def test_doubtful_calls_are_not_replayed_after_a_takedown(scene: Scene) -> None:
    world = launched(scene)
    lost = RecordingProvider(keys=True, answer=refuse(ErrorClass.UNKNOWN_OUTCOME))
    asyncio.run(one_round(world, lost))
    assert world.states()["unknown"] > 0
    world.take_down()
    assert claim(world) == 0
    assert world.undo().state is ThemeState.REVOKED


async def one_round(world: Launched, provider: RecordingProvider) -> None:
    """Until the provider had some calls; the sender is then asked to stop."""
    stop = asyncio.Event()
    provider.on_call = lambda _: stop.set()
    await world.push.sender(provider, stop=stop).run()


def test_theme_is_revoked_only_when_the_last_channel_is_undone(scene: Scene) -> None:
    world = launched(scene, channels=BOTH)
    world.push.at_work().claim(limit=1, replays_of=(), now=now())
    world.take_down()
    undone = world.undo()
    assert (undone.state, list(undone.missing)) == (ThemeState.REVOKING, [Channel.PUSH])
    assert world.revocations()[Channel.SMS].state is RevocationState.DONE
    assert len(scene.audit("revoke_channel")) == 3
    assert world.undo(at=now() + 2 * LEASE).state is ThemeState.REVOKED
    assert (len(scene.audit("revoke_channel")), len(scene.audit("revoke_done"))) == (4, 1)


def test_killed_in_the_middle_of_a_look_the_next_one_does_it_all(scene: Scene) -> None:
    world = launched(scene)
    world.take_down()

    def killed() -> None:
        with scene.begin() as session:
            takedown.undo_channels(session, theme_id=world.theme_id, now=now())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    assert world.state() is ThemeState.REVOKING
    assert {one.tries for one in world.revocations().values()} == {0}
    assert scene.audit("revoke_channel") == []
    with scene.begin() as session:
        assert takedown.themes_to_undo(session) == [world.theme_id]
    assert world.undo().state is ThemeState.REVOKED


def test_two_processes_that_undo_at_once_undo_each_channel_once(scene: Scene) -> None:
    world = launched(scene, channels=BOTH)
    world.take_down()
    with ThreadPoolExecutor(4) as pool:
        looks = [future.result() for future in [pool.submit(world.undo) for _ in range(4)]]
    assert {look.state for look in looks} == {ThemeState.REVOKED}
    assert (len(scene.audit("revoke_channel")), len(scene.audit("revoke_done"))) == (4, 1)
    assert {one.tries for one in world.revocations().values()} == {1}


def test_rows_of_a_planner_that_was_under_way_are_cancelled_before_the_theme_is_revoked(scene: Scene) -> None:
    world = launched(scene)
    late = open_on(world, Channel.SMS)
    with ThreadPoolExecutor(1) as pool:
        with scene.begin() as planner:
            row = planner.get_one(Distribution, late.distribution_id)
            distributions.lock(planner, row.id)
            plans.evaluate(planner, distribution=row, audience=late.audience)
            chunk = plans.next_chunk(planner, row.id)
            assert chunk is not None
            line = late.product_line_id
            made = plans.plan_chunk(planner, distribution=row, product_line_id=line, chunk=chunk, since=(), now=now())
            assert made == CUSTOMERS
            row.state = DistributionState.SENDING
            planner.flush()
            world.take_down()
            undoing = pool.submit(world.undo)
            wait_for_a_lock(scene)
        assert undoing.result(timeout=10).state is ThemeState.REVOKED
    assert late.states() == {"cancelled": CUSTOMERS}


def test_no_distribution_is_opened_of_a_theme_that_was_taken_down(scene: Scene) -> None:
    world = launched(scene)
    world.take_down()
    world.undo()
    with scene.begin() as session:
        theme = service.theme_by_key(session, KEY)
        accounts = {Channel.PUSH: "push-main", Channel.EMAIL: "mail-main"}
        assert service.open_distributions(session, theme=theme, accounts=accounts, segment_as_of=now()) == []
    assert {one.state for one in world.progress()} == {DistributionState.CANCELLED}


def test_a_takedown_that_takes_long_is_one_alert_until_it_is_done(scene: Scene) -> None:
    world = launched(scene)
    world.push.at_work(lease=timedelta(hours=1)).claim(limit=1, replays_of=(), now=now())
    world.take_down()
    world.undo()
    assert scene.alerts() == []
    for _ in range(2):
        world.undo(at=now() + ALERT_AFTER + timedelta(seconds=1))
    (alert,) = scene.alerts()
    assert (alert.key, alert.times_seen) == (f"takedown:{KEY}:push", 2)
    assert "1 held by senders" in alert.text
    world.undo(at=now() + timedelta(hours=2))
    assert (world.state(), scene.alerts()) == (ThemeState.REVOKED, [])


def test_more_than_one_transactions_worth_is_cancelled_look_by_look(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.service.revocation.CANCEL_AT_ONCE", 8)
    world = launched(scene)
    world.take_down()
    assert world.states() == {"planned": CUSTOMERS - 8, "cancelled": 8}
    assert claim(world) == 0
    assert (world.undo().cancelled, world.revocations()[Channel.PUSH].cancelled) == (8, 16)
    assert world.undo().state is ThemeState.REVOKED
    assert world.revocations()[Channel.PUSH].cancelled == CUSTOMERS


def test_failures_of_a_theme_that_was_taken_down_are_not_retried(scene: Scene) -> None:
    world = launched(scene)
    run(sender(world.push, RecordingProvider(answer=refuse(ErrorClass.UNRECOGNISED))))
    world.take_down()
    world.undo()
    with scene.begin() as session:
        report = service.retry_failed(session, theme_key=KEY, now=now())
    assert (report.total_taken, report.left_by_reason) == (0, {"theme_over": CUSTOMERS})


def mixed(message: Message) -> Outcome:
    return refuse(ErrorClass.DOWN)(message) if message.address.endswith(("1", "3")) else accept(message)


def test_retrying_rows_are_cancelled_and_sums_hold(scene: Scene) -> None:
    guard_moves(scene.database, "deliveries", MOVES)
    world = launched(scene)
    asyncio.run(one_round(world, RecordingProvider(answer=mixed)))
    world.take_down()
    world.undo()
    states: dict[str, Any] = world.states()
    assert set(states) <= {"sent", "cancelled"}
    assert sum(states.values()) == CUSTOMERS


def test_what_waits_of_any_revision_is_cancelled(scene: Scene) -> None:
    world = launched(scene)
    world.push.change("DELETE FROM deliveries WHERE address LIKE '%1'")
    left = sum(world.states().values())
    add_revision(world)
    newer = open_on(world, Channel.PUSH)
    assert newer.plan().new == CUSTOMERS - left
    world.take_down()
    assert (world.states(), newer.states()) == ({"cancelled": left}, {"cancelled": CUSTOMERS - left})
    assert world.undo().state is ThemeState.REVOKED
    assert world.push.rows("SELECT state, count(*) FROM distributions GROUP BY 1") == [("cancelled", 2)]
