"""What a gate run has to be like, as the database wants it, and what is wrong with one as Prefect has it.

Anybody with Prefect's one password can do anything to a run. Nothing here decides on a theme: what is wrong is mended.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from approval.canonical import sha256_of
from approval.form import brief_above_choice, form_version, schema_version, text_above_choice
from approval.keys import APPROVER_TAG, LEVEL_TAG, THEME_TAG, gate_run_name, gate_run_name_end, gate_tags, input_keys
from approval.keys import pause_key as pause_key_of
from approval.states import TaskState

ENDED = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED", "CANCELLING"})
#: How long what we do ourselves may be half done: a run without its tie, or going on to ask again; a form not saved.
BRIEFLY, FORM_SAVED_WITHIN = timedelta(seconds=15), timedelta(seconds=5)
_OUR_TAGS = (THEME_TAG, APPROVER_TAG, LEVEL_TAG)
_KEY = re.compile(r"approval-gate-t(\d+)-a(\d+)")


def form_mark(brief: str) -> str:
    """What a gate was opened with: the version of its form, and a hash of its brief."""
    return f"{form_version()}-{sha256_of(brief)[:32]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownGate:
    """An open question that a gate run shows, or should."""

    task_id: int
    attempt: int
    flow_run_id: UUID
    ready: bool  # its form is saved
    mark: str | None
    theme_key: str
    theme_title: str
    level: int
    level_name: str
    login: str

    @property
    def run_name(self) -> str:
        return gate_run_name(title=self.theme_title, level=self.level, level_name=self.level_name, login=self.login)

    @property
    def run_name_end(self) -> str:
        return gate_run_name_end(level=self.level, level_name=self.level_name, login=self.login)

    @property
    def tags(self) -> frozenset[str]:
        return frozenset(gate_tags(theme_key=self.theme_key, login=self.login, level=self.level))

    @property
    def outdated(self) -> bool:
        """Opened with a form that is no longer the one we ask with."""
        return self.ready and (self.mark or "").partition("-")[0] != form_version()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRun:
    """A run of the gate's deployment, as Prefect has it."""

    id: UUID
    deployment_id: UUID | None
    state: str  # Prefect's type of it
    state_name: str
    since: datetime
    created_at: datetime
    name: str
    scheduled_at: datetime | None = None
    pause_key: str | None = None
    keyset: Mapping[str, str] = field(default_factory=dict)
    reschedules: bool = False
    times_out: bool = False
    parameters: Mapping[str, object] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    idempotency_key: str | None = None

    @property
    def waits(self) -> bool:
        return self.state == "PAUSED"


def wrong_with_run(gate: ShownGate, run: GateRun | None, *, deployment_id: UUID) -> str | None:
    """What keeps a run from ever taking the answer to its question; None for one that waits, or is on its way."""
    if run is None:
        return "its run was deleted"
    if run.state in ENDED:
        return f"its run was ended ({run.state_name}) without a decision"
    if run.deployment_id != deployment_id:
        return "its run belongs to no deployment that could take the answer"
    if run.parameters and run.state != "RUNNING":
        return "its run was given parameters, with which it could not start"
    return _wrong_with_pause(gate, run) if run.waits else None


def _wrong_with_pause(gate: ShownGate, run: GateRun) -> str | None:
    if run.pause_key != pause_key_of(gate.task_id, gate.attempt):
        return "its run waits with another form"
    if dict(run.keyset) != input_keys(gate.task_id, gate.attempt):
        return "its run looks for its form in another place"
    if not run.reschedules or run.times_out:
        return "its run waits in a way in which no answer would start it"
    return None if run.state_name == "Suspended" else f"its run waits in another state ({run.state_name})"


def wrong_with_going(run: GateRun, *, answered: bool, now: datetime, lost_after: timedelta) -> str | None:
    """What is wrong with a run that is on its way. An answer makes it go; one that waits for a runner keeps it."""
    age, waits = now - run.since, run.state == "SCHEDULED"
    if waits and run.scheduled_at is not None and run.scheduled_at > now + lost_after:
        return "its run was put off"
    if not answered and age > BRIEFLY:
        return "its run was set going without an answer"
    if waits:
        return None
    return "its run was lost" if age > lost_after else None


def wrong_with_form(gate: ShownGate, inputs: Mapping[str, str]) -> str | None:
    """What is wrong with the inputs of a run that waits, by key and as they are stored: JSON texts."""
    keys = input_keys(gate.task_id, gate.attempt)
    if keys["response"] in inputs:
        return "an answer was planted before the form was answered"
    schema, description = inputs.get(keys["schema"]), inputs.get(keys["description"])
    if _schema_version(schema) != (gate.mark or "").partition("-")[0]:
        return "its form was altered or is missing"
    return None if shows_its_brief(gate.mark, description, schema) else "its brief was altered or is missing"


def shows_its_brief(mark: str | None, description: str | None, schema: str | None) -> bool:
    """Whether the brief that a person has answered on is the one that her gate was opened with, wherever it stands."""
    if mark is None:
        return True
    brief, form = _json(description), _json(schema)
    if not isinstance(brief, str) or not isinstance(form, dict):
        return False
    return sha256_of(brief)[:32] == mark.partition("-")[2] and text_above_choice(form) == brief_above_choice(brief)


def _schema_version(stored: str | None) -> str | None:
    schema = _json(stored)
    return schema_version(schema) if isinstance(schema, dict) else None


def _json(stored: str | None) -> object:
    try:
        return None if stored is None else json.loads(stored)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The name and tags that a run should have."""

    name: str
    tags: frozenset[str]
    altered: bool  # by somebody; otherwise the theme has another title by now


def labels_to_mend(gate: ShownGate, run: GateRun) -> Labels | None:
    """By its tags a person's inbox finds a run, and by its name she knows it. Tags that are not ours stay."""
    ours = {tag for tag in run.tags if tag.startswith(_OUR_TAGS)}
    if ours == gate.tags and run.name == gate.run_name:
        return None
    altered = ours != gate.tags or not run.name.endswith(gate.run_name_end)
    return Labels(name=gate.run_name, tags=run.tags - ours | gate.tags, altered=altered)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiedTask:
    """A question, as far as a run that shows no open question may belong to it."""

    task_id: int
    state: TaskState
    attempt: int
    flow_run_id: UUID | None
    gate_closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """A run that shows no open question and should not stand open any more."""

    because: str
    foreign: bool = False  # nobody of ours has made it


def question_of(idempotency_key: str | None) -> tuple[int, int] | None:
    """Task and attempt that a run was created for."""
    found = _KEY.fullmatch(idempotency_key or "")
    return None if found is None else (int(found[1]), int(found[2]))


def stray(run: GateRun, task: TiedTask | None, *, now: datetime, lost_after: timedelta) -> Stray | None:
    """Why a run that no open question is shown by should be closed; None for one that ends, or is tied, by itself.

    `task` is the question that it is tied to or, where it is tied to none, the one that it was created for.
    """
    lost = now - run.since > lost_after
    if task is not None and task.flow_run_id == run.id:
        left_over = task.state is not TaskState.OPEN and (task.gate_closed if run.waits else lost)
        return Stray(because="the question is no longer asked") if left_over else None
    if now - run.created_at < BRIEFLY or not (run.waits or lost):
        return None
    if task is None:
        return Stray(because="nobody has opened this gate", foreign=True)
    made_for = question_of(run.idempotency_key)
    still_wanted = (
        task.state is TaskState.OPEN and task.flow_run_id is None and made_for == (task.task_id, task.attempt)
    )
    return None if still_wanted else Stray(because="the question had moved on before its run was tied to it")
