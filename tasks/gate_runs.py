"""Gate runs: created through the API already suspended, so that no process waits for an answer."""

import json
from typing import Any, cast
from uuid import UUID

from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.input.run_input import RunInput, run_input_subclass_from_type
from prefect.states import Cancelled, Suspended
from pydantic import ValidationError

from approval.form import Answer, form_schema, question_form
from approval.gates import Labels, shows_its_brief
from approval.keys import input_keys
from approval.service import questions
from approval.service.questions import AskedHere, GateForm
from tasks.connection import database

GATE_DEPLOYMENT = "approval-gate/per-task"
_MISSING, _CONFLICT = 404, 409
_INPUTS = 10  # a question has three


@task(name="open gate", task_run_name="open gate of question {task_id}", retries=3, retry_delay_seconds=1)
def open_gate(task_id: int) -> UUID | None:
    """Put one question into Prefect. Repeated after a crash at any line it completes what is there.

    The order matters: the run, then its tie in the database, then its form, then the note that all is there.
    """
    with database().begin() as session:
        form = questions.gate_form(session, task_id)
    if form is None:
        return None
    with get_client(sync_client=True) as client:
        run_id = form.flow_run_id or create_suspended_run(client, form)
        with database().begin() as session:
            if not questions.note_gate_run(session, task_id=task_id, attempt=form.attempt, flow_run_id=run_id):
                cancel_run(client, run_id, "the question had moved on")
                return None
        try:
            save_form(client, run_id, form)
        except ObjectNotFound:
            return None  # deleted at this very moment: the reconciler finds that and puts the question anew
    with database().begin() as session:
        questions.note_gate_ready(session, task_id=task_id, attempt=form.attempt, mark=form.mark)
    return run_id


@task(name="close gate", task_run_name="close gate of question {task_id}", retries=3, retry_delay_seconds=1)
def close_gate(task_id: int, flow_run_id: UUID) -> None:
    """Cancel the gate run of a question that is over."""
    with get_client(sync_client=True) as client:
        cancel_run(client, flow_run_id, "the question is no longer asked")
    with database().begin() as session:
        questions.note_gate_closed(session, task_id=task_id)


def create_suspended_run(client: SyncPrefectClient, form: GateForm) -> UUID:
    deployment = client.read_deployment_by_name(GATE_DEPLOYMENT)
    state: State[Any] = Suspended(timeout_seconds=None, pause_key=form.pause_key)
    state.state_details.run_input_keyset = input_keys(form.task_id, form.attempt)
    run = client.create_flow_run_from_deployment(
        deployment.id,
        state=state,
        name=form.run_name,
        tags=form.tags,
        idempotency_key=form.idempotency_key,
    )
    return run.id


def save_form(client: SyncPrefectClient, run_id: UUID, form: GateForm) -> None:
    """Raises ObjectNotFound: there is no such run."""
    keys = input_keys(form.task_id, form.attempt)
    save_input(client, run_id, keys["schema"], json.dumps(form_schema(form.brief)))
    save_input(client, run_id, keys["description"], json.dumps(form.brief))


def save_input(client: SyncPrefectClient, run_id: UUID, key: str, value: str) -> None:
    """Save an input, in the place of one that says something else: a run may be older than what is to be shown."""
    try:
        _create_input(client, run_id, key, value)
    except PrefectHTTPStatusError as refused:
        if refused.response.status_code != _CONFLICT:
            raise
        if client.read_flow_run_input(run_id, key) != value:
            client.delete_flow_run_input(run_id, key)
            _create_input(client, run_id, key, value)


def _create_input(client: SyncPrefectClient, run_id: UUID, key: str, value: str) -> None:
    try:
        client.create_flow_run_input(flow_run_id=run_id, key=key, value=value)
    except PrefectHTTPStatusError as refused:
        if refused.response.status_code == _MISSING:
            raise ObjectNotFound(http_exc=refused) from refused
        raise


def read_inputs(client: SyncPrefectClient, run_id: UUID, task_id: int, attempt: int) -> dict[str, str]:
    """What is saved of the form as it was last put, and of its answer, by key."""
    prefix = input_keys(task_id, attempt)["schema"].removesuffix("schema")
    body, path = {"prefix": prefix, "limit": _INPUTS}, {"id": run_id}
    found = client.request("POST", "/flow_runs/{id}/input/filter", path_params=path, json=body).json()
    return {one["key"]: one["value"] for one in found}


def label(client: SyncPrefectClient, run_id: UUID, labels: Labels) -> None:
    client.update_flow_run(run_id, name=labels.name, tags=sorted(labels.tags))


def read_answer(run_id: UUID, asked: AskedHere) -> Answer | None:
    """The answer to the question as it was last put; None when there is none, or none that fits the form."""
    with get_client(sync_client=True) as client:
        text = _read_input(client, run_id, input_keys(asked.task_id, asked.attempt)["response"])
    try:
        return None if text is None else Answer.model_validate(json.loads(text))
    except (ValidationError, ValueError):
        return None  # whatever was planted there instead of an answer is none: the question is put anew


def showed_its_brief(run_id: UUID, asked: AskedHere) -> bool:
    """Whether the brief that was answered on is still the one that the gate was opened with."""
    with get_client(sync_client=True) as client:
        keys = input_keys(asked.task_id, asked.attempt)
        description, schema = (_read_input(client, run_id, keys[part]) for part in ("description", "schema"))
    return shows_its_brief(asked.mark, description, schema)


def _read_input(client: SyncPrefectClient, run_id: UUID, key: str) -> str | None:
    try:
        return str(client.read_flow_run_input(run_id, key))
    except (PrefectHTTPStatusError, ObjectNotFound):
        return None


def answer_form_with(brief: str) -> type[RunInput]:
    """The form of an answer, as Prefect's own suspend wants it."""
    form = cast("type[RunInput]", run_input_subclass_from_type(question_form(brief)))
    return form.with_initial_data(description=brief)


def cancel_run(client: SyncPrefectClient, run_id: UUID, why: str) -> None:
    """Cancel a run that waits; one that is over, or gone, stays as it is."""
    try:
        run = client.read_flow_run(run_id)
    except ObjectNotFound:
        return
    if run.state is None or run.state.type not in {
        StateType.COMPLETED,
        StateType.FAILED,
        StateType.CRASHED,
        StateType.CANCELLED,
    }:
        client.set_flow_run_state(run_id, Cancelled(message=why), force=True)
