"""Notices on a real PostgreSQL, over the real provider modules, to the sandbox: said once, to whom they are for."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import requests
from prefect.logging import disable_run_logger
from sqlalchemy import text

from approval.notices import NoticeKind
from channels.account_file import AccountEntry, NoticeTemplate
from channels.engine import MOVES
from channels.line import Line
from channels.message import Message, Outcome
from channels.sender import Sender
from channels.service import notices as service
from channels.service.errors import AccountUnfit, DeliveryThemeUnknown
from channels.service.provider import apply_account
from channels.states import Channel, DeliveryState, ErrorClass
from models.database import Database
from models.queries import notices
from models.queries.deliveries import Result
from sandbox.process import Running, started
from settings import get_settings
from tasks.connection import database as installation_database
from tasks.notices import Terms, send_due, send_notices
from tests.integration.delivery_world import RecordingProvider, accept, refuse, run
from tests.integration.moves_guard import guard_moves
from tests.integration.notice_world import BACKOFF, KEY, LEASE, UI, World, make_world
from tests.integration.scene import LINE, Scene

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(folder=tmp_path_factory.mktemp("sandbox")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def _only_moves_of_the_table(database: Database) -> None:
    guard_moves(database, "notices", MOVES)


@pytest.fixture
def world(database: Database, providers: Running) -> Iterator[World]:
    world = make_world(database, providers)
    world.apply(world.mail_account())
    yield world
    world.clear_faults()
    # No other test is to send what this one left.
    world.run("DELETE FROM notices")


def until(condition: Callable[[], bool], *, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


# What is put in.


def test_a_reminder_arrives_once_with_the_link_to_its_run(world: World) -> None:
    carl, run = world.person(), uuid4()
    task = world.question(carl, run=run)
    assert world.enqueue(carl, task) == 1
    assert send_due(world.terms) == {"sent": 1}
    assert send_due(world.terms) == {}
    (record,) = world.received(carl)
    assert record["content"]["subject"] == "Reminder 1 of 3: your decision"
    said = record["content"]["text"]
    assert "your answer is still missing" in said
    assert f"{UI}/runs/flow-run/{run}" in said
    assert f"{UI}/runs?tag=approver:{carl.login}" in said
    assert dict(record["content"]["headers"])["Auto-Submitted"] == "auto-generated"
    (notice,) = world.notices()
    assert (notice.state, notice.tries) == (DeliveryState.SENT, 1)
    assert notice.sent_at is not None
    assert notice.provider_message_id == f"<{notice.id}@example.com>"


def test_a_notice_of_the_same_key_is_put_in_once_and_sent_once(world: World) -> None:
    carl = world.person()
    task = world.question(carl, run=uuid4())
    assert [world.enqueue(carl, task) for _ in range(3)] == [1, 0, 0]
    send_due(world.terms)
    assert world.enqueue(carl, task) == 0
    assert send_due(world.terms) == {}
    assert len(world.received(carl)) == 1


def test_a_person_is_told_on_each_of_her_channels_that_an_account_serves(world: World) -> None:
    world.apply(world.sms_account())
    cyn = world.person("cyn", phone=True)
    task = world.question(cyn, run=uuid4())
    assert world.enqueue(cyn, task) == 2
    assert send_due(world.terms) == {"sent": 2}
    assert sorted(record["channel"] for record in world.received(cyn)) == ["email", "sms"]


def test_a_text_message_says_the_subject_and_the_link(world: World) -> None:
    world.apply(world.sms_account())
    cyn, run = world.person("cyn", email=False, phone=True, locale="zh"), uuid4()
    world.enqueue(cyn, world.question(cyn, run=run), subject="第 1/3 次提醒：请审批主题")
    send_due(world.terms)
    (record,) = world.received(cyn)
    assert f"第 1/3 次提醒：请审批主题 {UI}/runs/flow-run/{run}" in str(record["content"])


def test_a_registered_template_carries_what_the_account_maps_under_its_own_signature(world: World) -> None:
    variables = {"who": "name", "what": "theme", "where": "link"}
    template = NoticeTemplate(template="SMS_9", sign_name="审批", variables=variables)
    world.apply(world.sms_account(notice_template=template))
    cyn, run = world.person("cyn", email=False, phone=True), uuid4()
    world.enqueue(cyn, world.question(cyn, run=run))
    assert send_due(world.terms) == {"sent": 1}
    (record,) = world.received(cyn)
    said = str(record["content"])
    assert "SMS_9" in said
    assert "审批" in said
    for value in ("Cyn", world.theme_key, f"{UI}/runs/flow-run/{run}"):
        assert value in said


def test_somebody_without_an_address_raises_one_alert_that_says_what_to_do(world: World) -> None:
    dan = world.person("dan", email=False)
    task = world.question(dan)
    assert [world.enqueue(dan, task, key=f"remind:t{task}:{n}") for n in (1, 2)] == [0, 0]
    ((key, said),) = world.alerts().items()
    assert key == f"notice:unreachable:{dan.login}"
    assert "no e-mail address and no phone number" in said
    assert "`notices: true`" in said


def test_an_account_that_does_not_serve_notices_is_never_used_for_them(world: World) -> None:
    world.apply(world.mail_account(notices=False))
    carl = world.person()
    assert world.enqueue(carl, world.question(carl)) == 0
    assert list(world.alerts()) == [f"notice:unreachable:{carl.login}"]


def test_a_notice_about_no_theme_that_there_is_is_refused(world: World) -> None:
    carl = world.person()
    with pytest.raises(DeliveryThemeUnknown), world.database.begin() as session:
        service.enqueue(
            session,
            key="remind:x",
            person=carl,
            kind=NoticeKind.REMINDER,
            theme_key="none",
            task_id=None,
            subject="s",
            text="t",
            now=datetime.now(UTC),
        )


def test_only_one_account_of_a_product_line_and_channel_serves_notices(world: World) -> None:
    with pytest.raises(AccountUnfit, match=f"mail-{world.line} does so for email .* without `notices: true` first"):
        world.apply(world.mail_account(account=f"other-{world.line}"))
    # Handed over, and applied again, it is no other.
    world.apply(world.mail_account(notices=False), world.mail_account(account=f"other-{world.line}"))
    world.apply(world.mail_account(account=f"other-{world.line}"))


def test_two_who_choose_the_account_at_once_do_not_both_get_their_way(world: World) -> None:
    entries = [world.sms_account(account=f"sms-{n}-{world.line}") for n in range(2)]
    outcomes: list[str] = []

    def choose(number: int) -> None:
        try:
            world.apply(entries[number])
            outcomes.append("applied")
        except AccountUnfit:
            outcomes.append("refused")

    at_once(lambda: choose(0), lambda: choose(1))
    assert sorted(outcomes) == ["applied", "refused"]


# What is not said any more.


def test_a_question_that_is_answered_meanwhile_is_not_asked_about(world: World) -> None:
    carl = world.person()
    task = world.question(carl, run=uuid4())
    world.enqueue(carl, task)
    world.answer(task)
    assert send_due(world.terms) == {}
    assert world.received(carl) == []
    assert [(n.state, n.error_detail) for n in world.notices()] == [
        (DeliveryState.CANCELLED, "no answer is needed any more")
    ]


def test_what_was_decided_is_told_although_the_question_is_over(world: World) -> None:
    carl = world.person()
    task = world.question(carl)
    world.answer(task)
    world.enqueue(carl, task, key=f"due:t{task}", kind=NoticeKind.DUE_ACTION, subject="Decided by lapse of time")
    assert send_due(world.terms) == {"sent": 1}
    assert len(world.received(carl)) == 1


def test_somebody_disabled_is_told_nothing(world: World) -> None:
    carl = world.person()
    world.enqueue(carl, world.question(carl, run=uuid4()))
    world.run("UPDATE people SET disabled_at = now() WHERE id = :id", id=carl.id)
    assert send_due(world.terms) == {}
    assert world.received(carl) == []


def test_reminders_that_pile_up_while_the_account_rests_are_one_in_the_end(world: World) -> None:
    carl = world.person()
    task = world.question(carl, run=uuid4())
    world.run("UPDATE provider_accounts SET paused_because = 'moving' WHERE key = :key", key=f"mail-{world.line}")
    for number in (1, 2, 3):
        world.enqueue(carl, task, key=f"remind:t{task}:{number}", subject=f"Reminder {number}")
        assert send_due(world.terms) == {}
    world.run("UPDATE provider_accounts SET paused_because = NULL WHERE key = :key", key=f"mail-{world.line}")
    assert send_due(world.terms) == {"sent": 1}
    assert [record["content"]["subject"] for record in world.received(carl)] == ["Reminder 3"]


def test_a_notice_waits_for_the_run_of_its_question_but_not_for_ever(world: World) -> None:
    carl, run = world.person(), uuid4()
    early, late = world.question(carl), world.question(world.person("cyn"))
    world.enqueue(carl, early)
    assert send_due(world.terms) == {}
    world.run("UPDATE tasks SET flow_run_id = :run, gate_ready = true WHERE id = :task", run=run, task=early)
    assert send_due(world.terms) == {"sent": 1}
    assert f"/runs/flow-run/{run}" in world.received(carl)[0]["content"]["text"]
    dora = world.person("dora")
    world.enqueue(dora, late, key="remind:late", now=datetime.now(UTC) - notices.RUN_PATIENCE)
    assert send_due(world.terms) == {"sent": 1}
    said = world.received(dora)[0]["content"]["text"]
    assert "flow-run" not in said
    assert f"{UI}/runs?tag=approver:{dora.login}" in said


# What goes wrong.


def test_a_provider_that_is_down_is_tried_again_with_back_off_until_it_takes_the_notice(world: World) -> None:
    world.limit(retry_base_seconds=1.0, retry_ceiling_seconds=1.0, retry_budget_seconds=60.0)
    carl = world.person()
    world.enqueue(carl, world.question(carl, run=uuid4()))
    world.fault(channel="email", kind="status", code="451 4.3.0", count=2)
    assert send_due(world.terms) == {"retrying": 1}
    (notice,) = world.notices()
    assert notice.due_at > notice.changed_at
    until(lambda: send_due(world.terms).get("sent") == 1)
    assert world.notices()[0].tries == 3
    assert len(world.received(carl)) == 1
    assert world.alerts() == {}


def test_a_provider_that_stays_down_ends_in_failure_with_its_own_words_and_one_alert(world: World) -> None:
    world.limit(retry_base_seconds=0.05, retry_ceiling_seconds=0.1, retry_budget_seconds=0.4)
    carl = world.person()
    world.enqueue(carl, world.question(carl, run=uuid4()))
    world.fault(channel="email", kind="status", code="451 4.3.0", message="try later please")

    def failed() -> bool:
        send_due(world.terms)
        return set(world.states().values()) == {"failed"}

    until(failed)
    (notice,) = world.notices()
    assert notice.tries > 1
    assert "try later please" in notice.error_detail
    ((key, said),) = world.alerts().items()
    assert key == f"notice:failed:{carl.login}:email:down"
    assert "try later please" in said
    assert world.received(carl) == []
    with world.database.begin() as session:
        (row,) = service.listed(session, theme_key=world.theme_key, login=carl.login)
    assert (row["to"], row["state"], row["kind"]) == (carl.login, "failed", "reminder")
    assert "451" in row["reason"]


def test_an_address_that_does_not_exist_is_told_to_ops_and_suppresses_no_customer(world: World) -> None:
    carl = world.person()
    world.enqueue(carl, world.question(carl, run=uuid4()))
    world.fault(channel="email", kind="recipient_error", code="550 5.1.1")
    assert send_due(world.terms) == {"failed": 1}
    assert list(world.alerts()) == [f"notice:failed:{carl.login}:email:bad_recipient"]
    assert "correct her address" in next(iter(world.alerts().values()))
    with world.database.begin() as session:
        assert session.scalar(text("SELECT count(*) FROM suppressions")) == 0


def test_trouble_with_the_account_holds_notices_back_but_never_pauses_it_for_campaigns(world: World) -> None:
    carl = world.person()
    world.enqueue(carl, world.question(carl, run=uuid4()))
    world.fault(channel="email", kind="status", code="550 5.7.26", count=1)
    assert send_due(world.terms) == {"retrying": 1}
    assert world.account(world.mail_account()).paused_because is None
    assert world.notices()[0].due_at > datetime.now(UTC) + service.MENDING - timedelta(seconds=30)
    world.run("UPDATE notices SET due_at = now()")
    assert send_due(world.terms) == {"sent": 1}


def test_an_answer_that_is_lost_leaves_the_notice_in_doubt_and_is_never_sent_again(world: World) -> None:
    carl = world.person()
    world.enqueue(carl, world.question(carl, run=uuid4()))
    world.fault(channel="email", kind="cut_after_accept", count=1)
    assert send_due(world.terms) == {"unknown": 1}
    world.run("UPDATE notices SET due_at = now()")
    assert send_due(world.terms) == {}
    assert len(world.received(carl)) == 1
    assert list(world.alerts()) == [f"notice:unknown:{carl.login}:email:unknown_outcome"]


def test_a_sender_killed_between_begin_and_outcome_never_makes_a_second_message(
    world: World, database_url: str
) -> None:
    carl = world.person()
    world.enqueue(carl, world.question(carl, run=uuid4()))
    world.fault(channel="email", kind="delay", delay=30.0)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.notice_process", database_url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(f"{KEY}\n")
    process.stdin.close()
    try:
        until(lambda: world.notices()[0].call_began_at is not None, seconds=30.0)
    finally:
        process.kill()
        process.wait()
    world.clear_faults()

    def reaped() -> bool:
        send_due(world.terms)
        return set(world.states().values()) == {"unknown"}

    until(reaped)
    world.run("UPDATE notices SET due_at = now()")
    assert send_due(world.terms) == {}
    assert len(world.received(carl)) <= 1
    (notice,) = world.notices()
    assert "sender was lost" in notice.error_detail
    assert list(world.alerts()) == [f"notice:unknown:{carl.login}:email:unknown_outcome"]


def test_a_sender_that_died_before_its_call_leaves_a_notice_that_is_sent(world: World) -> None:
    carl = world.person()
    world.enqueue(carl, world.question(carl, run=uuid4()))
    now = datetime.now(UTC)
    account = world.account(world.mail_account())
    with world.database.begin() as session:
        held = notices.claim(
            session,
            account_id=account.id,
            owner=uuid4(),
            limit=9,
            lease=timedelta(milliseconds=50),
            replays=False,
            now=now,
        )
        assert len(held) == 1
    until(lambda: send_due(world.terms) == {"sent": 1})
    assert len(world.received(carl)) == 1


def test_a_question_that_is_answered_while_its_notice_is_held_is_not_asked_about(world: World) -> None:
    carl = world.person()
    task = world.question(carl, run=uuid4())
    world.enqueue(carl, task)
    ledger = world.ledger()
    (row,) = ledger.claim(limit=9, replays_of=(), now=datetime.now(UTC)).deliveries
    world.answer(task)
    assert not ledger.begin(account_id=world.account_id, seqs=[row.seq], keys=None, now=datetime.now(UTC))
    ledger.release([row.seq], now=datetime.now(UTC))
    assert send_due(world.terms) == {}
    assert set(world.states().values()) == {"cancelled"}


def test_a_notice_in_doubt_goes_out_again_where_its_key_makes_that_safe(world: World) -> None:
    carl = world.person()
    world.enqueue(carl, world.question(carl, run=uuid4()))
    answers = iter([refuse(ErrorClass.UNKNOWN_OUTCOME), accept])

    def answer(message: Message) -> Outcome:
        return next(answers)(message)

    provider = RecordingProvider(keys=True, answer=answer)

    def sent() -> bool:
        ledger = world.ledger()
        line = Line(account_id=world.account_id, key="notices", provider=provider, backoff=BACKOFF)
        run(Sender(ledger=ledger, lines=[line], render=ledger.content, lease=LEASE))
        return set(world.states().values()) == {"sent"}

    until(sent)
    assert len({message.key for call in provider.calls for message in call}) == 1
    assert provider.reached == {carl.email: 1}
    assert len(provider.calls) == 2


def test_an_answer_that_comes_after_its_sender_was_given_up_settles_the_doubt(world: World) -> None:
    carl = world.person()
    world.enqueue(carl, world.question(carl, run=uuid4()))
    ledger, now = world.ledger(), datetime.now(UTC)
    (row,) = ledger.claim(limit=9, replays_of=(), now=now).deliveries
    account_id = world.account_id
    assert ledger.begin(account_id=account_id, seqs=[row.seq], keys=None, now=now) == {row.seq}
    with world.database.begin() as session:
        service.sweep_notices(session, now=now + LEASE)
    assert set(world.states().values()) == {"unknown"}
    result = Result(row.seq, DeliveryState.SENT, None, None, "", "", "m-1", None, 1, now, 5, account_id, None)
    assert ledger.record(results=[result], effects={}, now=now) == 1
    assert set(world.states().values()) == {"sent"}


def test_the_task_sends_with_what_the_installation_is_set_to(
    world: World, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    carl, run_id = world.person(), uuid4()
    world.enqueue(carl, world.question(carl, run=run_id))
    monkeypatch.setenv("THEMELINE_DATABASE_URL", database_url)
    monkeypatch.setenv("THEMELINE_SECRET_KEY", KEY)
    monkeypatch.setenv("THEMELINE_PREFECT_UI_URL", "https://approvals.example/")
    get_settings.cache_clear()
    installation_database.cache_clear()
    try:
        with disable_run_logger():
            assert send_notices.fn() == {"sent": 1}
        installation_database().dispose()
    finally:
        get_settings.cache_clear()
        installation_database.cache_clear()
    assert f"https://approvals.example/runs/flow-run/{run_id}" in world.received(carl)[0]["content"]["text"]


def test_senders_at_once_send_each_notice_once(world: World) -> None:
    everybody = [world.person(f"p{number}") for number in range(40)]
    for person in everybody:
        world.enqueue(person, world.question(person, run=uuid4()))
    total: list[int] = []
    at_once(*[lambda: total.append(send_due(world.terms).get("sent", 0)) for _ in range(3)])
    assert sum(total) == len(everybody)
    reached = sorted(record["recipient"] for record in world.received(*everybody))
    assert reached == sorted(str(person.email) for person in everybody)


def test_a_provider_that_hangs_does_not_hold_up_the_sweep(world: World) -> None:
    world.apply(world.sms_account())
    carl, cyn = world.person(), world.person("cyn", email=False, phone=True)
    world.enqueue(carl, world.question(carl, run=uuid4()))
    world.enqueue(cyn, world.question(cyn, run=uuid4()))
    world.fault(channel="email", kind="hang")
    began = time.monotonic()
    states = send_due(world.with_terms(begin_seconds=0.5, call_seconds=0.5))
    assert time.monotonic() - began < 4
    assert states["sent"] == 1
    assert len(world.received(cyn)) == 1


def test_an_account_whose_secrets_do_not_open_stops_no_other_and_is_told_to_ops(world: World) -> None:
    world.apply(world.sms_account())
    cyn = world.person("cyn", phone=True)
    world.enqueue(cyn, world.question(cyn, run=uuid4()))
    world.run("UPDATE provider_accounts SET secrets = 'x' WHERE key = :key", key=f"sms-{world.line}")
    assert send_due(world.terms) == {"sent": 1}
    assert sorted(world.states().values()) == ["planned", "sent"]
    assert list(world.alerts()) == [f"notice:account:sms-{world.line}"]


def at_once(*works: Callable[[], object]) -> None:
    ready = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        ready.wait()
        work()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_reminders_of_a_real_review_reach_the_approver_one_a_period_and_end_with_her_answer(
    scene: Scene, providers: Running
) -> None:
    address, run_id = f"bob-{uuid4().hex[:6]}@example.com", uuid4()
    settings = {"host": providers.smtp_host, "port": providers.smtp_port, "security": "none", "sender": "a@example.com"}
    entry = AccountEntry(
        account="mail-main", product_line=LINE, channel=Channel.EMAIL, provider="smtp", settings=settings, notices=True
    )
    with scene.begin() as session:
        apply_account(session, entry=entry, secrets={}, cipher=scene.rules.cipher)
    scene.run("UPDATE people SET email = :email, locale = 'zh' WHERE login = 'bob'", email=address)
    scene.draft()
    scene.submit()
    scene.run("UPDATE tasks SET flow_run_id = :run, gate_ready = true WHERE state = 'open'", run=run_id)
    terms = Terms(database=scene.database, cipher=scene.rules.cipher, backoff=BACKOFF, lease=LEASE, ui_url=UI)

    def told_after(hours: int) -> list[str]:
        scene.sweep(timedelta(hours=hours))
        scene.sweep()
        scene.run("UPDATE notices SET due_at = now() WHERE state = 'planned'")  # the review's clock is ahead of ours
        send_due(terms)
        log = requests.get(f"{providers.http}/_log?channel=email&records=1&limit=5000", timeout=10).json()
        return [record["content"]["subject"] for record in log["records"] if record["recipient"] == address]

    assert told_after(3) == []
    assert [said.partition("：")[0] for said in told_after(2)] == ["第 1/3 次提醒"]
    assert len(told_after(1)) == 1
    assert [said.partition("：")[0] for said in told_after(3)] == ["第 1/3 次提醒", "第 2/3 次提醒"]
    scene.answer("bob")
    assert len(told_after(4)) == 2
