"""What the reconciler looks for: gates that are not as the database wants them."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from secrets import randbelow
from uuid import UUID

from prefect import task
from prefect.client.orchestration import SyncPrefectClient, get_client

from approval.form import form_version
from approval.gates import (
    FORM_SAVED_WITHIN,
    GateRun,
    ShownGate,
    labels_to_mend,
    stray,
    wrong_with_form,
    wrong_with_going,
    wrong_with_run,
)
from approval.service import questions
from settings import get_settings
from tasks.connection import clock, database
from tasks.gate_runs import GATE_DEPLOYMENT, cancel_run, label, read_inputs
from tasks.run_lists import gate_run, runs_by_id, unfinished_runs
from tasks.theme_steps import alert

#: How many questions a cycle puts anew after a deployment has changed the form, and how long it looks at saved forms.
RENEWED_A_CYCLE, LOOK_SECONDS = 50, 2.0
#: More of one kind than this are one fact: Prefect's database was lost, or somebody cancelled all runs.
ALERTED_ONE_BY_ONE = 20
_SUBJECT = "a gate was bypassed or lost"

Wrong = list[tuple[ShownGate, str]]


@task(name="heal gates")
def heal_gates() -> int:
    """Replace every gate run that does not wait for its answer any more. Returns how many.

    A run that was forced on, cancelled, deleted, altered, or lost with its process has decided nothing: its question
    gets a new run, one alert says so, and the theme stands where it stood.
    """
    with get_client(sync_client=True) as client:
        deployment_id = client.read_deployment_by_name(GATE_DEPLOYMENT).id
        unfinished = {run.id: run for run in map(gate_run, unfinished_runs(client, deployment_id))}
        with database().begin() as session:
            shown = questions.shown_gates(session)
        runs = _with_the_missing(client, shown, unfinished)
        wrong = _wrong_runs(client, shown, runs, deployment_id)
        sound = _without(shown, wrong)
        wrong += _wrong_forms(client, [gate for gate in sound if _is_settled(gate, runs[gate.flow_run_id])])
        healed = _replace_all(client, wrong)
        _renew(client, [gate for gate in _without(sound, wrong) if gate.outdated and runs[gate.flow_run_id].waits])
        _mend_labels(client, _without(sound, wrong), runs)
        _close_strays(client, shown, unfinished)
    return healed


def _with_the_missing(
    client: SyncPrefectClient, shown: Sequence[ShownGate], unfinished: Mapping[UUID, GateRun]
) -> dict[UUID, GateRun]:
    """The runs that show questions; those that are not among the unfinished have ended, or are gone."""
    missing = [gate.flow_run_id for gate in shown if gate.flow_run_id not in unfinished]
    return {**unfinished, **{run.id: run for run in map(gate_run, runs_by_id(client, missing))}}


def _wrong_runs(
    client: SyncPrefectClient, shown: Sequence[ShownGate], runs: Mapping[UUID, GateRun], deployment_id: UUID
) -> Wrong:
    found: Wrong = []
    for gate in shown:
        run = runs.get(gate.flow_run_id)
        because = wrong_with_run(gate, run, deployment_id=deployment_id)
        if because is None and run is not None and not run.waits:
            because = _wrong_with_going(client, gate, run)
        if because is not None:
            found.append((gate, because))
    return found


def _wrong_with_going(client: SyncPrefectClient, gate: ShownGate, run: GateRun) -> str | None:
    inputs = read_inputs(client, run.id, gate.task_id, gate.attempt)
    answered = any(key.endswith("-response") for key in inputs)
    return wrong_with_going(run, answered=answered, now=clock(), lost_after=get_settings().lost_run_after)


def _is_settled(gate: ShownGate, run: GateRun) -> bool:
    """Its form has been there for a while, and is known."""
    return gate.ready and gate.mark is not None and run.waits and clock() - run.since > FORM_SAVED_WITHIN


def _wrong_forms(client: SyncPrefectClient, waiting: Sequence[ShownGate]) -> Wrong:
    """Altered or planted inputs. All are looked at where there are few; of many as many as a cycle has time for.

    Each cycle begins at another place, so that nobody knows which are looked at next.
    """
    until = time.monotonic() + LOOK_SECONDS
    found: Wrong = []
    for gate in _from_anywhere(waiting):
        if time.monotonic() > until:
            break
        because = wrong_with_form(gate, read_inputs(client, gate.flow_run_id, gate.task_id, gate.attempt))
        if because is not None and _still_waits(client, gate):
            found.append((gate, because))
    return found


def _from_anywhere(waiting: Sequence[ShownGate]) -> Iterator[ShownGate]:
    start = randbelow(len(waiting)) if waiting else 0
    yield from waiting[start:]
    yield from waiting[:start]


def _still_waits(client: SyncPrefectClient, gate: ShownGate) -> bool:
    """A form that is being answered right now has its answer."""
    return any(gate_run(run).waits for run in runs_by_id(client, [gate.flow_run_id]))


def _without(gates: Sequence[ShownGate], wrong: Wrong) -> list[ShownGate]:
    hurt = {gate.task_id for gate, _ in wrong}
    return [gate for gate in gates if gate.task_id not in hurt]


def _replace_all(client: SyncPrefectClient, wrong: Wrong) -> int:
    replaced = [(gate, because) for gate, because in wrong if _replace(client, gate, because)]
    kinds = Counter(because for _, because in replaced)
    for because, many in kinds.items():
        alike = [gate for gate, why in replaced if why == because]
        if many > ALERTED_ONE_BY_ONE:
            first, text = alike[0], f"{many} questions: {because}; nothing was decided by it"
            alert(key=f"gates:{first.task_id}:{first.attempt}:{many}", subject=_SUBJECT, text=text)
        else:
            for gate in alike:
                _alert(gate, because)
    return len(replaced)


def _replace(client: SyncPrefectClient, gate: ShownGate, wrong: str) -> bool:
    because = f"the question is put anew, because {wrong}"
    return _give_up(client, gate, because, shown_reason=because)


def _give_up(client: SyncPrefectClient, gate: ShownGate, because: str, *, shown_reason: str | None) -> bool:
    with database().begin() as session:
        if not questions.replace_gate(session, task_id=gate.task_id, attempt=gate.attempt, because=shown_reason):
            return False
    cancel_run(client, gate.flow_run_id, because)
    return True


def _alert(gate: ShownGate, because: str) -> None:
    text = f"the question to {gate.login} about theme {gate.theme_key!r}: {because}; nothing was decided by it"
    alert(key=f"gate:{gate.task_id}:{gate.attempt}", subject=_SUBJECT, text=text, theme_key=gate.theme_key)


def _renew(client: SyncPrefectClient, outdated: Sequence[ShownGate]) -> None:
    """Put questions anew that wait with a form of before a deployment; the oldest first, some at each cycle."""
    if not outdated:
        return
    text = f"{len(outdated)} questions wait with the form of before; they are put anew, {RENEWED_A_CYCLE} a cycle"
    alert(key=f"form:{form_version()}", subject="a deployment has changed the form of approvals", text=text)
    for gate in outdated[:RENEWED_A_CYCLE]:
        _give_up(client, gate, "the form has changed", shown_reason=None)


def _mend_labels(client: SyncPrefectClient, sound: Sequence[ShownGate], runs: Mapping[UUID, GateRun]) -> None:
    for gate in sound:
        labels = labels_to_mend(gate, runs[gate.flow_run_id])
        if labels is None:
            continue
        label(client, gate.flow_run_id, labels)
        if labels.altered:
            text = f"the run that asks {gate.login} about theme {gate.theme_key!r} had been given another name or tags"
            key = f"gate-labels:{gate.task_id}:{gate.attempt}"
            alert(key=key, subject="a gate was renamed", text=text, theme_key=gate.theme_key)


def _close_strays(client: SyncPrefectClient, shown: Sequence[ShownGate], unfinished: Mapping[UUID, GateRun]) -> None:
    """Runs that no open question is shown by: left by a death half-way, or made by nobody of ours."""
    theirs = {gate.flow_run_id for gate in shown}
    others = [run for run in unfinished.values() if run.id not in theirs]
    with database().begin() as session:
        tied = questions.tasks_of_runs(session, others)
    for run in others:
        found = stray(run, tied.get(run.id), now=clock(), lost_after=get_settings().lost_run_after)
        if found is None or not _unchanged(client, run):
            continue
        cancel_run(client, run.id, found.because)
        if found.foreign:
            text = f"run {run.id} of approval-gate belongs to no question; it decided nothing"
            alert(key=f"stray-gate:{run.id}", subject="a gate that nobody opened", text=text)


def _unchanged(client: SyncPrefectClient, run: GateRun) -> bool:
    """Not answered, and not ended by itself, since it was listed."""
    return [gate_run(now) for now in runs_by_id(client, [run.id])] == [run]
