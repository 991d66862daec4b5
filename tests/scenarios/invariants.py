"""What holds after every step of every scenario, whatever the scenario is about."""

from collections import Counter
from collections.abc import Iterator

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from approval.service.record import verify_audit
from approval.states import ChainState, ObjectKind, RoundState, TaskKind, TaskState
from models.approval import Chain, Level, Round, Task
from models.person import Person
from models.theme import OfferEditor, Revision, Theme, ThemeEditor
from themes.lifecycle import ThemeState

_LIVE = {TaskState.WAITING, TaskState.OPEN, TaskState.OUT, TaskState.DECIDED, TaskState.SKIPPED}
_ASKED = {TaskState.WAITING, TaskState.OPEN, TaskState.OUT}
_APPROVED = {ThemeState.APPROVED, ThemeState.SCHEDULED, ThemeState.LIVE}


def broken_invariants(session: Session, key: str) -> list[str]:
    theme = session.scalar(select(Theme).where(Theme.key == key))
    report = verify_audit(session)
    broken = [] if report.sound else [f"the audit does not verify: {report}"]
    if theme is not None:
        for check in (
            _one_live_task,
            _one_open_round,
            _approved_on_current_hashes,
            _asked_in_open_round,
            _nobody_barred,
        ):
            broken += check(session, theme)
    return broken


def _tasks(theme: Theme) -> Select[tuple[Task, Level, Chain, Round, str]]:
    query = (
        select(Task, Level, Chain, Round, Person.login)
        .join(Level, Level.id == Task.level_id)
        .join(Chain, Chain.id == Level.chain_id)
        .join(Round, Round.id == Chain.round_id)
        .join(Person, Person.id == Task.person_id)
    )
    return query.where(Round.theme_id == theme.id)


def _one_live_task(session: Session, theme: Theme) -> Iterator[str]:
    live = Counter(
        (level.id, level.name, who) for task, level, _, _, who in _all(session, theme) if task.state in _LIVE
    )
    for (_, level, who), count in live.items():
        if count > 1:
            yield f"{who} holds {count} live tasks at {level}"


def _all(session: Session, theme: Theme) -> list[tuple[Task, Level, Chain, Round, str]]:
    rows = session.execute(_tasks(theme).order_by(Task.id))
    return [(task, level, chain, a_round, who) for task, level, chain, a_round, who in rows]


def _one_open_round(session: Session, theme: Theme) -> Iterator[str]:
    rounds = session.scalars(select(Round).where(Round.theme_id == theme.id, Round.state == RoundState.OPEN)).all()
    wanted = 1 if theme.state is ThemeState.IN_REVIEW else 0
    if len(rounds) != wanted:
        yield f"theme is {theme.state} with {len(rounds)} open rounds"


def _approved_on_current_hashes(session: Session, theme: Theme) -> Iterator[str]:
    if theme.state not in _APPROVED:
        return
    revision = session.get_one(Revision, theme.revision_id)
    wanted = {(ObjectKind.THEME, theme.key): revision.hash}
    wanted |= {(ObjectKind(offer["kind"]), key): revision.offer_hashes[key] for key, offer in _offers(revision)}
    last = session.scalars(select(Round).where(Round.theme_id == theme.id).order_by(Round.number.desc())).first()
    chains = session.scalars(select(Chain).where(Chain.round_id == (last and last.id))).all()
    found = {
        (chain.object_kind, chain.object_key): chain.object_hash
        for chain in chains
        if chain.state is ChainState.APPROVED
    }
    if found != wanted:
        yield f"theme is {theme.state}, but approved are {found} where the revision is {wanted}"


def _offers(revision: Revision) -> list[tuple[str, dict[str, str]]]:
    return list(revision.content["offers"].items())


def _asked_in_open_round(session: Session, theme: Theme) -> Iterator[str]:
    for task, level, _, a_round, who in _all(session, theme):
        if task.state in _ASKED and a_round.state is not RoundState.OPEN:
            yield f"{who} is asked at {level.name} ({task.state}) in round {a_round.number}, which is {a_round.state}"


def _nobody_barred(session: Session, theme: Theme) -> Iterator[str]:
    of_theme = select(ThemeEditor.person_id).where(ThemeEditor.theme_id == theme.id)
    of_offers = select(OfferEditor.offer_key, OfferEditor.person_id).where(OfferEditor.theme_id == theme.id)
    barred = {(theme.key, person) for person in session.scalars(of_theme)}
    barred |= {(offer, person) for offer, person in session.execute(of_offers)}
    for task, level, chain, _, who in _all(session, theme):
        mine = task.person_id == theme.author_id or (chain.object_key, task.person_id) in barred
        # advice is no vote: it may be asked of anybody
        if task.state in _ASKED and task.kind is TaskKind.DECISION and mine:
            yield f"{who} edited {chain.object_key} and yet is asked at {level.name}"
