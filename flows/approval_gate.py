"""One person's question. Opened suspended through the API; this runs once it was answered."""

from uuid import UUID

from prefect import flow, get_run_logger, suspend_flow_run
from prefect.client.schemas.objects import State
from prefect.states import Completed

from approval.keys import pause_key
from approval.service.decisions import Decided
from approval.service.questions import AskedHere, GateForm
from approval.states import TaskState
from tasks.gate_runs import answer_form_with, read_answer, showed_its_brief
from tasks.moving_on import move_on
from tasks.own_run import own_run_id
from tasks.theme_steps import alert, ask_again, asked_in, decide


@flow(name="approval-gate", retries=0)
def approval_gate() -> State:
    """Take the answer into the record and move the theme on; ask again where anything is off.

    The gate knows its question by its own run id alone: nothing that Prefect's API lets others change is believed.
    """
    run_id = own_run_id()
    asked = asked_in(run_id)
    if asked is None:
        return _nothing_asked(run_id)
    if asked.state is not TaskState.OPEN:
        return _over(asked)
    answer = read_answer(run_id, asked)
    if answer is None:
        _report_bypass(asked, "its run went on without an answer that fits the form")
        return _put_again(asked, "no answer that fits the form has come; please answer again")
    if not showed_its_brief(run_id, asked):
        _report_bypass(asked, "its brief was altered or is missing")
        return _put_again(asked, "the brief had been altered; please read this one and answer again")
    outcome = decide(asked, answer, run_id)
    if not isinstance(outcome, Decided):
        return _put_again(asked, str(outcome))
    _move_on(asked)
    return Completed(name="Decided", message=f"{asked.login}: {outcome.kind}; the level is {outcome.outcome}")


def _move_on(asked: AskedHere) -> None:
    """After the commit nothing may fail the run: what is left undone the reconciler starts again."""
    try:
        move_on(asked.theme_id)
    except Exception:  # noqa: BLE001 - a run that fails after an answer would be stuck for good
        get_run_logger().exception("the decision is on record, but theme %s could not be moved on", asked.theme_key)


def _put_again(asked: AskedHere, because: str) -> State:
    form = ask_again(asked, because)
    if form is None:
        return _over(asked)
    _suspend(form)
    return Completed(name="AnsweredMeanwhile", message="the answer was there before the run had suspended")


def _suspend(form: GateForm) -> None:
    """Suspend this run until the form is answered; the answer starts it from the top."""
    answer_form = answer_form_with(form.brief)
    suspend_flow_run(wait_for_input=answer_form, key=pause_key(form.task_id, form.attempt), timeout=None)


def _report_bypass(asked: AskedHere, what: str) -> None:
    """Through the form alone none of this happens: somebody or something else was at it."""
    text = f"the question to {asked.login} about theme {asked.theme_key!r}: {what}; nothing was decided by it"
    key = f"gate:{asked.task_id}:{asked.attempt}"
    alert(key=key, subject="a gate was bypassed or lost", text=text, theme_key=asked.theme_key)


def _over(asked: AskedHere) -> State:
    name = "AlreadyDecided" if asked.state is TaskState.DECIDED else "NoLongerAsked"
    return Completed(name=name, message=f"the question to {asked.login} is {asked.state}")


def _nothing_asked(run_id: UUID) -> State:
    text = f"run {run_id} of approval-gate belongs to no question; it decided nothing"
    alert(key=f"stray-gate:{run_id}", subject="a gate that nobody opened", text=text)
    return Completed(name="NothingAsked", message=text)
