"""Why a theme waits, in any state: for whom or for what, since when, until when."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Session

from approval.service.waiting import WaitingFor, waiting
from approval.states import TaskKind
from models.queries import gates, launches
from models.theme import Theme
from themes.lifecycle import ThemeState
from themes.service.finding import owners, stewards


class WaitsFor(StrEnum):
    SUBMISSION = "submission"
    ANSWER = "answer"
    ADVICE = "advice"  # the owner of a question decides once it is there
    EDIT = "edit"  # of an offer that was rejected
    APPROVER = "approver"  # nobody of a level may decide any more
    NEXT_STEP = "next step"  # ours: within seconds
    START = "start"
    END = "end"
    STEERING = "steering"  # a person has to say how it goes on
    TAKEDOWN = "takedown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """One thing that a theme waits for. `people` are the logins of those who can end it; nobody where time does."""

    waits_for: WaitsFor
    why: str
    people: tuple[str, ...] = ()
    since: datetime | None = None
    due_at: datetime | None = None
    overdue: bool = False
    object_kind: str = "theme"
    object_key: str = ""
    level: str = ""
    flow_run_id: UUID | None = None


def waits(session: Session, theme: Theme, now: datetime) -> list[Wait]:
    """What a theme waits for; nothing where it has come to its end."""
    why = _BY_STATE.get(theme.state)
    return [] if why is None else [_with_lateness(one, now) for one in why(session, theme)]


def _with_lateness(wait: Wait, now: datetime) -> Wait:
    late = wait.due_at is not None and wait.due_at < now
    return replace(wait, overdue=late)


def _draft(session: Session, theme: Theme) -> Iterable[Wait]:
    may = _logins(owners(session, theme))
    yield _of_theme(theme, WaitsFor.SUBMISSION, f"{_any_of(may)} has to submit it", people=may)


def _in_review(session: Session, theme: Theme) -> Iterable[Wait]:
    found = [
        *(_answer(one) for one in waiting(session, theme_id=theme.id)),
        *_advice(session, theme),
        *_edits(session, theme),
        *_approvers(session, theme),
    ]
    return found or [_of_theme(theme, WaitsFor.NEXT_STEP, "nothing is asked just now: what comes next is under way")]


def _answer(one: WaitingFor) -> Wait:
    subject = f"{one.object_kind} {one.object_key} at level {one.level_name!r}"
    seat = "" if one.owner == one.login else f" for {one.owner}"
    asked = f"{one.login} is asked for advice{seat}" if one.kind is TaskKind.ADVICE else f"{one.login} is asked{seat}"
    return Wait(
        waits_for=WaitsFor.ANSWER,
        why=f"{asked} about {subject}",
        people=(one.login,),
        since=one.since,
        due_at=one.due_at,
        object_kind=one.object_kind,
        object_key=one.object_key,
        level=one.level_name,
        flow_run_id=one.flow_run_id,
    )


def _advice(session: Session, theme: Theme) -> Iterable[Wait]:
    for one in gates.owners_waiting_for_advice(session, theme.id):
        yield Wait(
            waits_for=WaitsFor.ADVICE,
            why=f"{one.login} decides on {one.object_kind} {one.object_key} once the advice she asked for is there",
            people=(one.login,),
            since=one.since,
            due_at=one.due_at,
            object_kind=one.object_kind,
            object_key=one.object_key,
            level=one.level_name,
        )


def _edits(session: Session, theme: Theme) -> Iterable[Wait]:
    may = _logins(owners(session, theme))
    for one in gates.rejected_offers(session, theme.id):
        yield Wait(
            waits_for=WaitsFor.EDIT,
            why=f"{one.object_kind} {one.object_key} was rejected: {_any_of(may)} has to edit it or drop it",
            people=may,
            since=one.since,
            object_kind=one.object_kind,
            object_key=one.object_key,
        )


def _approvers(session: Session, theme: Theme) -> Iterable[Wait]:
    for one in gates.levels_that_ask_nobody(session, theme.id):
        yield Wait(
            waits_for=WaitsFor.APPROVER,
            why=f"nobody may decide on {one.object_kind} {one.object_key} at level {one.level_name!r}, and neither may "
            "the fallback: enable or add somebody; it is looked at again by itself",
            since=one.since,
            object_kind=one.object_kind,
            object_key=one.object_key,
            level=one.level_name,
        )


def _approved(_: Session, theme: Theme) -> Iterable[Wait]:
    yield _of_theme(theme, WaitsFor.NEXT_STEP, "its launch is being scheduled", due_at=theme.starts_at)


def _scheduled(_: Session, theme: Theme) -> Iterable[Wait]:
    yield _of_theme(theme, WaitsFor.START, "it is approved and starts by itself", due_at=theme.starts_at)


def _live(_: Session, theme: Theme) -> Iterable[Wait]:
    yield _of_theme(theme, WaitsFor.END, "it is live and ends by itself", due_at=theme.ends_at)


def _missed(session: Session, theme: Theme) -> Iterable[Wait]:
    may = _steering(session, theme)
    why = f"its start was missed: {_any_of(may)} has to launch it now, move its start, or drop it"
    yield _of_theme(theme, WaitsFor.STEERING, why, people=may, due_at=theme.ends_at)


def _paused(session: Session, theme: Theme) -> Iterable[Wait]:
    may = _steering(session, theme)
    why = f"it is paused: {_any_of(may)} has to resume it, or it ends by itself"
    yield _of_theme(theme, WaitsFor.STEERING, why, people=may, due_at=theme.ends_at)


def _revoking(session: Session, theme: Theme) -> Iterable[Wait]:
    left = launches.channels_to_undo(session, theme.id)
    for one in left:
        problem = one.last_problem or "not looked at yet"
        why = f"channel {one.channel} is still to be undone: {problem} ({one.tries} looks so far; it goes on by itself)"
        yield _of_theme(theme, WaitsFor.TAKEDOWN, why)
    if not left:
        yield _of_theme(theme, WaitsFor.NEXT_STEP, "every channel is undone: the takedown is being finished")


def _steering(session: Session, theme: Theme) -> tuple[str, ...]:
    return _logins(owners(session, theme) | stewards(session, theme))


def _logins(some: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(some))


def _any_of(logins: tuple[str, ...]) -> str:
    return " or ".join(logins) or "somebody"


def _of_theme(
    theme: Theme, waits_for: WaitsFor, why: str, *, people: tuple[str, ...] = (), due_at: datetime | None = None
) -> Wait:
    return Wait(
        waits_for=waits_for,
        why=why,
        people=people,
        since=theme.state_changed_at,
        due_at=due_at,
        object_key=theme.key,
    )


_BY_STATE: Mapping[ThemeState, Callable[[Session, Theme], Iterable[Wait]]] = {
    ThemeState.DRAFT: _draft,
    ThemeState.IN_REVIEW: _in_review,
    ThemeState.APPROVED: _approved,
    ThemeState.SCHEDULED: _scheduled,
    ThemeState.LIVE: _live,
    ThemeState.MISSED: _missed,
    ThemeState.PAUSED: _paused,
    ThemeState.REVOKING: _revoking,
}
