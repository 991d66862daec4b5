"""What is so: the database read into the words in which scenarios expect it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, aliased

from approval.states import ObjectKind, TaskKind, TaskState
from models.approval import Alert, AuditRow, Chain, Decision, Level, Round, Task
from models.person import Person
from models.theme import Theme

Tell = Callable[[str], str]  # a login, or an object's key, as scenarios write it
_Owner = aliased(Person)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One theme, seen at a moment."""

    session: Session
    key: str
    now: datetime
    tell: Tell
    every_alert: bool  # those about no theme too

    def look(self, wanted: Iterator[str] | Sequence[str]) -> dict[str, Any]:
        """What scenarios can expect, as far as it is asked for."""
        return {name: getattr(self, name)() for name in wanted}

    def theme(self) -> str:
        return str(self.session.scalars(select(Theme.state).where(Theme.key == self.key)).one().value)

    def rounds(self) -> dict[int, str]:
        return {a_round.number: a_round.state.value for a_round in self._rounds()}

    def _rounds(self) -> Sequence[Round]:
        query = select(Round).join(Theme, Theme.id == Round.theme_id).where(Theme.key == self.key)
        return self.session.scalars(query.order_by(Round.number)).all()

    def _chains(self) -> Sequence[Chain]:
        """Those of the last round, those that an edit left standing among them."""
        last = self._rounds()[-1]
        return self.session.scalars(select(Chain).where(Chain.round_id == last.id).order_by(Chain.object_key)).all()

    def chains(self) -> dict[str, str]:
        return {self._object(chain): chain.state.value for chain in self._chains()}

    def levels(self) -> dict[str, dict[str, str]]:
        """Object -> level -> state; objects that are approved by rule ask at no level."""
        found = {self._object(chain): self._levels(chain) for chain in self._chains()}
        return {key: {level.name: level.state.value for level in levels} for key, levels in found.items() if levels}

    def skipped(self) -> dict[str, str]:
        """Level -> why it is skipped, of all objects of the last round."""
        levels = [level for chain in self._chains() for level in self._levels(chain)]
        return {level.name: level.skipped_because for level in levels if level.skipped_because}

    def _levels(self, chain: Chain) -> Sequence[Level]:
        return self.session.scalars(select(Level).where(Level.chain_id == chain.id).order_by(Level.position)).all()

    def open(self) -> dict[str, list[str]]:
        """Login -> where she is asked now."""
        asked: defaultdict[str, list[str]] = defaultdict(list)
        for task, person, _, level, chain in self._tasks():
            if task.state is TaskState.OPEN:
                asked[person].append(self._place(level, chain))
        return {person: sorted(places) for person, places in asked.items()}

    def tasks(self) -> dict[str, list[str]]:
        """Place -> every question there, in the order of their making; in the last round."""
        last = {chain.id for chain in self._chains()}
        found: defaultdict[str, list[str]] = defaultdict(list)
        for task, person, owner, level, chain in self._tasks():
            if chain.id in last:
                found[self._place(level, chain)].append(_task(task, person, owner))
        return dict(found)

    def reminders(self) -> dict[str, int]:
        return {person: task.reminders for task, person, *_ in self._tasks() if task.reminders}

    def due_in_hours(self) -> dict[str, int]:
        """Login -> whole hours until her open question is due, to the nearest."""
        due = {
            person: task.due_at - self.now
            for task, person, *_ in self._tasks()
            if task.state is TaskState.OPEN and task.due_at
        }
        return {person: round(left / timedelta(hours=1)) for person, left in due.items()}

    def _tasks(self) -> list[tuple[Task, str, str, Level, Chain]]:
        query = (
            self._on_theme(select(Task, Person.login, _Owner.login, Level, Chain))
            .join(Person, Person.id == Task.person_id)
            .join(_Owner, _Owner.id == Task.owner_id)
            .order_by(Task.id)
        )
        rows = self.session.execute(query)
        return [(task, self.tell(who), self.tell(owner), level, chain) for task, who, owner, level, chain in rows]

    def _on_theme(self, query: Select[Any]) -> Select[Any]:
        return (
            query.select_from(Task)
            .join(Level, Level.id == Task.level_id)
            .join(Chain, Chain.id == Level.chain_id)
            .join(Round, Round.id == Chain.round_id)
            .join(Theme, Theme.id == Round.theme_id)
            .where(Theme.key == self.key)
        )

    def decisions(self) -> list[str]:
        """Every one, of all rounds, in the order of time: who, what, where, for whom, and whether it still counts."""
        query = (
            self._on_theme(select(Decision, Task.kind, Person.login, _Owner.login, Level, Chain))
            .join(Decision, Decision.task_id == Task.id)
            .join(Person, Person.id == Decision.person_id)
            .outerjoin(_Owner, _Owner.id == Decision.on_behalf_of_id)
            .order_by(Decision.decided_at, Decision.id)
        )
        return [self._decision(*row) for row in self.session.execute(query)]

    def _decision(  # noqa: PLR0917 - the columns of its row
        self, decision: Decision, kind: TaskKind, who: str, owner: str | None, level: Level, chain: Chain
    ) -> str:
        notes = [
            f"for {self.tell(owner)}" if owner else "",
            "(advice)" if kind is TaskKind.ADVICE else "",
            "(override)" if decision.override else "",
            "(void)" if decision.voided_at else "",
        ]
        said = f"{self.tell(who)} {decision.kind.value} at {self._place(level, chain)}"
        return " ".join([said, *(note for note in notes if note)])

    def acts(self) -> list[str]:
        """The audit since the first submission. What the system does to several objects at once has no order."""
        query = select(AuditRow).where(AuditRow.theme_key == self.key).order_by(AuditRow.seq)
        rows = self.session.scalars(query).all()
        first = next((index for index, row in enumerate(rows) if row.act == "submit"), len(rows))
        alike = groupby(rows[first:], key=lambda row: (row.at, row.actor, row.act))
        return [act for (_, actor, _), group in alike for act in self._together(actor, list(group))]

    acts_end = acts

    def _together(self, actor: str, rows: Sequence[AuditRow]) -> list[str]:
        told = [self._act(row) for row in rows]
        return sorted(told) if actor.startswith("system:") else told

    def _act(self, row: AuditRow) -> str:
        about = "" if row.object_kind == ObjectKind.THEME else f" of {row.object_key}"
        at = f" at {row.level}" if row.level else ""
        behalf = f" for {self.tell(row.on_behalf_of)}" if row.on_behalf_of else ""
        return f"{self.tell(row.actor)} {row.act}{at}{about}{behalf}"

    def alerts(self) -> list[str]:
        query = select(Alert).order_by(Alert.id)
        mine = query if self.every_alert else query.where(Alert.theme_key == self.key)
        return [f"{alert.subject}: {alert.text}" for alert in self.session.scalars(mine)]

    def _object(self, chain: Chain) -> str:
        return "theme" if chain.object_kind is ObjectKind.THEME else chain.object_key

    def _place(self, level: Level, chain: Chain) -> str:
        return level.name if chain.object_kind is ObjectKind.THEME else f"{level.name} of {chain.object_key}"


def _task(task: Task, person: str, owner: str) -> str:
    notes = [
        "" if owner == person or task.kind is TaskKind.ADVICE else f"for {owner}",
        "(advice)" if task.kind is TaskKind.ADVICE else "",
        "(override)" if task.kind is TaskKind.OVERRIDE else "",
        "(added)" if task.required else "",
    ]
    return " ".join([f"{person} {task.state.value}", *(note for note in notes if note)])


def differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Each thing that is expected and not so, both sides written out."""
    wrong = [name for name, value in expected.items() if not _same(name, value, found[name])]
    return [f"{name}:\n  expected {expected[name]}\n  found    {found[name]}" for name in wrong]


def _same(name: str, expected: Any, found: Any) -> bool:
    same: bool = expected == found
    match name:
        case "open":
            same = {login: _listed(places) for login, places in expected.items()} == found
        case "tasks":
            same = {place: _listed(tasks) for place, tasks in expected.items()} == found
        case "acts_end":
            same = bool(expected) and found[-len(expected) :] == expected
        case "alerts":
            same = len(expected) == len(found) and all(part in text for part, text in zip(expected, found, strict=True))
        case "skipped":
            same = expected.keys() == found.keys() and all(part in found[level] for level, part in expected.items())
    return same


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
