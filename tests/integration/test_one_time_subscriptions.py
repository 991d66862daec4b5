"""One agreement, one message: counters of one-time subscriptions under sends, refusals and races."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from channels.states import Channel, Purpose
from models.database import Database
from models.queries import limits, subscriptions
from models.queries.limits import Restricted
from tests.integration.limits_world import GB, NOON, Line, Theme, claiming, make_line, waits

CONTENT = '{"theme": {"channels": {"mini_program": {"template": "%s"}}}}'
CHANNEL = Channel.MINI_PROGRAM


def make(database: Database, customers: int) -> Line:
    return make_line(database, [GB] * customers, settings='{"one_time_subscriptions": true}')


def theme_of(line: Line, template: str = "T1") -> Theme:
    return line.theme(CHANNEL, content=CONTENT % template)


def agree(line: Line, number: int, *, template: str = "T1", count: int = 1) -> None:
    with line.database.begin() as session:
        subscriptions.add(
            session,
            account_id=line.account_ids[CHANNEL],
            address=f"c{number}@{CHANNEL}{line.id}",
            template=template,
            count=count,
        )


def remaining(line: Line, template: str = "T1") -> dict[str, int]:
    found = line.run(
        "SELECT split_part(address, '@', 1), remaining FROM one_time_subscriptions"
        " WHERE product_line_id = :line AND template = :template ORDER BY id",
        template=template,
    )
    return dict(found)


def test_who_has_agreed_gets_one_message_and_who_has_not_is_capped(database: Database) -> None:
    line = make(database, 3)
    agree(line, 1)
    agree(line, 2, template="T2")
    theme = theme_of(line)
    seqs = theme.seqs()
    with database.begin() as session:
        assert limits.applies(session, distribution_id=theme.distribution_id)
    result = theme.claim()
    assert (result.capped, set(result.left)) == (2, set(seqs[1:]))
    assert (remaining(line), remaining(line, "T2")) == ({"c1": 0}, {"c2": 1})
    assert theme.run(
        "SELECT DISTINCT error_code, due_at, lease_owner FROM deliveries"
        " WHERE distribution_id = :id AND state = 'capped'"
    ) == [(subscriptions.NONE_LEFT, None, None)]
    assert theme_of(line).claim().capped == 3


def test_an_account_that_does_not_say_so_counts_nothing(database: Database) -> None:
    line = make_line(database, [GB])
    theme = theme_of(line)
    with database.begin() as session:
        assert not limits.applies(session, distribution_id=theme.distribution_id)
    assert theme.claim() == Restricted()


def test_agreements_add_up_and_each_message_uses_one(database: Database) -> None:
    line = make(database, 1)
    agree(line, 1, count=2)
    agree(line, 1)
    assert remaining(line) == {"c1": 3}
    assert [theme_of(line).claim().capped for _ in range(4)] == [0, 0, 0, 1]


def test_a_row_that_is_claimed_again_uses_the_agreement_that_it_has(database: Database) -> None:
    line = make(database, 1)
    agree(line, 1)
    theme = theme_of(line)
    seqs = theme.seqs()
    for _ in range(3):
        assert theme.claim(seqs) == Restricted()
    assert remaining(line) == {"c1": 0}


def test_what_failed_gives_its_agreement_back_and_what_may_have_left_does_not(database: Database) -> None:
    line = make(database, 2)
    agree(line, 1)
    agree(line, 2)
    theme = theme_of(line)
    seqs = theme.seqs()
    theme.claim()
    theme.settle("failed", seqs[:1], give_back=True)
    theme.settle("unknown", seqs[1:])
    assert remaining(line) == {"c1": 1, "c2": 0}
    theme.settle("failed", seqs[:1], give_back=True)  # once is enough
    with database.begin() as session:
        assert limits.give_back_ended(session, distribution_id=theme.distribution_id) == 0
    assert remaining(line) == {"c1": 1, "c2": 0}


def test_everything_of_a_distribution_that_ended_in_vain_gives_its_agreements_back(database: Database) -> None:
    line = make(database, 2)
    agree(line, 1)
    agree(line, 2)
    theme = theme_of(line)
    theme.claim()
    theme.settle("cancelled", theme.seqs("sending")[:1])
    with database.begin() as session:
        assert limits.give_back_ended(session, distribution_id=theme.distribution_id) == 1
    assert remaining(line) == {"c1": 1, "c2": 0}


def test_a_refusal_for_want_of_an_agreement_zeroes_the_counter_for_good(database: Database) -> None:
    line = make(database, 2)
    agree(line, 1, count=5)
    first, second = theme_of(line), theme_of(line)
    seqs, others = first.seqs(), second.seqs()
    first.claim(seqs[:1])
    second.claim(others[:1])
    with database.begin() as session:
        assert subscriptions.use_up(session, seqs=seqs) == {seqs[0]}
        assert subscriptions.use_up(session, seqs=[]) == frozenset()
    first.settle("failed", seqs[:1], give_back=True)
    second.settle("failed", others[:1], give_back=True)  # what it took was none
    assert remaining(line) == {"c1": 0}
    agree(line, 1)
    assert theme_of(line).claim().capped == 1  # the second customer


def test_who_withdraws_gets_no_more(database: Database) -> None:
    line = make(database, 1)
    agree(line, 1, count=3)
    with database.begin() as session:
        subscriptions.withdraw(
            session, account_id=line.account_ids[CHANNEL], address=f"c1@{CHANNEL}{line.id}", template="T1"
        )
    assert (theme_of(line).claim().capped, remaining(line)) == (1, {"c1": 0})


@pytest.mark.parametrize("state", ["sending", "sent", "delivered", "unknown"])
def test_a_late_word_gives_nothing_back_of_what_is_held_or_may_have_left(database: Database, state: str) -> None:
    line = make(database, 1)
    agree(line, 1)
    theme = theme_of(line)
    theme.claim()
    theme.settle(state, give_back=True)
    assert remaining(line) == {"c1": 0}


def test_of_two_claims_at_once_the_second_waits_and_finds_the_agreement_used(database: Database) -> None:
    line = make(database, 5)
    for number in range(1, 6):
        agree(line, number)
    first, second = theme_of(line), theme_of(line)
    with ThreadPoolExecutor(1) as pool:
        with claiming(first) as (_, restrict):
            assert restrict() == Restricted()
            racing = pool.submit(second.claim)
            assert waits(line, racing)
        assert racing.result().capped == 5
    assert set(remaining(line).values()) == {0}


def test_without_their_guard_both_claims_want_it_and_the_database_refuses_the_second(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "_LOCK_OWN", text("SELECT CAST(:seqs AS text)"))
    line = make(database, 1)
    agree(line, 1)
    first, second = theme_of(line), theme_of(line)
    with ThreadPoolExecutor(1) as pool:
        with claiming(first) as (_, restrict):
            restrict()
            racing = pool.submit(second.claim)
            assert waits(line, racing)
        assert isinstance(racing.exception(), IntegrityError)


def test_many_themes_at_once_use_each_agreement_once(database: Database) -> None:
    line = make(database, 30)
    for number in range(1, 31):
        agree(line, number)
    themes = [theme_of(line) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(Theme.claim, themes))
    assert sum(30 - result.capped for result in results) == 30
    assert set(remaining(line).values()) == {0}


def test_whoever_has_no_agreement_takes_no_place_under_a_cap(database: Database) -> None:
    line = make(database, 2)
    line.limit(
        "caps: [{cap: one a day, most: 1, per: day}]\nquiet_hours: [{channels: [mini_program], hours: 21:00-08:00}]"
    )
    agree(line, 1)
    theme = theme_of(line)
    assert theme.claim(now=NOON + timedelta(hours=10)).held == 2
    assert remaining(line) == {"c1": 1}
    assert theme.claim(theme.seqs("held"), now=NOON + timedelta(hours=20)).capped == 1
    assert theme.reserved() == 1
    agree(line, 1)
    assert theme_of(line).claim(now=NOON + timedelta(hours=20)).capped == 2  # one by the cap, which costs no agreement
    assert remaining(line) == {"c1": 1}


def test_a_correction_needs_an_agreement_to_its_own_template(database: Database) -> None:
    line = make(database, 1)
    agree(line, 1, template="T9")
    correction = line.theme(CHANNEL, purpose=Purpose.CORRECTION, content=CONTENT % "T1")
    line.run(
        "INSERT INTO takedowns (theme_id, person_id, comment, claimed, correction, taken_down_at)"
        " SELECT theme_id, :who, '', 'honour', CAST(:said AS jsonb), :at FROM distributions WHERE id = :id",
        id=correction.distribution_id,
        who=line.person_id,
        said='{"channels": {"mini_program": {"template": "T9"}}}',
        at=NOON,
    )
    assert correction.claim() == Restricted()
    assert remaining(line, "T9") == {"c1": 0}


def test_giving_back_and_using_up_at_once_neither_lock_up_nor_invent_agreements(database: Database) -> None:
    line = make(database, 200)
    with database.begin() as session:
        session.execute(
            text(
                "INSERT INTO one_time_subscriptions (product_line_id, address, template, remaining)"
                " SELECT :line, 'c' || n || '@mini_program' || :line, 'T1', 2 FROM generate_series(1, 200) n"
            ),
            {"line": line.id},
        )
    themes = [theme_of(line) for _ in range(2)]
    seqs = [theme.seqs() for theme in themes]
    for theme in themes:
        assert theme.claim() == Restricted()

    def use_up(at: datetime) -> None:
        del at
        with database.begin() as session:
            subscriptions.use_up(session, seqs=seqs[0])

    with ThreadPoolExecutor(2) as pool:
        gone = pool.submit(use_up, NOON)
        back = pool.submit(themes[1].settle, "failed", seqs[1][::-1], give_back=True)
        assert (gone.result(), back.result()) == (None, None)
    assert set(remaining(line).values()) == {0}
