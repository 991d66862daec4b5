import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from approval.form import form_schema, form_version
from approval.gates import (
    BRIEFLY,
    GateRun,
    ShownGate,
    TiedTask,
    form_mark,
    labels_to_mend,
    question_of,
    shows_its_brief,
    stray,
    wrong_with_form,
    wrong_with_going,
    wrong_with_run,
)
from approval.keys import gate_idempotency_key, input_keys
from approval.states import TaskState

NOW = datetime(2027, 2, 20, 9, tzinfo=UTC)
LOST_AFTER = timedelta(minutes=3)
DEPLOYMENT, RUN_ID = uuid4(), uuid4()
BRIEF = "Do you approve?"
GATE = ShownGate(
    task_id=7,
    attempt=2,
    flow_run_id=RUN_ID,
    ready=True,
    mark=form_mark(BRIEF),
    theme_key="womens-day",
    theme_title="Women's Day",
    level=2,
    level_name="finance",
    login="carl",
)
WAITING = GateRun(
    id=RUN_ID,
    deployment_id=DEPLOYMENT,
    state="PAUSED",
    state_name="Suspended",
    since=NOW - timedelta(hours=1),
    created_at=NOW - timedelta(hours=2),
    name=GATE.run_name,
    pause_key="t7-a2",
    keyset=input_keys(7, 2),
    reschedules=True,
    tags=GATE.tags | {"approval"},
    idempotency_key=gate_idempotency_key(7, 2),
)
KEYS = input_keys(7, 2)
FORM = {KEYS["schema"]: json.dumps(form_schema(BRIEF)), KEYS["description"]: json.dumps(BRIEF)}


def wrong(run: GateRun | None) -> str | None:
    return wrong_with_run(GATE, run, deployment_id=DEPLOYMENT)


def test_nothing_is_wrong_with_a_run_that_waits_for_its_answer() -> None:
    assert wrong(WAITING) is None
    assert wrong_with_form(GATE, FORM) is None
    assert labels_to_mend(GATE, WAITING) is None
    assert not GATE.outdated


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "COMPLETED", "state_name": "Completed"}, "was ended (Completed)"),
        ({"state": "FAILED", "state_name": "Failed"}, "was ended"),
        ({"state": "CRASHED", "state_name": "Crashed"}, "was ended"),
        ({"state": "CANCELLED", "state_name": "Cancelled"}, "was ended"),
        ({"state": "CANCELLING", "state_name": "Cancelling"}, "was ended"),
        ({"deployment_id": None}, "belongs to no deployment"),  # it was deleted
        ({"deployment_id": uuid4()}, "belongs to no deployment"),  # and registered anew
        ({"parameters": {"x": 1}}, "was given parameters"),
        ({"pause_key": "t7-a1"}, "another form"),  # its old one
        ({"pause_key": None}, "another form"),  # paused by hand
        ({"keyset": input_keys(8, 1)}, "form in another place"),
        ({"keyset": {}}, "form in another place"),  # it would go on without any answer
        ({"reschedules": False}, "no answer would start it"),
        ({"times_out": True}, "no answer would start it"),
        ({"state_name": "Paused"}, "another state (Paused)"),  # the inbox's link looks for Suspended
    ],
)
def test_what_is_wrong_with_a_run_is_told(change: dict[str, object], words: str) -> None:
    assert words in (wrong(replace(WAITING, **change)) or "nothing")  # type: ignore[arg-type]


def test_a_run_that_is_gone_was_deleted() -> None:
    assert wrong(None) == "its run was deleted"


@pytest.mark.parametrize(
    ("state", "age", "answered", "words"),
    [
        ("RUNNING", 10, True, None),
        ("RUNNING", 10, False, None),  # it may be about to ask again
        ("RUNNING", 20, False, "without an answer"),
        ("PENDING", 20, False, "without an answer"),
        ("SCHEDULED", 20, False, "without an answer"),
        ("RUNNING", 170, True, None),
        ("RUNNING", 190, True, "was lost"),
        ("PENDING", 190, True, "was lost"),  # left in Submitting by a worker that was told to stop
        ("SCHEDULED", 3600, True, None),  # answered while no runner was there: it keeps its answer
    ],
)
def test_a_run_that_is_on_its_way_needs_an_answer_and_a_process(
    state: str,
    age: int,
    answered: bool,  # noqa: FBT001 - a column of the table above
    words: str | None,
) -> None:
    run = replace(WAITING, state=state, state_name=state.title(), since=NOW - timedelta(seconds=age))
    assert wrong(run) is None
    told = wrong_with_going(run, answered=answered, now=NOW, lost_after=LOST_AFTER)
    assert told is None if words is None else words in (told or "nothing")


def test_an_answered_run_that_is_put_off_would_never_go() -> None:
    run = replace(WAITING, state="SCHEDULED", since=NOW, scheduled_at=NOW + timedelta(days=1))
    assert wrong_with_going(run, answered=True, now=NOW, lost_after=LOST_AFTER) == "its run was put off"
    soon = replace(run, scheduled_at=NOW)
    assert wrong_with_going(soon, answered=True, now=NOW, lost_after=LOST_AFTER) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({KEYS["response"]: "{}"}, "planted"),
        ({KEYS["schema"]: None}, "form was altered or is missing"),
        ({KEYS["schema"]: "no JSON"}, "form was altered"),
        ({KEYS["schema"]: "[]"}, "form was altered"),
        ({KEYS["schema"]: json.dumps({**form_schema(), "required": []})}, "form was altered"),
        ({KEYS["description"]: None}, "brief was altered or is missing"),
        ({KEYS["description"]: json.dumps("Nothing to see here.")}, "brief was altered"),
        ({KEYS["description"]: BRIEF}, "brief was altered"),  # no JSON text
    ],
)
def test_what_is_wrong_with_a_form_is_told(change: dict[str, str | None], words: str) -> None:
    inputs = {key: value for key, value in (FORM | change).items() if value is not None}
    assert words in (wrong_with_form(GATE, inputs) or "nothing")


def test_a_form_that_prefect_itself_saved_when_a_run_suspended_is_sound() -> None:
    schema = {**form_schema(BRIEF), "title": "AnswerRunInput"}
    schema.pop("description", None)
    assert wrong_with_form(GATE, {**FORM, KEYS["schema"]: json.dumps(schema)}) is None


def test_a_form_of_before_a_deployment_is_outdated_and_not_altered() -> None:
    old = replace(GATE, mark=(GATE.mark or "").replace(form_version(), "0123456789ab"))
    assert old.outdated
    assert replace(GATE, mark=None).outdated
    assert not replace(GATE, mark=None, ready=False).outdated


def test_answer_to_another_brief_than_the_one_it_was_opened_with_shows() -> None:
    form, cheap = json.dumps(form_schema(BRIEF)), "Budget: 1 GBP"
    assert shows_its_brief(GATE.mark, json.dumps(BRIEF), form)
    assert not shows_its_brief(GATE.mark, json.dumps(cheap), form)
    assert not shows_its_brief(GATE.mark, json.dumps(BRIEF), json.dumps(form_schema(cheap)))
    assert not shows_its_brief(GATE.mark, json.dumps(cheap), json.dumps(form_schema(cheap)))
    assert not shows_its_brief(GATE.mark, None, form)
    assert not shows_its_brief(GATE.mark, json.dumps(BRIEF), None)
    assert shows_its_brief(None, None, None)  # of before briefs were marked


def test_names_and_tags_are_mended_and_others_tags_stay() -> None:
    altered = replace(WAITING, name="gone fishing", tags=frozenset({"approver:dave", "theme:womens-day", "urgent"}))
    labels = labels_to_mend(GATE, altered)
    assert labels is not None
    assert (labels.name, labels.tags, labels.altered) == (GATE.run_name, GATE.tags | {"urgent"}, True)


def test_a_new_title_of_the_theme_is_no_alteration() -> None:
    labels = labels_to_mend(replace(GATE, theme_title="Spring"), WAITING)
    assert labels is not None
    assert (labels.name, labels.altered) == ("Approve · Spring · level 2 finance · carl", False)


def tied(state: TaskState, run: UUID | None = RUN_ID, *, closed: bool = False, attempt: int = 2) -> TiedTask:
    return TiedTask(task_id=7, state=state, attempt=attempt, flow_run_id=run, gate_closed=closed)


YOUNG = replace(WAITING, created_at=NOW - BRIEFLY / 2, since=NOW - BRIEFLY / 2)
GOING = replace(WAITING, state="RUNNING", since=NOW - timedelta(seconds=5))
STUCK = replace(WAITING, state="RUNNING")


@pytest.mark.parametrize(
    ("run", "task", "words"),
    [
        (WAITING, tied(TaskState.CANCELLED), None),  # needless: closed with its theme's others
        (WAITING, tied(TaskState.DECIDED, closed=True), "no longer asked"),  # forced back into waiting
        (GOING, tied(TaskState.DECIDED, closed=True), None),  # it moves the theme on
        (STUCK, tied(TaskState.DECIDED, closed=True), "no longer asked"),  # killed after its decision
        (STUCK, tied(TaskState.OPEN), None),  # looked at as a shown gate
        (WAITING, None, "nobody has opened"),
        (YOUNG, None, None),
        (GOING, None, None),  # ends by itself, with an alert
        (STUCK, None, "nobody has opened"),
        (WAITING, tied(TaskState.OPEN, None), None),  # of a death before its tie: found again by its key
        (WAITING, tied(TaskState.OPEN, None, attempt=3), "moved on"),
        (WAITING, tied(TaskState.OPEN, uuid4()), "moved on"),
        (WAITING, tied(TaskState.CANCELLED, None), "moved on"),
        (YOUNG, tied(TaskState.CANCELLED, None), None),
    ],
)
def test_a_run_that_shows_no_open_question_is_closed_where_it_would_stay(
    run: GateRun, task: TiedTask | None, words: str | None
) -> None:
    found = stray(run, task, now=NOW, lost_after=LOST_AFTER)
    assert found is None if words is None else words in (found.because if found else "nothing")
    assert (found is not None and found.foreign) == (task is None and words is not None)


def test_a_run_says_by_its_key_what_it_was_created_for() -> None:
    assert question_of(gate_idempotency_key(12, 3)) == (12, 3)
    assert question_of("launch-theme-1") is None
    assert question_of(None) is None
