"""No batch over a distribution reads more than its own rows, whatever the statistics know of the tables.

A launch plans a million rows that PostgreSQL has not counted yet, and later themes come after the counting. Each of
these is where a plan has once gone through all that is there, and with a million rows that took minutes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from audience.limits_file import read_limits
from channels.message import Receipt, ReceiptKind
from channels.service import receipts as told_receipts
from channels.service.limits import apply_limits
from channels.states import Channel, DeliveryState, ErrorClass
from models.database import Database
from models.queries import (
    codes_reserved,
    deliveries,
    distributions,
    failures,
    inquiries,
    limits,
    pending,
    retries,
    subscriptions,
)
from models.queries.arrays import plain_array
from models.queries.deliveries import Result
from tests.integration.delivery_world import World, make_world

CUSTOMERS = 10_000
BATCH = 50
#: Rows that a batch may read for each row of its own, over all tables that grow with the audience.
EACH = 15
GROWING = (
    "deliveries", "attempts", "customers", "consents", "suppressions", "receipts", "inquiries", "cap_turns",
    "cap_reservations", "one_time_subscriptions", "subscription_uses", "codes",
)  # fmt: skip
NOW = datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some rows of a distribution, and whoever holds them."""

    world: World
    seqs: list[int]
    ids: list[UUID]
    owner: UUID

    @property
    def own(self) -> dict[str, Any]:
        return {"distribution_id": self.world.distribution_id, "now": NOW}


Work = Callable[[Session, Batch], None]
OPERATIONS: dict[str, tuple[Work, Work]] = {}  # what comes first, and what is measured


def operation(prepare: Work) -> Callable[[Work], Work]:
    def register(work: Work) -> Work:
        OPERATIONS[work.__name__.replace("_", " ")] = (prepare, work)
        return work

    return register


def put(session: Session, batch: Batch, **values: object) -> None:
    columns = ", ".join(f"{name} = :{name}" for name in values)
    sql = f"UPDATE deliveries SET {columns} WHERE id = ANY(:ids)"  # noqa: S608 - names of ours
    session.execute(text(sql), {"ids": batch.ids, **values})


def some_handed_out(session: Session, batch: Batch) -> None:
    assert (
        len(deliveries.claim_fresh(session, owner=batch.owner, limit=20 * BATCH, **batch.own).deliveries) == 20 * BATCH
    )


def held(session: Session, batch: Batch) -> None:
    put(session, batch, state="sending", lease_owner=batch.owner)


def held_with_a_place(session: Session, batch: Batch) -> None:
    held(session, batch)
    limits.restrict(session, sender=batch.owner, seqs=batch.seqs, **batch.own)
    put(session, batch, state="failed", error_class="down", lease_owner=None)


def begun(session: Session, batch: Batch) -> None:
    held(session, batch)
    session.execute(
        text("INSERT INTO sender_marks (sender_id, begun, account_id, made_at, seqs) VALUES (:s, true, 1, now(), :q)"),
        {"s": batch.owner, "q": batch.seqs},
    )


def begun_and_answered(session: Session, batch: Batch) -> None:
    begun(session, batch)
    put(session, batch, state="sent", lease_owner=None)


def agreed(session: Session, batch: Batch) -> None:
    held(session, batch)
    content = '{"theme": {"channels": {"sms": {"template": "T"}}}}'
    session.execute(text("UPDATE revisions SET content = CAST(:content AS jsonb)"), {"content": content})
    for _, address in addresses(session, batch):
        subscriptions.add(session, account_id=batch.world.account_id, address=address, template="T")


def tried(state: DeliveryState, error: ErrorClass | None, **values: object) -> Work:
    def prepare(session: Session, batch: Batch) -> None:
        common = {"tries": 1, "first_tried_at": NOW - timedelta(hours=2), "account_id": batch.world.account_id}
        put(session, batch, state=state.value, error_class=error and error.value, **common, **values)
        session.execute(
            text(
                "INSERT INTO attempts (delivery_seq, number, account_id, began_at, latency_ms, code, detail,"
                " provider_message_id) SELECT seq, 1, account_id, now(), 1, 'E', 'no', 'm-' || seq FROM deliveries"
                " WHERE id = ANY(:ids)"
            ),
            {"ids": batch.ids},
        )

    return prepare


retrying = tried(DeliveryState.RETRYING, ErrorClass.DOWN, due_at=NOW - timedelta(seconds=1))
failed = tried(DeliveryState.FAILED, ErrorClass.THROTTLED)
in_doubt = tried(DeliveryState.UNKNOWN, ErrorClass.UNKNOWN_OUTCOME, call_began_at=NOW - timedelta(hours=1))
replayable = tried(
    DeliveryState.UNKNOWN,
    ErrorClass.UNKNOWN_OUTCOME,
    call_began_at=NOW - timedelta(hours=1),
    due_at=NOW - timedelta(seconds=1),
    key="k",
)
sent = tried(DeliveryState.SENT, None, sent_at=NOW)


def with_codes(session: Session, batch: Batch) -> None:
    """Everybody has one, and as many are free."""
    values = {"theme": batch.world.theme_id, "line": batch.world.product_line_id}
    pool = "INSERT INTO code_pools (product_line_id, theme_id, offer) VALUES (:line, :theme, 'gift') RETURNING id"
    values["pool"] = session.scalars(text(pool), values).one()
    session.execute(
        text(
            "INSERT INTO codes (number, pool_id, customer_id)"
            " SELECT :pool * 1000000000::bigint + c.id * 2 + n, :pool, CASE WHEN n = 0 THEN c.id END"
            " FROM customers c, generate_series(0, 1) n WHERE c.product_line_id = :line"
        ),
        values,
    )


def with_codes_given_back(session: Session, batch: Batch) -> None:
    with_codes(session, batch)
    gone = {"ids": whose(session, batch)}
    session.execute(text("UPDATE codes SET customer_id = NULL WHERE customer_id = ANY(:ids)"), gone)


def failed_with_codes(session: Session, batch: Batch) -> None:
    with_codes(session, batch)
    failed(session, batch)


@operation(some_handed_out)
def claiming_fresh_rows(session: Session, batch: Batch) -> None:
    found = deliveries.claim_fresh(session, owner=batch.owner, limit=BATCH, **batch.own)
    assert len(found.deliveries) == BATCH


@operation(with_codes)
def claiming_fresh_rows_with_their_codes(session: Session, batch: Batch) -> None:
    found = deliveries.claim_fresh(session, owner=batch.owner, limit=BATCH, coupons=["gift"], **batch.own)
    assert [set(row.codes) for row in found.deliveries] == [{"gift"}] * BATCH


@operation(with_codes_given_back)
def reserving_codes(session: Session, batch: Batch) -> None:
    found = pools_of(session, batch)
    codes_reserved.reserve(session, found, customer_ids=plain_array(whose(session, batch)))
    codes_reserved.reserve(session, found, customer_ids=plain_array(whose(session, batch)))


@operation(failed_with_codes)
def taking_the_failed_with_codes(session: Session, batch: Batch) -> None:
    needed = {batch.world.distribution_id: pools_of(session, batch)}
    asked_at = datetime.now(UTC)
    retries.reserve_codes(session, wanted=meant(batch), needed=needed, asked_at=asked_at, now=NOW)
    retries.take_failed(session, wanted=meant(batch), needed=needed, asked_at=asked_at, now=NOW)
    assert states(session, batch) == {"retrying"}


@operation(retrying)
def claiming_rows_that_are_due_again(session: Session, batch: Batch) -> None:
    found = deliveries.claim_waiting(session, owner=batch.owner, limit=BATCH, **batch.own)
    assert {row.seq for row in found.deliveries} == set(batch.seqs)


@operation(replayable)
def claiming_replays(session: Session, batch: Batch) -> None:
    accounts = [batch.world.account_id]
    found = deliveries.claim_replays(session, owner=batch.owner, limit=BATCH, account_ids=accounts, **batch.own)
    assert {row.seq for row in found.deliveries} == set(batch.seqs)


@operation(held)
def recording(session: Session, batch: Batch) -> None:
    results = [
        Result(
            seq=seq, state=DeliveryState.SENT, due_at=None, error_class=None, code="", detail="", request_id=None,
            provider_message_id=f"m-{seq}", number=1, began_at=NOW, latency_ms=1, account_id=1, key=None,
        )
        for seq in batch.seqs
    ]  # fmt: skip
    moved = deliveries.record_outcomes(session, owner=batch.owner, results=results, durably=False, **batch.own)
    assert moved == BATCH


@operation(held)
def giving_back(session: Session, batch: Batch) -> None:
    deliveries.release(session, owner=batch.owner, seqs=batch.seqs, **batch.own)
    assert states(session, batch) == {"planned"}


@operation(begun_and_answered)
def forgetting_what_is_settled(session: Session, batch: Batch) -> None:
    deliveries.forget_settled(session, distribution_id=batch.world.distribution_id, owner=batch.owner)
    assert not session.scalars(text("SELECT id FROM sender_marks WHERE sender_id = :id"), {"id": batch.owner}).all()


@operation(begun)
def taking_back_what_the_dead_held(session: Session, _: Batch) -> None:
    assert deliveries.reap_dead_senders(session, now=NOW + timedelta(hours=1)).in_doubt == BATCH


@operation(retrying)
def giving_up_what_is_out_of_time(session: Session, batch: Batch) -> None:
    late = deliveries.give_up_after_budget(session, budget=timedelta(hours=1), **batch.own)
    assert set(late) == set(batch.seqs)


@operation(held)
def judging_by_limits(session: Session, batch: Batch) -> None:
    found = limits.restrict(session, sender=batch.owner, seqs=batch.seqs, **batch.own)
    assert found.left == frozenset()
    assert reserved(session, batch) == BATCH


@operation(held_with_a_place)
def giving_back_all_places_of_what_ended(session: Session, batch: Batch) -> None:
    assert limits.give_back_ended(session, distribution_id=batch.world.distribution_id) == BATCH


@operation(held_with_a_place)
def giving_back_places_under_caps(session: Session, batch: Batch) -> None:
    limits.give_back(session, seqs=batch.seqs)
    assert reserved(session, batch) == 0


@operation(some_handed_out)
def expiring_what_is_over(session: Session, batch: Batch) -> None:
    assert pending.finish_pending_of(session, state=DeliveryState.EXPIRED, limit=BATCH, **batch.own) == BATCH


@operation(sent)
def joining_receipts(session: Session, batch: Batch) -> None:
    told = [
        Receipt(
            kind=ReceiptKind.DELIVERED, occurred_at=NOW, provider_message_id=f"m-{seq}", address=address, error=None,
            code="", dedupe=f"{uuid4()}",
        )
        for seq, address in addresses(session, batch)
    ]  # fmt: skip
    account_id = batch.world.account_id
    told_receipts.store(session, account_id=account_id, receipts=told, now=NOW)
    told_receipts.join_waiting(session, now=NOW)
    assert states(session, batch) == {"delivered"}


@operation(failed)
def looking_over_the_failed(session: Session, batch: Batch) -> None:
    found = retries.judge_failed(session, wanted=meant(batch), asked_at=datetime.now(UTC), now=NOW)
    assert sum(found.values()) == BATCH


@operation(failed)
def taking_the_failed(session: Session, batch: Batch) -> None:
    retries.take_failed(session, wanted=meant(batch), asked_at=datetime.now(UTC), now=NOW)
    assert states(session, batch) == {"retrying"}


@operation(failed)
def grouping_the_failed(session: Session, batch: Batch) -> None:
    (group,) = failures.groups(session, meant(batch))
    assert group.count == BATCH


@operation(in_doubt)
def settling_by_hand(session: Session, batch: Batch) -> None:
    done = retries.settle_unknown(session, wanted=meant(batch), to_state=DeliveryState.SENT, note="seen", now=NOW)
    assert len(done) == BATCH


@operation(in_doubt)
def finding_what_to_ask_about(session: Session, batch: Batch) -> None:
    found = inquiries_due(session, batch)
    assert {row.seq for row in found} == set(batch.seqs)


@operation(in_doubt)
def settling_by_inquiry(session: Session, batch: Batch) -> None:
    found = inquiries_due(session, batch)
    others = [(row.seq, row.address, row.channel, f"m-{row.seq}") for row in found]
    assert not inquiries.of_others(session, others)
    inquiries.references_of(session, [(row.seq, row.distribution_id, row.id) for row in found])
    done = inquiries.settle(
        session,
        [inquiries.Settling(row.id, row.call_began_at, DeliveryState.SENT, "", f"m-{row.seq}", "") for row in found],
        now=NOW,
    )
    assert len(done) == BATCH


@operation(held)
def withdrawing_consents(session: Session, batch: Batch) -> None:
    deliveries.record_opt_outs(session, seqs=batch.seqs, **batch.own)


@operation(agreed)
def taking_one_time_agreements(session: Session, batch: Batch) -> None:
    lacking = subscriptions.take(session, sender=batch.owner, seqs=batch.seqs, **batch.own)
    assert not lacking
    assert subscriptions.use_up(session, seqs=batch.seqs[:5]) == frozenset(batch.seqs[:5])
    subscriptions.give_back(session, seqs=batch.seqs)


@operation(retrying)
def asking_when_to_go_on(session: Session, batch: Batch) -> None:
    assert distributions.next_due(session, **batch.own) is not None


def whose(session: Session, batch: Batch) -> list[int]:
    sql = text("SELECT customer_id FROM deliveries WHERE id = ANY(:ids)")
    return list(session.scalars(sql, {"ids": batch.ids}))


def pools_of(session: Session, batch: Batch) -> codes_reserved.Pools:
    return codes_reserved.pools(session, theme_id=batch.world.theme_id, coupons=["gift"])


def inquiries_due(session: Session, batch: Batch) -> Sequence[inquiries.InDoubt]:
    of, by = [batch.world.distribution_id], batch.world.account_id
    return inquiries.due(session, distributions=of, account_id=by, limit=BATCH, now=NOW)


def meant(batch: Batch) -> retries.FailedFilter:
    return retries.FailedFilter(distributions=[batch.world.distribution_id])


def states(session: Session, batch: Batch) -> set[str]:
    return set(session.scalars(text("SELECT state FROM deliveries WHERE id = ANY(:ids)"), {"ids": batch.ids}))


def reserved(session: Session, batch: Batch) -> int:
    sql = text("SELECT count(*) FROM cap_reservations WHERE delivery_seq = ANY(:seqs)")
    return int(session.scalars(sql, {"seqs": batch.seqs}).one())


def addresses(session: Session, batch: Batch) -> list[tuple[int, str]]:
    sql = text("SELECT seq, address FROM deliveries WHERE id = ANY(:ids)")
    return [(row.seq, row.address) for row in session.execute(sql, {"ids": batch.ids})]


def rows_read(session: Session) -> int:
    """By this connection, since it last told."""
    tables = ", ".join(f"'{table}'" for table in GROWING)
    sql = f"SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_xact_user_tables WHERE relname IN ({tables})"  # noqa: S608 - of above
    return int(session.scalars(text(sql)).one())


def limited_world(database: Database) -> World:
    world = make_world(database, customers=CUSTOMERS, channel=Channel.SMS)
    ((key,),) = world.rows("SELECT key FROM product_lines WHERE id = :line", line=world.product_line_id)
    rules = (
        f"limits:\n- product_line: {key}\n"
        "  quiet_hours:\n  - {channels: [sms], countries: [FR], hours: 22:00-08:00}\n"
        "  caps:\n  - {cap: one text a week, channels: [sms], most: 1, per: 7d}\n"
    )
    (read,) = read_limits(rules, where="test")
    with database.begin() as session:
        apply_limits(session, limits=read, by="test", now=NOW)
    return world


def statistics_that_know_nothing(database: Database) -> World:
    """As the first launch finds them."""
    world = limited_world(database)
    world.plan()
    world.change("DELETE FROM pg_statistic")
    world.change(
        "UPDATE pg_class SET reltuples = -1, relpages = 0"
        " WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace"
    )
    return world


def statistics_that_know_all(database: Database) -> World:
    world = limited_world(database)
    world.plan()
    world.change("ANALYZE")
    return world


def statistics_that_know_an_earlier_theme(database: Database) -> World:
    make_world(database, customers=CUSTOMERS, channel=Channel.SMS).plan()
    world = limited_world(database)
    world.change("ANALYZE")
    world.plan()
    return world


@pytest.fixture(
    scope="module",
    params=[statistics_that_know_nothing, statistics_that_know_all, statistics_that_know_an_earlier_theme],
    ids=lambda make: make.__name__,
)
def world(request: pytest.FixtureRequest, database: Database) -> World:
    with database.begin() as session:  # what was taken stays as it was taken
        for table in GROWING:
            session.execute(text(f"ALTER TABLE {table} SET (autovacuum_enabled = false)"))
    made: World = request.param(database)
    return made


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_batch_reads_a_few_rows_for_each_of_its_own(world: World, name: str) -> None:
    prepare, work = OPERATIONS[name]
    rows = world.rows("SELECT seq, id FROM deliveries WHERE distribution_id = :distribution_id ORDER BY seq")
    some = rows[CUSTOMERS // 2 : CUSTOMERS // 2 + BATCH]
    batch = Batch(world=world, seqs=[row[0] for row in some], ids=[row[1] for row in some], owner=uuid4())
    with Session(world.database.engine) as session:  # rolled back: each finds the rows as they were planned
        deliveries.enter(session, owner=batch.owner, until=NOW, host="test", **batch.own)
        prepare(session, batch)
        before = rows_read(session)
        work(session, batch)
        read = rows_read(session) - before
    assert read <= EACH * BATCH
