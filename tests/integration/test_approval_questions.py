"""What waits for an answer, the gate runs that show it, and the brief that goes with it."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from approval import keys
from approval.errors import PersonUnknown
from approval.form import Answer
from approval.gates import GateRun, ShownGate
from approval.service import questions
from approval.service.questions import GateForm
from approval.service.waiting import WaitingFor, inbox, waiting
from approval.service.waits import Wait, WaitsFor, waits
from approval.states import ObjectKind, TaskKind, TaskState
from models.queries import approvals
from tests.integration.scene import ENDS_AT, KEY, MORNING, STARTS_AT, Scene, theme_text
from themes.lifecycle import FINAL_STATES, ThemeState

EDIT = ('budget: "20000.00"', 'budget: "15000.00"')


def form_of(scene: Scene, task_id: int) -> GateForm:
    with scene.begin() as session:
        form = questions.gate_form(session, task_id)
    assert form is not None
    return form


def to_open(scene: Scene) -> list[int]:
    with scene.begin() as session:
        return questions.gates_to_open(session, theme_id=scene.theme().id)


def to_close(scene: Scene) -> list[tuple[int, UUID]]:
    with scene.begin() as session:
        return questions.gates_to_close(session, theme_id=scene.theme().id)


def open_gates(scene: Scene) -> dict[int, UUID]:
    """As the task that opens gates does: tie the run, then say that its form is there."""
    runs = {}
    for task_id in to_open(scene):
        runs[task_id] = uuid4()
        form = form_of(scene, task_id)
        with scene.begin() as session:
            assert questions.note_gate_run(session, task_id=task_id, attempt=form.attempt, flow_run_id=runs[task_id])
        with scene.begin() as session:
            questions.note_gate_ready(session, task_id=task_id, attempt=form.attempt, mark=form.mark)
    return runs


def test_every_open_question_wants_a_gate_until_one_is_ready(asked: Scene) -> None:
    (task_id,) = to_open(asked)
    assert task_id == asked.question_to("bob")
    with asked.begin() as session:
        assert questions.note_gate_run(session, task_id=task_id, attempt=1, flow_run_id=uuid4())
    assert to_open(asked) == [task_id]
    with asked.begin() as session:
        questions.note_gate_ready(session, task_id=task_id, attempt=1, mark="mark")
    assert to_open(asked) == []


def test_gate_form_names_run_tags_and_keys_by_task_and_attempt(asked: Scene) -> None:
    form = form_of(asked, asked.question_to("bob"))
    assert form.run_name == "Approve · 三八妇女节，逛吃逛喝我买单 · level 1 operations · bob"
    assert form.tags == (f"theme:{KEY}", "approver:bob", "level:1")
    assert form.pause_key == f"t{form.task_id}-a1"
    assert form.idempotency_key == f"approval-gate-t{form.task_id}-a1"
    assert form.flow_run_id is None


def test_gate_knows_its_question_by_its_run(asked: Scene) -> None:
    ((task_id, run),) = open_gates(asked).items()
    with asked.begin() as session:
        here = questions.asked_in(session, run)
        assert questions.asked_in(session, uuid4()) is None
    assert here is not None
    assert (here.task_id, here.login, here.theme_key, here.attempt) == (task_id, "bob", KEY, 1)


def test_run_that_answers_need_not_be_closed_and_the_others_must(asked: Scene) -> None:
    ((task_id, run),) = open_gates(asked).items()
    asked.tick()
    asked.decide(task_id, Answer(decision="approve", login="bob", code=asked.code("bob")), flow_run_id=run)
    assert to_close(asked) == []
    runs = open_gates(asked)
    asked.answer("carl")
    asked.answer("cyn")
    assert dict(to_close(asked)) == runs  # answered past their gates, or cancelled
    for over in runs:
        with asked.begin() as session:
            questions.note_gate_closed(session, task_id=over)
    assert to_close(asked) == []


def test_gate_of_an_open_question_is_not_noted_as_closed(asked: Scene) -> None:
    ((task_id, _),) = open_gates(asked).items()
    with asked.begin() as session:
        questions.note_gate_closed(session, task_id=task_id)
    assert to_open(asked) == []


def test_withdrawal_leaves_every_gate_to_be_closed(asked: Scene) -> None:
    asked.answer("bob")
    runs = open_gates(asked)
    asked.withdraw()
    assert dict(to_close(asked)) == runs
    assert len(runs) == 3
    assert to_open(asked) == []


def test_question_that_moved_on_while_its_run_was_made_does_not_take_the_run(asked: Scene) -> None:
    task_id = asked.question_to("bob")
    with asked.begin() as session:
        assert questions.replace_gate(session, task_id=task_id, attempt=1, because="the run was deleted")
    with asked.begin() as session:
        assert not questions.note_gate_run(session, task_id=task_id, attempt=1, flow_run_id=uuid4())
        questions.note_gate_ready(session, task_id=task_id, attempt=1, mark="mark")
    assert to_open(asked) == [task_id]
    asked.answer("bob")
    with asked.begin() as session:
        assert not questions.note_gate_run(session, task_id=task_id, attempt=2, flow_run_id=uuid4())


def test_asking_again_raises_the_attempt_in_the_same_run_and_says_why_first(asked: Scene) -> None:
    ((task_id, run),) = open_gates(asked).items()
    with asked.begin() as session:
        again = questions.ask_again(session, task_id=task_id, attempt=1, because="the code was wrong")
    assert again is not None
    assert (again.attempt, again.flow_run_id, again.pause_key) == (2, run, f"t{task_id}-a2")
    assert again.brief.splitlines()[0] == "**Asked again: the code was wrong**"
    assert form_of(asked, task_id).brief == again.brief


def test_asking_again_from_a_stale_attempt_or_about_what_is_over_asks_nothing(asked: Scene) -> None:
    ((task_id, _),) = open_gates(asked).items()
    with asked.begin() as session:
        questions.ask_again(session, task_id=task_id, attempt=1, because="first")
    with asked.begin() as session:
        assert questions.ask_again(session, task_id=task_id, attempt=1, because="second") is None
    assert "first" in form_of(asked, task_id).brief
    asked.answer("bob")
    with asked.begin() as session:
        assert questions.ask_again(session, task_id=task_id, attempt=2, because="late") is None
        assert questions.gate_form(session, task_id) is None


def test_gate_that_is_given_up_is_opened_anew_under_a_new_key(asked: Scene) -> None:
    ((task_id, run),) = open_gates(asked).items()
    with asked.begin() as session:
        assert questions.replace_gate(session, task_id=task_id, attempt=1, because="its run was deleted")
        assert questions.asked_in(session, run) is None
    form = form_of(asked, task_id)
    assert (form.attempt, form.flow_run_id, form.idempotency_key) == (2, None, f"approval-gate-t{task_id}-a2")
    assert "its run was deleted" in form.brief.splitlines()[0]
    assert to_open(asked) == [task_id]
    with asked.begin() as session:
        assert not questions.replace_gate(session, task_id=task_id, attempt=1, because="seen by somebody slower")


def test_gate_of_a_settled_question_is_not_given_up(asked: Scene) -> None:
    ((task_id, run),) = open_gates(asked).items()
    asked.answer("bob")
    with asked.begin() as session:
        assert not questions.replace_gate(session, task_id=task_id, attempt=1, because="its run was deleted")
        task = approvals.task_by_id(session, task_id)
        assert (task.state, task.flow_run_id, task.attempt) == (TaskState.DECIDED, run, 1)


def test_reason_of_no_interest_to_the_person_leaves_the_one_that_she_was_told(asked: Scene) -> None:
    ((task_id, _),) = open_gates(asked).items()
    with asked.begin() as session:
        questions.ask_again(session, task_id=task_id, attempt=1, because="the code was wrong")
    with asked.begin() as session:
        assert questions.replace_gate(session, task_id=task_id, attempt=2, because=None)
    assert form_of(asked, task_id).brief.startswith("**Asked again: the code was wrong**")


def shown_gate(scene: Scene) -> ShownGate:
    with scene.begin() as session:
        (gate,) = questions.shown_gates(session)
    return gate


def test_what_a_gate_shows_is_known_by_the_mark_of_its_form_and_brief(asked: Scene) -> None:
    assert questions_shown(asked) == []
    ((task_id, run),) = open_gates(asked).items()
    gate, form = shown_gate(asked), form_of(asked, task_id)
    assert (gate.task_id, gate.attempt, gate.flow_run_id, gate.ready, gate.login) == (task_id, 1, run, True, "bob")
    assert (gate.mark, gate.run_name, gate.tags) == (form.mark, form.run_name, frozenset(form.tags))
    with asked.begin() as session:
        again = questions.ask_again(session, task_id=task_id, attempt=1, because="the code was wrong")
    assert again is not None
    assert shown_gate(asked).mark == again.mark != form.mark
    with asked.begin() as session:
        here = questions.asked_in(session, run)
    assert here is not None
    assert here.mark == again.mark


def questions_shown(scene: Scene) -> list[ShownGate]:
    with scene.begin() as session:
        return questions.shown_gates(session)


def test_run_is_known_by_its_tie_or_by_what_it_was_created_for(asked: Scene) -> None:
    ((task_id, run),) = open_gates(asked).items()
    key = keys.gate_idempotency_key(task_id, 2)
    with asked.begin() as session:
        tied = questions.tasks_of_runs(session, [a_run(run), a_run(left := uuid4(), key), a_run(uuid4(), "x")])
    assert {*tied} == {run, left}
    assert tied[run] == tied[left]
    assert (tied[run].task_id, tied[run].state, tied[run].flow_run_id) == (task_id, TaskState.OPEN, run)


def a_run(run: UUID, key: str | None = None) -> GateRun:
    return GateRun(
        id=run,
        deployment_id=None,
        state="PAUSED",
        state_name="Suspended",
        since=MORNING,
        created_at=MORNING,
        name="",
        idempotency_key=key,
    )


def inbox_of(scene: Scene, login: str) -> list[WaitingFor]:
    with scene.begin() as session:
        return inbox(session, login)


def test_waiting_lists_one_persons_inbox(asked: Scene) -> None:
    asked.answer("bob")
    with asked.begin() as session:
        everybody = waiting(session)
    assert [one.login for one in everybody] == ["carl", "cyn", "cora"]
    assert inbox_of(asked, "bob") == []
    (one,) = inbox_of(asked, "cyn")
    assert (one.theme_key, one.level, one.level_name, one.round_number) == (KEY, 2, "finance", 1)
    assert (one.kind, one.owner, one.name, one.object_kind) == (TaskKind.DECISION, "cyn", "Cyn", ObjectKind.THEME)
    assert (one.since, one.due_at is not None) == (asked.now, True)


def test_inbox_of_somebody_unknown_names_the_nearest(asked: Scene) -> None:
    with pytest.raises(PersonUnknown, match="did you mean 'cyn'"):
        inbox_of(asked, "cin")


# why a theme waits


def waits_of(scene: Scene, now: datetime | None = None) -> list[Wait]:
    theme = scene.theme()
    with scene.begin() as session:
        return waits(session, theme, now or scene.now)


def in_state(scene: Scene, state: ThemeState) -> list[Wait]:
    scene.run("UPDATE themes SET state = :state", state=state.value)
    return waits_of(scene)


def test_draft_waits_for_its_author(scene: Scene) -> None:
    scene.draft()
    (one,) = waits_of(scene)
    assert (one.waits_for, one.people, one.object_key) == (WaitsFor.SUBMISSION, ("ann",), KEY)


def test_theme_in_review_waits_for_everybody_who_is_asked(asked: Scene) -> None:
    asked.answer("bob")
    found = waits_of(asked)
    assert [one.people for one in found] == [("carl",), ("cyn",), ("cora",)]
    assert {(one.waits_for, one.level, one.since, one.overdue) for one in found} == {
        (WaitsFor.ANSWER, "finance", asked.now, False)
    }
    late = waits_of(asked, asked.now + timedelta(days=30))
    assert [one.overdue for one in late] == [True, True, True]


def test_level_that_nobody_may_settle_is_told(asked: Scene) -> None:
    asked.run("UPDATE tasks SET state = 'removed' WHERE state = 'open'")
    (one,) = waits_of(asked)
    assert (one.waits_for, one.level, one.people) == (WaitsFor.APPROVER, "operations", ())
    assert "nobody may decide" in one.why


def test_rejected_offer_waits_for_an_edit(asked: Scene) -> None:
    asked.run(
        "UPDATE chains SET state = 'rejected' WHERE object_kind = 'coupon' AND id = "
        "(SELECT min(id) FROM chains WHERE object_kind = 'coupon')",
        "INSERT INTO levels (chain_id, position, name, quorum, veto, state, settled_at) "
        "SELECT id, 1, 'finance', '{}', '[]', 'rejected', now() FROM chains WHERE state = 'rejected'",
    )
    edit = next(one for one in waits_of(asked) if one.waits_for is WaitsFor.EDIT)
    assert (edit.people, edit.object_kind, edit.since is not None) == (("ann",), "coupon", True)


def test_owner_whose_advice_is_out_waits_for_it_and_the_adviser_is_asked(asked: Scene) -> None:
    asked.run(
        "INSERT INTO tasks (level_id, kind, person_id, owner_id, state, for_task_id) "
        "SELECT level_id, 'advice', (SELECT id FROM people WHERE login = 'dan'), owner_id, 'open', id "
        "FROM tasks WHERE state = 'open'",
        "UPDATE tasks SET state = 'out' WHERE kind = 'decision' AND state = 'open'",
    )
    asking, owners = waits_of(asked)
    assert (asking.waits_for, asking.people) == (WaitsFor.ANSWER, ("dan",))
    assert asking.why.startswith("dan is asked for advice for bob")
    assert (owners.waits_for, owners.people) == (WaitsFor.ADVICE, ("bob",))
    (one,) = inbox_of(asked, "dan")
    assert (one.kind, one.owner) == (TaskKind.ADVICE, "bob")


def test_theme_in_review_that_asks_nothing_is_under_way(asked: Scene) -> None:
    asked.run("UPDATE levels SET state = 'approved'", "UPDATE tasks SET state = 'decided'")
    assert [one.waits_for for one in waits_of(asked)] == [WaitsFor.NEXT_STEP]


@pytest.mark.parametrize(
    ("state", "waits_for", "people", "due_at"),
    [
        (ThemeState.APPROVED, WaitsFor.NEXT_STEP, (), STARTS_AT),
        (ThemeState.SCHEDULED, WaitsFor.START, (), STARTS_AT),
        (ThemeState.LIVE, WaitsFor.END, (), ENDS_AT),
        (ThemeState.MISSED, WaitsFor.STEERING, ("ann", "bob"), ENDS_AT),
        (ThemeState.PAUSED, WaitsFor.STEERING, ("ann", "bob"), ENDS_AT),
        (ThemeState.REVOKING, WaitsFor.NEXT_STEP, (), None),
    ],
)
def test_every_other_state_says_what_ends_it(
    asked: Scene, state: ThemeState, waits_for: WaitsFor, people: tuple[str, ...], due_at: datetime | None
) -> None:
    (one,) = in_state(asked, state)
    assert (one.waits_for, one.people, one.due_at) == (waits_for, people, due_at)


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_theme_that_is_over_waits_for_nothing(asked: Scene, state: ThemeState) -> None:
    assert in_state(asked, state) == []


def test_takedown_waits_for_each_channel_that_is_not_undone(asked: Scene) -> None:
    asked.run(
        "INSERT INTO takedowns (theme_id, person_id, comment, claimed, taken_down_at) "
        "SELECT themes.id, themes.author_id, 'wrong price', 'honour', now() FROM themes",
        "INSERT INTO revocations (takedown_id, channel, state, cancelled, last_problem) "
        "SELECT id, 'sms', 'pending', 0, '3 held by senders' FROM takedowns",
        "INSERT INTO revocations (takedown_id, channel, state, cancelled) SELECT id, 'email', 'done', 0 FROM takedowns",
    )
    (one,) = in_state(asked, ThemeState.REVOKING)
    assert one.waits_for is WaitsFor.TAKEDOWN
    assert "sms" in one.why
    assert "3 held by senders" in one.why


# the brief


def test_brief_says_what_is_asked_and_whom_it_reaches(asked: Scene) -> None:
    brief = form_of(asked, asked.question_to("bob")).brief
    digest = asked.audit("submit")[0].object_hash or "no hash"
    for words in (
        "theme **三八妇女节，逛吃逛喝我买单**, Bob?",
        digest[:32],  # shown in two halves, so that it wraps
        digest[32:],
        "1 of 2, operations",
        "one of 1 decides",
        "20000.00 GBP",
        "14 people",
        "sms 14, email 14, push 14, mini program 14",
        "20 off from 100",
        "2027-03-06 00:00 GMT → 2027-03-09 00:00 GMT",
        "A customer, 20 off from 100 until",
    ):
        assert words in brief, words
    assert "Changed since" not in brief
    assert "Earlier decisions" not in brief


def test_brief_shows_what_changed_since_her_last_look_and_who_said_what(asked: Scene) -> None:
    asked.answer("bob", comment="fine")
    asked.answer("carl", "return to drafter", "too much | money")
    asked.draft(theme_text(EDIT))
    asked.submit()
    brief = form_of(asked, asked.question_to("bob")).brief
    changes, earlier = brief.split("Changed since your last look")[1].split("Earlier decisions")
    assert "- **budget** 20000.00 GBP → 15000.00 GBP" in changes
    assert "Bob · round 1 · operations · approved · 2027-02-20" in earlier
    assert "— fine" in earlier
    assert "Carl · round 1 · finance · returned" in earlier
    assert "too much \\| money" in earlier


def test_brief_of_somebody_who_was_not_asked_before_shows_no_changes(asked: Scene) -> None:
    asked.answer("bob", "return to drafter", "too much")
    asked.draft(theme_text(EDIT))
    asked.submit()
    asked.answer("bob")
    brief = form_of(asked, asked.question_to("cyn")).brief
    assert "Changed since your last look" not in brief
    assert "too much" in brief


def test_brief_of_a_resubmission_without_a_change_says_so(asked: Scene) -> None:
    asked.answer("bob", "return to drafter", "sure?")
    asked.submit()
    brief = form_of(asked, asked.question_to("bob")).brief
    assert "**Changed since your last look**\n\nnone" in brief


def test_brief_counts_from_her_last_look_over_rounds_she_was_not_asked_in(asked: Scene) -> None:
    asked.answer("bob")  # finance is asked about revision 1
    asked.withdraw()
    asked.draft(theme_text(EDIT))
    asked.submit()
    asked.answer("bob", "return to drafter", "no")  # and never about revision 2
    asked.draft(theme_text(('budget: "20000.00"', 'budget: "12000.00"')))
    asked.submit()
    asked.answer("bob")
    brief = form_of(asked, asked.question_to("cyn")).brief
    assert "- **budget** 20000.00 GBP → 12000.00 GBP" in brief


def test_brief_is_in_the_persons_language(asked: Scene) -> None:
    asked.run("UPDATE people SET locale = 'zh' WHERE login = 'bob'")
    assert "您是否同意" in form_of(asked, asked.question_to("bob")).brief


def test_brief_gives_earlier_times_in_the_themes_zone(scene: Scene) -> None:
    scene.draft(theme_text(("timezone: Europe/London", "timezone: Asia/Shanghai")))
    scene.submit()
    scene.answer("bob")
    brief = form_of(scene, scene.question_to("cyn")).brief
    assert "operations · approved · 2027-02-20 17:01 CST" in brief
