"""Permits on a real PostgreSQL: senders together keep within the windows, and one of them tries a broken account."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from channels.rate import Allowance, Counted, Permits
from channels.states import Channel
from models import database as db
from models.database import Database
from models.delivery import ProviderAccount
from models.queries import permits, provider_accounts

NOW = datetime(2027, 3, 6, 9, tzinfo=UTC)
_numbers = count(1)


def window(seconds: float, at_most: int, counts: Counted = Counted.CALLS) -> dict[str, Any]:
    return {"per_seconds": seconds, "at_most": at_most, "counts": counts}


def make_line(session: Session) -> int:
    line: int | None = session.scalar(
        text("INSERT INTO product_lines (key, name, currency) VALUES (:key, :key, 'GBP') RETURNING id"),
        {"key": f"line-{uuid4().hex}"},
    )
    assert line is not None
    return line


def make_account(database: Database, *windows: dict[str, Any]) -> int:
    with database.begin() as session:
        return provider_accounts.upsert(
            session,
            key=f"account-{next(_numbers)}",
            product_line_id=make_line(session),
            channel=Channel.SMS,
            provider="recording",
            settings={},
            secrets=None,
            windows=windows,
        ).id


def take(database: Database, account_id: int, wanted: int, *, now: datetime = NOW, distribution: int = 1) -> Permits:
    with database.begin() as session:
        return permits.take(session, account_id=account_id, wanted=wanted, now=now, distribution_id=distribution)


def test_an_account_without_windows_gives_what_is_wanted_and_writes_nothing(database: Database) -> None:
    account = make_account(database)
    given_out = take(database, account, 5_000)
    assert (given_out.granted, given_out.again_at, given_out.good_for) == (5_000, None, None)
    with database.begin() as session:
        assert not session.scalar(text("SELECT count(*) FROM account_uses WHERE account_id = :a"), {"a": account})


def test_a_quota_is_given_out_once_and_then_the_sender_hears_when_there_is_more(database: Database) -> None:
    account = make_account(database, window(3_600, 100))
    assert take(database, account, 60).granted == 60
    short = take(database, account, 60)
    assert short.granted == 40
    assert short.again_at is not None
    # a slot of the window is a minute long
    assert timedelta(hours=1) < short.again_at - NOW <= timedelta(hours=1, minutes=1, seconds=3)
    assert take(database, account, 1).granted == 0


def test_what_is_out_of_the_window_is_there_again(database: Database) -> None:
    account = make_account(database, window(3_600, 100))
    take(database, account, 100)
    with database.begin() as session:  # as if it had been 62 minutes ago
        session.execute(
            text(
                "UPDATE account_uses SET kept = jsonb_set(kept, '{windows,3600,slots,0,0}',"
                " to_jsonb((kept #>> '{windows,3600,slots,0,0}')::bigint - 62))"
                " WHERE account_id = :account"
            ),
            {"account": account},
        )
        assert permits.left(session, account=provider_accounts.by_id(session, account)) == {timedelta(hours=1): 100}
    assert take(database, account, 100).granted == 100


def test_what_a_window_has_left_can_be_shown(database: Database) -> None:
    account = make_account(database, window(1, 10), window(86_400, 1_000))
    take(database, account, 3)
    with database.begin() as session:
        row = provider_accounts.by_id(session, account)
        assert permits.left(session, account=row) == {timedelta(days=1): 997}


def test_a_paused_account_gives_none(database: Database) -> None:
    account = make_account(database, window(60, 100))
    with database.begin() as session:
        provider_accounts.pause(session, account_id=account, because="balance")
    assert take(database, account, 1) == Permits(granted=0, again_at=NOW + timedelta(seconds=1))


def test_senders_that_ask_at_once_never_overrun_a_short_window_together(database: Database) -> None:
    account, used, lock = make_account(database, window(1, 40)), [], threading.Lock()
    ends_at = time.monotonic() + 3

    def send(distribution: int) -> None:
        held = Allowance()
        while time.monotonic() < ends_at:
            asked = time.monotonic()
            given_out = take(database, account, 10, now=datetime.now(UTC), distribution=distribution)
            held.add(given_out, asked=asked, heard=time.monotonic())
            while (wait := held.seconds_to_next(time.monotonic())) is not None:
                time.sleep(wait)
                now = time.monotonic()
                with lock:
                    used.extend([now] * held.take(1, now=now).granted)
            if given_out.again_at is not None:
                time.sleep(max(0.0, (given_out.again_at - datetime.now(UTC)).total_seconds()))

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(send, (1, 1, 1, 2, 2, 3)))
    assert len(used) > 60  # about 100 on a machine that is not busy
    assert _most_within(used, 1.0) <= 40


def _most_within(times: Sequence[float], per: float) -> int:
    times = sorted(times)
    return max(sum(start <= time < start + per for time in times) for start in times)


def test_senders_that_ask_at_once_share_a_quota_exactly(database: Database) -> None:
    account, start = make_account(database, window(86_400, 500)), threading.Barrier(8)

    def ask(distribution: int) -> int:
        start.wait()
        return sum(take(database, account, 7, distribution=distribution).granted for _ in range(20))

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == 500


# The breaker, as all senders of an account share it.


def backed_off(database: Database, *windows: dict[str, Any]) -> int:
    account = make_account(database, *windows)
    with database.begin() as session:
        provider_accounts.back_off(session, account_id=account, began_at=NOW, until=NOW + timedelta(seconds=30))
    return account


@pytest.mark.parametrize("windows", [(), (window(60, 100),)], ids=["without windows", "with windows"])
def test_after_a_back_off_one_sender_tries_for_all(database: Database, windows: tuple[dict[str, Any], ...]) -> None:
    account, soon = backed_off(database, *windows), NOW + timedelta(seconds=31)
    shut = take(database, account, 10, now=NOW + timedelta(seconds=29))
    assert (shut.granted, shut.again_at) == (0, NOW + timedelta(seconds=30))
    assert [take(database, account, 10, now=soon).granted for _ in range(3)] == [1, 0, 0]


def test_two_senders_at_the_same_moment_make_one_probe(database: Database) -> None:
    account, start = backed_off(database), threading.Barrier(6)

    def ask(_: int) -> int:
        start.wait()
        return take(database, account, 10, now=NOW + timedelta(seconds=31)).granted

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(ask, range(6))) == 1


def test_a_probe_that_is_taken_opens_the_account_for_all(database: Database) -> None:
    account, soon = backed_off(database), NOW + timedelta(seconds=31)
    take(database, account, 10, now=soon)
    with database.begin() as session:
        provider_accounts.recovered(session, account_id=account, began_at=soon)
    assert take(database, account, 10, now=soon).granted == 10


def test_a_probe_that_is_refused_shuts_the_account_anew_and_since_when_stays(database: Database) -> None:
    account, soon = backed_off(database), NOW + timedelta(seconds=31)
    take(database, account, 10, now=soon)
    with database.begin() as session:
        provider_accounts.back_off(session, account_id=account, began_at=soon, until=soon + timedelta(seconds=60))
        row = provider_accounts.by_id(session, account)
        assert (row.refused_in_row, row.refused_since, row.probe_until) == (2, NOW, None)
    assert take(database, account, 10, now=soon + timedelta(seconds=59)).granted == 0
    assert take(database, account, 10, now=soon + timedelta(seconds=61)).granted == 1


def test_a_sender_that_dies_over_its_probe_leaves_it_to_another(database: Database) -> None:
    account, soon = backed_off(database), NOW + timedelta(seconds=31)
    assert take(database, account, 10, now=soon).granted == 1
    assert take(database, account, 10, now=soon + timedelta(seconds=9)).granted == 0
    assert take(database, account, 10, now=soon + timedelta(seconds=10)).granted == 1


def test_a_probe_of_an_account_that_counts_recipients_may_fill_one_call(database: Database) -> None:
    account = backed_off(database, window(60, 1_000, Counted.RECIPIENTS))
    assert take(database, account, 100, now=NOW + timedelta(seconds=31)).granted == 100


def test_resuming_lifts_everything(database: Database) -> None:
    account = backed_off(database)
    with database.begin() as session:
        provider_accounts.pause(session, account_id=account, because="first")
        paused_at = provider_accounts.by_id(session, account).paused_at
    with database.begin() as session:
        provider_accounts.pause(session, account_id=account, because="second")
        row = provider_accounts.by_id(session, account)
        assert (row.paused_because, row.paused_at) == ("first", paused_at)
    with database.begin() as session:
        provider_accounts.resume(session, account_id=account)
        row = provider_accounts.by_id(session, account)
        assert (row.paused_because, row.paused_at, row.backing_off_until) == (None, None, None)
        assert (row.refused_in_row, row.refused_since) == (0, None)


# Health.


def test_calls_are_counted_by_the_hour_with_the_last_words_of_the_provider(database: Database) -> None:
    account = make_account(database)
    for minutes, accepted, refused, words in (
        (-120, 5, 1, "Throttling: slow down"),
        (12, 10, 2, "isv.AMOUNT_NOT_ENOUGH: no money"),
        (15, 7, 0, None),
    ):
        with database.begin() as session:
            provider_accounts.note_calls(
                session,
                account_id=account,
                accepted=accepted,
                refused=refused,
                last_words=words,
                now=NOW + timedelta(minutes=minutes),
            )
    with database.begin() as session:
        health = provider_accounts.health(session, now=NOW + timedelta(minutes=15))[account]
        day_later = provider_accounts.health(session, now=NOW + timedelta(days=2))
    assert (health.accepted_of_hour, health.refused_of_hour) == (17, 2)
    assert (health.accepted_of_day, health.refused_of_day) == (22, 3)
    assert (health.accepted_at, health.refused_at) == (NOW + timedelta(minutes=15), NOW + timedelta(minutes=12))
    assert health.last_words == "isv.AMOUNT_NOT_ENOUGH: no money"
    assert account not in day_later


def test_many_senders_count_at_once_and_no_call_is_lost(database: Database) -> None:
    account = make_account(database)

    def note(_: int) -> None:
        for _ in range(10):
            with database.begin() as session:
                provider_accounts.note_calls(
                    session, account_id=account, accepted=3, refused=1, last_words=None, now=NOW
                )

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(note, range(6)))
    with database.begin() as session:
        health = provider_accounts.health(session, now=NOW)[account]
    assert (health.accepted_of_hour, health.refused_of_hour) == (180, 60)


# Pools.


def add(session: Session, key: str, line: int, **values: Any) -> ProviderAccount:
    values = {"channel": Channel.SMS, "provider": "recording", "settings": {}, "secrets": None, **values}
    return provider_accounts.upsert(session, key=key, product_line_id=line, **values)


def distribution_over(session: Session, line: int, account: ProviderAccount) -> int:
    made: int | None = session.scalar(
        text(
            """
            WITH person AS (
                INSERT INTO people (login, name, created_at) VALUES (:key, :key, now()) RETURNING id
            ), theme AS (
                INSERT INTO themes (key, product_line_id, title, author_id, state, draft, draft_source, starts_at,
                    ends_at, timezone, created_at, state_changed_at)
                SELECT :key, :line, :key, id, 'live', '{}', '', now(), now(), 'UTC', now(), now() FROM person
                RETURNING id, author_id
            ), revision AS (
                INSERT INTO revisions (theme_id, number, hash, theme_hash, offer_hashes, content, created_by_id,
                    created_at)
                SELECT id, 1, 'h', 'h', '{}', '{}', author_id, now() FROM theme RETURNING id, theme_id
            )
            INSERT INTO distributions (theme_id, revision_id, channel, account_id, state, segment_as_of)
            SELECT theme_id, id, 'sms', :account, 'sending', now() FROM revision RETURNING id
            """
        ),
        {"key": uuid4().hex, "line": line, "account": account.id},
    )
    assert made is not None
    return made


def test_the_accounts_of_a_pool_serve_together_within_their_channel_and_product_line(database: Database) -> None:
    with database.begin() as session:
        line, other = make_line(session), make_line(session)
        first = add(session, "pool-a", line, pool="bulk", weight=3)
        second = add(session, "pool-b", line, pool="bulk", weight=0)
        add(session, "pool-c", line, pool="other")
        add(session, "pool-d", line)
        add(session, "pool-e", line, pool="bulk", channel=Channel.EMAIL)
        add(session, "pool-f", other, pool="bulk")
        found = provider_accounts.serving(session, distribution_id=distribution_over(session, line, first))
        assert [(one.id, one.weight) for one in found] == [(first.id, 3), (second.id, 0)]


def test_an_account_without_a_pool_serves_alone(database: Database) -> None:
    with database.begin() as session:
        line = make_line(session)
        alone = add(session, "alone-a", line)
        add(session, "alone-b", line)
        found = provider_accounts.serving(session, distribution_id=distribution_over(session, line, alone))
        assert [one.id for one in found] == [alone.id]


# Accounts that were there before.


def test_an_account_of_before_keeps_its_rate_and_gets_what_its_provider_documents(database: Database) -> None:
    url = database.engine.url.render_as_string(hide_password=False)
    with database.begin() as session:
        line = make_line(session)
        limited = add(session, "old-a", line, provider="aliyun", settings={"limits": {"rate_per_second": 2.5}}).id
        plain = add(session, "old-b", line, provider="jpush").id
        relay = add(session, "old-c", line, provider="smtp").id
    database.dispose()
    db.downgrade(url, "0008")
    db.upgrade(url)
    with database.begin() as session:
        kept = {one.id: permits.read_windows(one.windows) for one in provider_accounts.accounts(session)}
    assert [(one.per.total_seconds(), one.at_most) for one in kept[limited]] == [(1, 5_000), (2, 5)]
    assert [(one.per.total_seconds(), one.at_most) for one in kept[plain]] == [(60, 600)]
    assert kept[relay] == ()
