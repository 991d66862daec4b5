"""What waits for an answer, the gate runs that show it, and the brief that goes with it."""

from uuid import UUID, uuid4

import pytest

from approval.form import Answer
from approval.service import questions
from approval.service.questions import GateForm
from approval.states import TaskState
from models.queries import approvals
from tests.integration.scene import KEY, Scene, theme_text

EDIT = ('budget: "20000.00"', 'budget: "15000.00"')


@pytest.fixture
def asked(scene: Scene) -> Scene:
    scene.draft()
    scene.submit()
    return scene


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
        attempt = form_of(scene, task_id).attempt
        with scene.begin() as session:
            assert questions.note_gate_run(session, task_id=task_id, attempt=attempt, flow_run_id=runs[task_id])
        with scene.begin() as session:
            questions.note_gate_ready(session, task_id=task_id, attempt=attempt)
    return runs


def test_every_open_question_wants_a_gate_until_one_is_ready(asked: Scene) -> None:
    (task_id,) = to_open(asked)
    assert task_id == asked.question_to("bob")
    with asked.begin() as session:
        assert questions.note_gate_run(session, task_id=task_id, attempt=1, flow_run_id=uuid4())
    assert to_open(asked) == [task_id]
    with asked.begin() as session:
        questions.note_gate_ready(session, task_id=task_id, attempt=1)
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
        questions.note_gate_ready(session, task_id=task_id, attempt=1)
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


def test_waiting_lists_one_persons_inbox(asked: Scene) -> None:
    asked.answer("bob")
    with asked.begin() as session:
        everybody = questions.waiting(session)
        mine = questions.waiting(session, login="cyn")
        assert questions.waiting(session, login="bob") == []
    assert [one.login for one in everybody] == ["carl", "cyn", "cora"]
    (one,) = mine
    assert (one.theme_key, one.level, one.level_name, one.round_number) == (KEY, 2, "finance", 1)
    assert (one.since, one.due_at is not None) == (asked.now, True)


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
        "sms 14, email 14, push 14, mini\\_program 14",
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
    changes, earlier = brief.split("### Changed since your last look")[1].split("### Earlier decisions")
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
    assert "### Changed since your last look\n\nnone" in brief


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
