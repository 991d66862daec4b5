"""Several accounts of a pool carry one distribution: by weight, and for each other."""

import asyncio
from collections import Counter
from uuid import uuid4

from channels import service
from channels.message import Message, Outcome
from channels.states import Channel, ErrorClass
from models.database import Database
from tests.integration.delivery_world import RecordingProvider, World, accept, make_world, refuse, run, until


def second_account(world: World, *, weight: int = 1) -> int:
    """Another account, in a pool with the world's own."""
    key = f"second-{uuid4().hex[:6]}"
    with world.database.begin() as session:
        made = service.upsert_account(
            session,
            key=key,
            product_line_id=world.product_line_id,
            channel=Channel.PUSH,
            provider="recording",
            settings={},
            secrets=None,
        ).id
    world.change(
        "UPDATE provider_accounts SET pool = :pool, weight = CASE WHEN key = :key THEN :weight ELSE 1 END"
        " WHERE key IN (:key, :own)",
        pool=f"pool-{key}", key=key, own=world.account_key, weight=weight,
    )  # fmt: skip
    return made


def both(world: World, own: RecordingProvider, other: RecordingProvider, account_id: int, **values: int):  # type: ignore[no-untyped-def] # noqa: ANN201 - a sender
    lines = [world.line(own, **values), world.line(other, account_id=account_id, key="second", **values)]
    return world.sender(own, lines=lines)


def let_pauses_pass(world: World) -> None:
    world.change("UPDATE deliveries SET due_at = now() WHERE distribution_id = :distribution_id AND due_at > now()")


def test_accounts_share_the_work_by_their_weights_and_each_attempt_names_its_own(database: Database) -> None:
    world = make_world(database, customers=400)
    world.plan()
    account_id = second_account(world, weight=3)
    own, other = RecordingProvider(seconds=0.001), RecordingProvider(seconds=0.001)
    run(both(world, own, other, account_id, concurrency=400))
    assert world.states() == {"sent": 400}
    assert set((own.reached + other.reached).values()) == {1}
    assert 0.15 < sum(own.reached.values()) / 400 < 0.4  # one in four
    tried = dict(
        world.rows(
            "SELECT a.account_id, count(*) FROM attempts a JOIN deliveries d ON d.seq = a.delivery_seq"
            " WHERE d.distribution_id = :distribution_id GROUP BY 1"
        )
    )
    assert tried == {world.account_id: sum(own.reached.values()), account_id: sum(other.reached.values())}


def test_what_an_account_turns_away_goes_out_by_the_other_without_waiting_for_it(database: Database) -> None:
    world = make_world(database, customers=60)
    world.plan()
    account_id = second_account(world)
    down, up = RecordingProvider(batch_size=5, answer=refuse(ErrorClass.DOWN)), RecordingProvider(batch_size=5)
    for _ in range(20):
        (report,) = run(both(world, down, up, account_id))
        if report.next_due_at is None:
            break
        let_pauses_pass(world)
    assert world.states() == {"sent": 60}
    assert len(up.reached) == 60
    assert len(down.calls) <= 8  # what was in flight at the first refusal


def test_an_account_of_weight_nothing_stands_in_only_while_no_other_is_open(database: Database) -> None:
    world = make_world(database, customers=40)
    world.plan()
    account_id = second_account(world, weight=0)
    own, spare = RecordingProvider(), RecordingProvider()
    run(both(world, own, spare, account_id))
    assert (len(own.reached), len(spare.reached)) == (40, 0)

    again = make_world(database, customers=40)
    again.plan()
    account_id = second_account(again, weight=0)
    with database.begin() as session:
        service.pause_account(session, key=again.account_key, because="maintenance")
    run(both(again, own, spare, account_id))
    assert (len(own.reached), len(spare.reached)) == (40, 40)
    assert again.states() == {"sent": 40}


def test_credentials_that_one_account_refuses_pause_that_account_alone(database: Database) -> None:
    world = make_world(database, customers=200)
    world.plan()
    account_id = second_account(world)
    broken, sound = RecordingProvider(answer=refuse(ErrorClass.CONFIG)), RecordingProvider(seconds=0.001)
    (report,) = run(both(world, broken, sound, account_id, concurrency=2))
    assert report.closed_because is None
    states = world.states()
    assert set(states) == {"sent", "failed"}
    assert states["failed"] == len(broken.calls) <= 4
    paused = world.rows(
        "SELECT count(*) FROM provider_accounts a JOIN themes t USING (product_line_id)"
        " WHERE t.id = :theme_id AND a.paused_because IS NOT NULL",
        theme_id=world.theme_id,
    )
    assert paused == [(1,)]


def test_a_call_in_doubt_is_replayed_by_the_account_that_made_it(database: Database) -> None:
    world = make_world(database, customers=30)
    world.plan()
    account_id = second_account(world)
    lost_once: set[str] = set()

    def lose_first(message: Message) -> Outcome:
        if message.address.endswith("7") and message.address not in lost_once:
            lost_once.add(message.address)
            return refuse(ErrorClass.UNKNOWN_OUTCOME)(message)
        return accept(message)

    own, other = (RecordingProvider(keys=True, answer=lose_first) for _ in range(2))
    for _ in range(30):
        (report,) = run(both(world, own, other, account_id))
        if report.next_due_at is None:
            break
        let_pauses_pass(world)
    assert world.states() == {"sent": 30}
    # whoever lost the answer was asked again, with the same key, and the other one never
    assert set((own.reached + other.reached).values()) == {1}
    keys = Counter(message.key for provider in (own, other) for call in provider.calls for message in call)
    assert sorted(keys.values())[-len(lost_once) :] == [2] * len(lost_once) == [2, 2, 2]


def test_a_paused_account_takes_part_again_once_it_is_resumed(database: Database) -> None:
    world = make_world(database, customers=4_000)
    world.plan()
    account_id = second_account(world)
    own, other = RecordingProvider(seconds=0.004), RecordingProvider(seconds=0.004)

    def resume() -> None:
        with database.begin() as session:
            service.resume_account(session, key=world.account_key)

    with database.begin() as session:
        service.pause_account(session, key=world.account_key, because="maintenance")

    async def scenario() -> None:
        work = asyncio.create_task(both(world, own, other, account_id, concurrency=2).run())
        await until(lambda: len(other.calls) >= 20)
        assert not own.calls
        await asyncio.to_thread(resume)
        await until(lambda: bool(own.calls))
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)

    asyncio.run(scenario())
