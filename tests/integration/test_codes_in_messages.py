"""Codes in messages on a real PostgreSQL: one a person, none twice, and back when nothing reached her."""

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError

from channels import service
from channels.message import Message, Outcome, PushContent, SmsContent
from channels.sender import Sender
from channels.service import cancellation, distribution, planning, retry, revocation, test_send
from channels.service import codes as service_codes
from channels.service.codes import coupons_of, give_back_codes
from channels.service.planning import PlanReport
from channels.service.retry import RetryReport
from channels.states import Channel, DeliveryState, ErrorClass
from models.database import Database
from models.queries import codes_reserved, plans, themes
from models.theme import Revision
from offers.claim_refusal import ClaimRefusal, ClaimRefused
from offers.code import SPACE, number_of, written
from offers.service import codes
from tests.integration.delivery_world import LEASE, RecordingProvider, World, make_world, refuse, run
from tests.integration.offers_world import NOON, THEME, offers_world
from tests.integration.scene import KEY, MORNING, TEMPLATES, Scene, theme_text
from themes.document import parse_theme
from themes.notation import Vocabulary
from themes.preflight import FindingKind, Outlook
from themes.recipient import MADE_UP_CODE
from themes.render import Renderer
from themes.revision import freeze, load
from themes.service.preflight import audience_of, look_ahead
from themes.theme import Theme
from themes.variables import codes_named

GIFT, SECOND = "women-20-off-100", "women-freight-15"
BODY = f"{{{{ code('{GIFT}') }}}}"
BOTH = f"{{{{ code('{GIFT}') }}}} {{{{ code('{SECOND}') }}}}"
OTHER_BODY = f"{{{{ code('{SECOND}') }}}}"
SMS_BODY = "{{ customer.name }}, {{ coupon('women-20-off-100').name }} until {{ window.to | date }}. {{ link }}"
PUSH_BODY = "body: \"{{ coupon('women-20-off-100').name }}\""
OTHER_COUPON = f"""coupons:
  - {{id: {SECOND}, preset: free_freight, name: Free freight, total: 9, valid: {{days: 30}}}}
"""


def now() -> datetime:
    return datetime.now(UTC)


def _numbers(count: int) -> list[int]:
    return [secrets.randbelow(SPACE) for _ in range(count)]


def saying(body: str) -> Theme:
    """The example theme; every channel says the same."""
    text_ = theme_text(
        ("coupons:\n", OTHER_COUPON),
        (SMS_BODY, body),
        (PUSH_BODY, f'body: "{body}"'),
    )
    return parse_theme(text_, templates=TEMPLATES, known=Vocabulary())


@dataclass(frozen=True, kw_only=True)
class CodesWorld:
    """A live theme whose messages carry codes, on one channel or on two for the same people."""

    database: Database
    theme: Theme
    worlds: Mapping[Channel, World]
    pools: dict[str, int] = field(default_factory=dict)

    @property
    def push(self) -> World:
        return self.worlds[Channel.PUSH]

    def fill(self, count: int, coupon: str = GIFT) -> None:
        with self.database.begin() as session:
            values = {"theme": self.push.theme_id, "line": self.push.product_line_id, "offer": coupon}
            sql = (
                "INSERT INTO code_pools (product_line_id, theme_id, offer) VALUES (:line, :theme, :offer) RETURNING id"
            )
            if coupon not in self.pools:
                self.pools[coupon] = session.scalars(text(sql), values).one()
            made = [{"number": number, "pool": self.pools[coupon]} for number in _numbers(count)]
            if made:
                session.execute(text("INSERT INTO codes (number, pool_id) VALUES (:number, :pool)"), made)

    def share(self, code: str, coupon: str = GIFT) -> None:
        self.push.change(
            "INSERT INTO code_pools (product_line_id, theme_id, offer, shared)"
            " VALUES (:line, :theme_id, :offer, :code)",
            offer=coupon,
            code=code,
        )

    def plan(self, channel: Channel = Channel.PUSH, *, again: bool = False) -> PlanReport:
        world, verb = self.worlds[channel], planning.plan_again if again else planning.plan
        report = verb(
            self.database,
            distribution_id=world.distribution_id,
            audience_of=lambda *_: world.audience,
            now=now(),
            coupons_of=coupons_of,
        )
        assert report is not None
        return report

    def mend(self, *, after: timedelta = timedelta(minutes=2)) -> dict[int, int]:
        at = now() + after
        audience = self.push.audience
        found = planning.plan_missing(
            self.database, audience_of=lambda *_: audience, now=at, coupons_of=coupons_of, check_every=timedelta(days=1)
        )
        own = {world.distribution_id for world in self.worlds.values()}
        return {key: count for key, count in found.made.items() if key in own}

    def send(self, provider: RecordingProvider, channel: Channel = Channel.PUSH) -> None:
        world, renderer = self.worlds[channel], Renderer(self.theme, channel)
        ledger = self.ledger(channel)
        run(Sender(ledger=ledger, lines=[world.line(provider)], render=renderer.render, lease=LEASE))

    def ledger(self, channel: Channel = Channel.PUSH) -> service.Ledger:
        distribution_id = self.worlds[channel].distribution_id
        coupons = codes_named(self.theme, channel)
        return service.Ledger(
            database=self.database, distribution_id=distribution_id, owner=uuid4(), lease=LEASE, coupons=coupons
        )

    def retry(self, **values: Any) -> RetryReport:
        with self.database.begin() as session:
            return retry.retry_failed(session, theme_key=self.push.theme_key, now=now(), **values)

    def give_back(self, at: datetime | None = None) -> int:
        with self.database.begin() as session:
            return give_back_codes(session, now=at or now())

    def reserved(self, coupon: str = GIFT) -> dict[str, int]:
        """Customer -> the number of her code."""
        sql = (
            "SELECT cu.external_id, c.number FROM codes c JOIN customers cu ON cu.id = c.customer_id"
            " WHERE c.pool_id = :pool"
        )
        return dict(self.push.rows(sql, pool=self.pools[coupon]))

    def planned(self, channel: Channel = Channel.PUSH) -> set[str]:
        sql = (
            "SELECT cu.external_id FROM deliveries dl JOIN customers cu ON cu.id = dl.customer_id"
            " WHERE dl.distribution_id = :distribution_id"
        )
        return {row[0] for row in self.worlds[channel].rows(sql)}

    def left_out(self, channel: Channel = Channel.PUSH) -> dict[str, str]:
        sql = (
            "SELECT c.external_id, l.reason FROM left_out l JOIN customers c ON c.id = l.customer_id"
            " WHERE l.distribution_id = :distribution_id"
        )
        return dict(self.worlds[channel].rows(sql))

    def put(self, who: str, channel: Channel = Channel.PUSH, **values: object) -> None:
        columns = ", ".join(f"{name} = :{name}" for name in values)
        sql = (
            f"UPDATE deliveries SET {columns} WHERE distribution_id = :distribution_id AND customer_id ="  # noqa: S608 - names of ours
            " (SELECT id FROM customers WHERE product_line_id = :line AND external_id = :who)"
        )
        self.worlds[channel].change(sql, who=who, **values)

    def fail(self, who: str, channel: Channel = Channel.PUSH, **values: object) -> None:
        self.put(who, channel, **{"state": "failed", "error_class": "down", "tries": 1, **values})


def codes_world(
    database: Database, *, customers: int, body: str = BODY, channels: Sequence[Channel] = (Channel.PUSH,)
) -> CodesWorld:
    push, theme = make_world(database, customers=customers), saying(body)
    with database.begin() as session:
        frozen = dict(freeze(theme).content)
        own = session.execute(text("SELECT revision_id FROM themes WHERE id = :id"), {"id": push.theme_id}).scalar_one()
        session.get_one(Revision, own).content = frozen
    worlds = {Channel.PUSH: push}
    for channel in channels:
        if channel is not Channel.PUSH:
            worlds[channel] = _beside(push, channel)
    return CodesWorld(database=database, theme=theme, worlds=worlds)


def _beside(push: World, channel: Channel) -> World:
    """The same people on another channel."""
    key = f"{push.account_key}-{channel}"
    for table, columns in (("addresses", "address, original"), ("consents", "granted, source, recorded_at")):
        push.change(
            f"INSERT INTO {table} (customer_id, channel, {columns}) SELECT customer_id, :channel, {columns}"  # noqa: S608 - names of ours
            f" FROM {table} WHERE channel = 'push' AND customer_id IN"
            " (SELECT id FROM customers WHERE product_line_id = :line)",
            channel=channel,
        )
    with push.database.begin() as session:
        service.upsert_account(
            session, key=key, product_line_id=push.product_line_id, channel=channel, provider="recording",
            settings={}, secrets=None,
        )  # fmt: skip
        theme = service.theme_by_key(session, push.theme_key)
        (opened,) = service.open_distributions(session, theme=theme, accounts={channel: key}, segment_as_of=now())
        return World(
            database=push.database, theme_key=push.theme_key, theme_id=push.theme_id,
            product_line_id=push.product_line_id, distribution_id=opened.id, account_key=key, channel=channel,
        )  # fmt: skip


def bodies(provider: RecordingProvider) -> dict[str, str]:
    """Customer -> what she read last."""
    sent = [message for call in provider.calls for message in call]
    return {m.address.rpartition("-")[2]: m.content.body for m in sent if isinstance(m.content, PushContent)}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "CHUNK", 4)


def test_everybody_reads_a_code_of_her_own(database: Database) -> None:
    world = codes_world(database, customers=10)
    world.fill(12)

    assert world.plan().states == {DeliveryState.PLANNED: 10}
    provider = RecordingProvider(batch_size=4)
    world.send(provider)

    read = {who: number_of(code) for who, code in bodies(provider).items()}
    assert read == world.reserved()
    assert len(set(read.values())) == 10
    assert world.push.states() == {"sent": 10}


def test_a_code_that_all_share_is_read_by_all_and_nothing_is_reserved(database: Database) -> None:
    world = codes_world(database, customers=5, body=BOTH)
    world.share(f"SPRING{world.push.theme_id}")
    world.fill(5, SECOND)

    world.plan()
    provider = RecordingProvider()
    world.send(provider)

    own = world.reserved(SECOND)
    assert bodies(provider) == {who: f"SPRING{world.push.theme_id} {written(own[who])}" for who in own}
    assert len(own) == 5


def test_of_a_pool_that_runs_short_nobody_is_planned_without_a_code(database: Database) -> None:
    world = codes_world(database, customers=10)
    world.fill(6)

    report = world.plan()

    assert report.states == {DeliveryState.PLANNED: 6}
    assert report.left_out == {"no_code": 4}
    assert set(world.reserved()) == world.planned() == {f"c{n}" for n in range(1, 7)}
    assert world.left_out() == dict.fromkeys(["c7", "c8", "c9", "c10"], "no_code")


def test_a_pool_that_is_filled_again_brings_those_who_waited_without_a_touch_on_the_others(database: Database) -> None:
    world = codes_world(database, customers=10)
    world.fill(6)
    world.plan()
    before = world.reserved()
    assert world.mend() == {}

    world.fill(3)

    assert world.mend(after=timedelta()) == {}  # asked no sooner than a minute after
    assert world.mend() == {world.push.distribution_id: 3}
    assert {who: world.reserved()[who] for who in before} == before
    assert world.left_out() == {"c10": "no_code"}
    world.fill(5)
    assert world.plan(again=True).states == {DeliveryState.PLANNED: 10}
    assert world.left_out() == {}


def test_without_a_pool_nobody_is_planned_until_there_is_one(database: Database) -> None:
    world = codes_world(database, customers=3)
    assert world.plan().left_out == {"no_code": 3}
    assert world.mend() == {}

    world.share(f"LATER{world.push.theme_id}")

    assert world.mend() == {world.push.distribution_id: 3}


def test_who_gets_no_message_takes_no_code(database: Database) -> None:
    world = codes_world(database, customers=6)
    own = "customer_id IN (SELECT id FROM customers WHERE product_line_id = :line AND external_id = :who)"
    world.push.change(f"UPDATE consents SET granted = false WHERE {own}", who="c1")  # noqa: S608
    world.push.change(f"UPDATE addresses SET valid = false WHERE {own}", who="c2")  # noqa: S608
    world.push.change(
        "UPDATE addresses SET address = (SELECT address FROM addresses a JOIN customers c ON c.id = a.customer_id"  # noqa: S608
        f" WHERE c.product_line_id = :line AND c.external_id = 'c3') WHERE {own}",
        who="c5",
    )
    world.push.change(
        "INSERT INTO suppressions (product_line_id, channel, address, reason, source, created_at)"  # noqa: S608
        f" SELECT :line, 'push', address, 'by_hand', 'test', now() FROM addresses WHERE {own}",
        who="c4",
    )
    world.fill(2)

    report = world.plan()

    assert report.states == {DeliveryState.PLANNED: 2, DeliveryState.SUPPRESSED: 1}
    assert set(world.reserved()) == {"c3", "c6"}
    assert world.left_out() == {"c1": "no_consent", "c2": "invalid", "c5": "duplicate"}


def test_two_channels_carry_the_same_code_and_a_pool_as_large_as_the_audience_is_enough(database: Database) -> None:
    world = codes_world(database, customers=9, channels=[Channel.PUSH, Channel.SMS])
    world.fill(9)

    assert world.plan().planned == world.plan(Channel.SMS).planned == 9
    provider = RecordingProvider()
    world.send(provider)

    assert {who: number_of(code) for who, code in bodies(provider).items()} == world.reserved()


def test_who_lacks_one_of_two_codes_keeps_none_of_the_other_from_anybody(database: Database) -> None:
    world = codes_world(database, customers=8, body=BOTH)
    world.fill(8)
    world.fill(3, SECOND)

    assert world.plan().left_out == {"no_code": 5}

    assert set(world.reserved()) == set(world.reserved(SECOND)) == world.planned() == {"c1", "c2", "c3"}


def test_who_has_the_code_of_one_coupon_already_is_given_the_other_alone(database: Database) -> None:
    world = codes_world(database, customers=4, body=BOTH)
    world.fill(4)
    world.fill(4, SECOND)
    world.plan()
    world.push.change("DELETE FROM deliveries WHERE distribution_id = :distribution_id")
    world.push.change("UPDATE codes SET customer_id = NULL WHERE pool_id = :pool", pool=world.pools[SECOND])
    before = world.reserved()

    assert world.plan(again=True).new == 4

    assert world.reserved() == before
    assert len(world.reserved(SECOND)) == 4


# Races


def plan_both(world: CodesWorld) -> list[PlanReport]:
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(world.plan, (Channel.PUSH, Channel.SMS)))


def start_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have looked who lacks a code before either reserves one."""
    barrier, reserve = Barrier(2), codes_reserved.reserve

    def together(*args: Any, **values: Any) -> None:
        barrier.wait(timeout=10)
        reserve(*args, **values)

    monkeypatch.setattr(codes_reserved, "reserve", together)


@pytest.mark.parametrize("codes", [40, 25])
def test_two_channels_planned_at_once_give_each_person_one_code_and_no_code_twice(
    database: Database, codes: int
) -> None:
    for _ in range(3):
        world = codes_world(database, customers=40, channels=[Channel.PUSH, Channel.SMS])
        world.fill(codes)

        reports = plan_both(world)

        assert len(world.reserved()) == codes
        assert all(report.states == {DeliveryState.PLANNED: codes} for report in reports)
        assert world.planned() == world.planned(Channel.SMS) == set(world.reserved())


def without_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes_reserved, "hold", lambda *_: None)
    start_together(monkeypatch)
    monkeypatch.setattr(plans, "CHUNK", 100)


def test_without_taking_turns_the_unique_index_still_refuses_a_second_code(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = codes_world(database, customers=40, channels=[Channel.PUSH, Channel.SMS])
    world.fill(80)
    without_turns(monkeypatch)

    # Two who each wait for a customer of the other at that index are told of a deadlock instead.
    with pytest.raises((IntegrityError, OperationalError), match="uq_codes_reserved"):
        plan_both(world)


@pytest.fixture
def unguarded(database: Database) -> Iterator[Database]:
    sql = "CREATE UNIQUE INDEX uq_codes_reserved ON codes (pool_id, customer_id) WHERE customer_id IS NOT NULL"
    with database.begin() as session:
        session.execute(text("DROP INDEX uq_codes_reserved"))
        session.execute(text(sql.replace("UNIQUE ", "").replace("uq_", "ix_x_")))
    yield database
    with database.begin() as session:
        session.execute(text("DELETE FROM codes"))
        session.execute(text(sql))
        session.execute(text("DROP INDEX ix_x_codes_reserved"))


def test_with_neither_guard_people_have_two_codes(unguarded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    world = codes_world(unguarded, customers=40, channels=[Channel.PUSH, Channel.SMS])
    world.fill(80)
    without_turns(monkeypatch)

    plan_both(world)

    ((twice,),) = world.push.rows(
        "SELECT count(*) FROM (SELECT customer_id FROM codes WHERE pool_id = :pool AND customer_id IS NOT NULL"
        " GROUP BY customer_id HAVING count(*) > 1) AS several",
        pool=world.pools[GIFT],
    )
    assert twice > 0


def planned_while_given_back(world: CodesWorld) -> int:
    """Plan by SMS somebody whose push failed, and give codes back between her code and her row."""
    insert = plans._rows
    freed = []
    with ThreadPoolExecutor(1) as threads, pytest.MonkeyPatch.context() as patch:

        def late(*args: Any) -> Any:
            freed.append(threads.submit(world.give_back))
            with contextlib.suppress(TimeoutError):  # it waits for us, as it should
                freed[0].result(timeout=1)
            return insert(*args)

        patch.setattr(plans, "_rows", late)
        world.plan(Channel.SMS)
        return freed[0].result(timeout=10)


def failed_on_push(database: Database) -> CodesWorld:
    world = codes_world(database, customers=1, channels=[Channel.PUSH, Channel.SMS])
    world.fill(1)
    world.plan()
    world.fail("c1")
    return world


def test_a_code_is_not_given_back_under_a_planner_that_counts_on_it(database: Database) -> None:
    world = failed_on_push(database)
    assert planned_while_given_back(world) == 0
    assert set(world.reserved()) == world.planned(Channel.SMS) == {"c1"}


def test_without_taking_turns_it_would_be(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    world = failed_on_push(database)
    monkeypatch.setattr(codes_reserved, "hold", lambda *_: None)
    assert planned_while_given_back(world) == 1
    assert world.reserved() == {}


# Given back


LOST = ["failed", "suppressed", "cancelled", "expired", "capped"]


def test_a_code_is_free_again_once_no_message_to_her_can_arrive(database: Database) -> None:
    world = codes_world(database, customers=6, channels=[Channel.PUSH, Channel.SMS])
    world.fill(6)
    world.plan()
    world.plan(Channel.SMS)
    for number, state in enumerate(LOST, start=1):
        world.put(f"c{number}", state=state, error_class="down" if state == "failed" else None)
    assert world.give_back() == 0  # the other channel may still bring it

    for number in range(1, 6):
        world.put(f"c{number}", Channel.SMS, state="cancelled")

    assert world.give_back() == 5
    assert set(world.reserved()) == {"c6"}
    assert world.give_back() == 0


def attempt(world: CodesWorld, who: str, error: str | None) -> None:
    world.push.change(
        "INSERT INTO attempts (delivery_seq, number, account_id, began_at, latency_ms, error_class, code, detail)"
        " SELECT dl.seq, 1, 1, now(), 1, :error, '', '' FROM deliveries dl JOIN customers c ON c.id = dl.customer_id"
        " WHERE dl.distribution_id = :distribution_id AND c.external_id = :who",
        who=who,
        error=error,
    )


def test_a_code_that_may_have_reached_her_or_was_claimed_stays_hers(database: Database) -> None:
    world = codes_world(database, customers=7)
    world.fill(7)
    world.plan()
    world.put("c1", state="unknown", error_class="unknown_outcome")
    world.put("c2", state="sent", sent_at=now())
    world.fail("c3", sent_at=now())  # it bounced
    world.fail("c4")
    attempt(world, "c4", "unknown_outcome")  # in doubt once, and sent again
    world.fail("c5")
    attempt(world, "c5", "down")
    world.fail("c6")
    world.push.change("UPDATE codes SET held_id = 1 WHERE number = :number", number=world.reserved()["c6"])

    assert world.give_back() == 1

    assert set(world.reserved()) == {"c1", "c2", "c3", "c4", "c6", "c7"}


def test_a_code_that_is_given_back_is_given_to_whoever_waits(database: Database) -> None:
    world = codes_world(database, customers=3)
    world.fill(2)
    world.plan()
    world.fail("c1")
    assert world.give_back() == 1

    assert world.mend() == {world.push.distribution_id: 1}

    assert set(world.reserved()) == {"c2", "c3"}
    assert world.left_out() == {}  # c1 has a row: it failed


def test_a_code_that_is_just_being_claimed_is_passed_over(database: Database) -> None:
    world = codes_world(database, customers=1)
    world.fill(1)
    world.plan()
    world.fail("c1")
    with database.begin() as claim:
        claim.execute(text("UPDATE codes SET held_id = 5 WHERE pool_id = :pool"), {"pool": world.pools[GIFT]})
        assert world.give_back() == 0
    assert world.give_back() == 0
    assert set(world.reserved()) == {"c1"}


def test_the_sweep_gives_codes_back(database: Database) -> None:
    world = codes_world(database, customers=3)
    world.fill(3)
    world.plan()
    world.fail("c1")
    world.push.change("UPDATE distributions SET expires_at = now() - interval '1 second' WHERE id = :distribution_id")
    with database.begin() as session:
        swept = distribution.sweep_deliveries(session, now=now())
    assert swept.codes == 3
    assert world.reserved() == {}


def test_a_large_theme_is_looked_at_in_its_turn_and_once_it_is_complete_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = codes_world(database, customers=3)
    world.fill(3)
    world.plan()
    world.fail("c1")
    monkeypatch.setattr(service_codes, "ROWS_A_SWEEP", 1)  # three rows: one sweep of four
    sweeps = [now() + number * timedelta(seconds=30) for number in range(4)]
    assert sum(service_codes.has_turn(7, 3, at) for at in sweeps) == 1
    other = next(at for at in sweeps if not service_codes.has_turn(world.push.theme_id, 3, at))
    assert world.give_back(other) == 0
    world.push.change("UPDATE deliveries SET state = 'cancelled' WHERE distribution_id = :distribution_id")
    with database.begin() as session:
        assert distribution.sweep_deliveries(session, now=other).codes == 3


def test_a_recalled_theme_gives_all_its_codes_back(database: Database) -> None:
    world = codes_world(database, customers=3)
    world.fill(3)
    world.plan()
    world.push.set_theme("draft")
    with database.begin() as session:
        distribution.give_back(session, theme_id=world.push.theme_id, now=now())
    assert world.reserved() == {}


def test_a_cancelled_channel_gives_back_the_codes_of_those_whom_no_other_reaches(database: Database) -> None:
    world = codes_world(database, customers=3, channels=[Channel.PUSH, Channel.SMS])
    world.fill(3)
    world.plan()
    world.plan(Channel.SMS)
    world.put("c1", Channel.SMS, state="cancelled")
    with database.begin() as session:
        cancellation.cancel_channel(session, theme_key=world.push.theme_key, channel=Channel.PUSH, by="ann", now=now())
    assert set(world.reserved()) == {"c2", "c3"}


def test_a_takedown_gives_back_what_reached_nobody(database: Database) -> None:
    world = codes_world(database, customers=3)
    world.fill(3)
    world.plan()
    world.put("c2", state="sent", sent_at=now())
    world.push.set_theme("revoking")
    with database.begin() as session:
        look = revocation.undo_channel(session, theme_id=world.push.theme_id, channel=Channel.PUSH, now=now())
    assert look.cancelled == 2
    assert set(world.reserved()) == {"c2"}


# Retried


def test_who_is_retried_has_a_code_again(database: Database) -> None:
    world = codes_world(database, customers=3)
    world.fill(3)
    world.plan()
    for who in ("c1", "c2"):
        world.fail(who)
    kept = world.reserved()["c3"]
    assert world.give_back() == 2

    assert world.retry(dry_run=True).total_taken == 2
    assert set(world.reserved()) == {"c3"}  # only looked at
    assert world.retry().total_taken == 2

    assert set(world.reserved()) == {"c1", "c2", "c3"}
    provider = RecordingProvider()
    world.send(provider)
    assert {who: number_of(code) for who, code in bodies(provider).items()} == world.reserved()
    assert world.reserved()["c3"] == kept


def test_whose_code_is_gone_to_somebody_else_is_left_by_a_retry_until_there_are_more(database: Database) -> None:
    world = codes_world(database, customers=4)
    world.fill(3)
    world.plan()
    world.fail("c1")
    world.fail("c2")
    world.give_back()
    world.mend()  # c4 has one of the two now

    report = world.retry()

    assert (report.total_taken, report.left_by_reason) == (1, {"no_code": 1})
    assert retry.LEFT_BECAUSE["no_code"]
    world.fill(1)
    assert world.retry().total_taken == 1


def test_a_retry_takes_no_code_for_whom_it_leaves(database: Database) -> None:
    world = codes_world(database, customers=2)
    world.fill(2)
    world.plan()
    world.fail("c1")
    world.fail("c2")
    world.give_back()
    world.push.change("DELETE FROM codes WHERE number = :number", number=_first_free(world))
    world.push.change(
        "UPDATE consents SET granted = false WHERE customer_id ="
        " (SELECT id FROM customers WHERE product_line_id = :line AND external_id = 'c1')"
    )

    report = world.retry()

    assert (report.total_taken, report.left_by_reason) == (1, {"no_consent": 1})
    assert set(world.reserved()) == {"c2"}


def _first_free(world: CodesWorld) -> int:
    return int(world.push.rows("SELECT min(number) FROM codes WHERE pool_id = :pool", pool=world.pools[GIFT])[0][0])


# Secrets, and what costs nothing where there are none


def test_a_provider_that_repeats_the_message_puts_no_code_on_record(database: Database) -> None:
    world = codes_world(database, customers=2)
    world.fill(2)
    world.plan()

    def repeating(message: Message) -> Outcome:
        assert isinstance(message.content, PushContent)
        answered = refuse(ErrorClass.BAD_RECIPIENT)(message)
        answered.detail = f"blocked: {message.content.body}"
        return answered

    world.send(RecordingProvider(answer=repeating))

    told = world.push.rows(
        "SELECT a.detail FROM attempts a JOIN deliveries dl ON dl.seq = a.delivery_seq"
        " WHERE dl.distribution_id = :distribution_id"
    )
    assert told == [("blocked: (code)",)] * 2


def test_a_row_whose_code_was_lost_fails_and_says_which_without_any(database: Database) -> None:
    world = codes_world(database, customers=1)
    world.fill(1)
    world.plan()
    world.push.change("DELETE FROM codes WHERE pool_id = :pool", pool=world.pools[GIFT])
    world.send(RecordingProvider())
    ((state, code),) = world.push.rows(
        "SELECT state, error_code FROM deliveries WHERE distribution_id = :distribution_id"
    )
    assert (state, code) == ("failed", "render")


def test_where_no_message_carries_a_code_none_is_asked_for(database: Database) -> None:
    world = codes_world(database, customers=4, body="Hello")
    said: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *args: said.append(args[2]))

    world.plan()
    ledger = world.ledger()
    ledger.enter(now())
    assert len(ledger.claim(limit=4, replays_of=(), now=now()).deliveries) == 4

    assert not [statement for statement in said if "code_pools" in statement or " codes" in statement]


def test_codes_come_with_the_claim_and_not_by_a_statement_of_their_own(database: Database) -> None:
    counts = []
    for body in ("Hello", BODY):
        world = codes_world(database, customers=4, body=body)
        world.fill(4)
        world.plan()
        ledger = world.ledger()
        ledger.enter(now())
        said: list[str] = []

        def note(*args: Any, into: list[str] = said) -> None:
            into.append(args[2])

        event.listen(database.engine, "before_cursor_execute", note)
        assert len(ledger.claim(limit=4, replays_of=(), now=now()).deliveries) == 4
        event.remove(database.engine, "before_cursor_execute", note)
        counts.append(len(said))
    assert counts[0] == counts[1]


# A theme that people write


def drafted(scene: Scene, body: str) -> None:
    text_ = theme_text(("coupons:\n", OTHER_COUPON), (SMS_BODY, body), (PUSH_BODY, f'body: "{body}"'))
    scene.draft(text_)


def outlook(scene: Scene) -> Outlook:
    with scene.begin() as session:
        theme = themes.theme_by_key(session, KEY)
        assert theme is not None
        value = load(theme.draft)
        return look_ahead(session, theme=theme, value=value, public_url="https://go.example.com", now=MORNING)


def short(scene: Scene) -> list[str]:
    return [one.text for one in outlook(scene).findings if one.kind is FindingKind.TOO_FEW_CODES]


def make_codes(scene: Scene, count: int, coupon: str = GIFT) -> None:
    with scene.begin() as session:
        codes.generate(session, theme_key=KEY, offer=coupon, count=count, by="ann", now=scene.now)


def test_a_preflight_compares_the_pool_with_the_people_who_need_a_code(scene: Scene) -> None:
    drafted(scene, BODY)
    # Of fourteen two share a number and one has none: by SMS thirteen, by push fourteen, and fourteen in all.
    scene.run("UPDATE addresses SET address = '+447700900199' WHERE channel = 'sms' AND customer_id IN (4, 5)")
    assert short(scene) == [f"{GIFT}: 0 codes for 14 people whose message carries one"]

    make_codes(scene, 13)
    assert short(scene) == [f"{GIFT}: 13 codes for 14 people whose message carries one"]

    scene.run("UPDATE codes SET customer_id = 1 WHERE number = (SELECT min(number) FROM codes)")
    assert short(scene) == [f"{GIFT}: 13 codes for 14 people whose message carries one"]  # she needs no other

    make_codes(scene, 1)
    assert short(scene) == []


def test_a_preflight_counts_codes_of_each_coupon_for_the_channels_that_carry_it(scene: Scene) -> None:
    scene.draft(theme_text(("coupons:\n", OTHER_COUPON), (SMS_BODY, BODY), (PUSH_BODY, f'body: "{OTHER_BODY}"')))
    scene.run("DELETE FROM addresses WHERE channel = 'sms' AND customer_id = 1")
    with scene.begin() as session:
        codes.share(session, theme_key=KEY, offer=SECOND, code="FREEFREIGHT", by="ann", now=scene.now)
    assert short(scene) == [f"{GIFT}: 0 codes for 13 people whose message carries one"]


def test_a_test_message_takes_no_code_and_shows_one_that_nobody_has(scene: Scene) -> None:
    scene.run("UPDATE people SET phone = '+447700900123' WHERE login = 'ann'")
    drafted(scene, BODY)
    make_codes(scene, 3)
    with scene.begin() as session:
        prepared = test_send.prepare(
            session, theme_key=KEY, channel=Channel.SMS, login="ann", by="ann", public_url="https://x", now=MORNING
        )
    assert isinstance(prepared.content, SmsContent)
    assert prepared.content.text == MADE_UP_CODE
    with scene.begin() as session:
        taken = session.scalars(text("SELECT count(*) FROM codes WHERE customer_id IS NOT NULL OR held_id IS NOT NULL"))
        assert taken.one() == 0


def test_a_code_out_of_a_message_is_claimed_by_its_reader_alone_and_then_stays_hers(scene: Scene) -> None:
    world = offers_world(scene, ("see {{ link }}", "use {{ code('own-code') }}"), many_codes=20)
    with scene.begin() as session:
        theme = service.theme_by_key(session, THEME)
        (opened,) = service.open_distributions(
            session, theme=theme, accounts={Channel.SMS: "sms-main"}, segment_as_of=NOON
        )
        audience = audience_of(theme, load(theme.draft), as_of=NOON)
    report = planning.plan(
        scene.database, distribution_id=opened.id, audience_of=lambda *_: audience, now=NOON, coupons_of=coupons_of
    )
    assert report.planned == 8
    reserved = world.rows(
        "SELECT cu.external_id, c.number FROM codes c JOIN customers cu ON cu.id = c.customer_id ORDER BY 1"
    )
    ((reader, number), (other, _), *_) = reserved

    refused = world.claim(other, code=written(number)).refusal
    assert isinstance(refused, ClaimRefused)
    assert refused.why is ClaimRefusal.CODE_TAKEN
    assert world.claim(reader, code=written(number)).refusal is None

    scene.run("UPDATE deliveries SET state = 'cancelled'")
    with scene.begin() as session:
        assert give_back_codes(session, now=NOON) == 7
    assert world.rows("SELECT customer_id FROM codes WHERE held_id IS NOT NULL") == [(world.customer_id(reader),)]
