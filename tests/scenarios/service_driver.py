"""Plays scenarios against the services on PostgreSQL, with a clock of its own that somebody moves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from approval.errors import CodeWrong
from approval.form import Answer
from approval.service import decisions, people, timing
from approval.service.signing import Signature
from models.approval import Chain, Level, Round, Task
from models.person import Person
from models.theme import Theme
from tests.integration.scene import LINE, STEP, Scene
from tests.scenarios.invariants import broken_invariants
from tests.scenarios.player import Player
from tests.scenarios.seen import View
from tests.scenarios.theme_text import ThemeText
from themes.service import launch, review, saving, takedown
from themes.service.acts import Request, carry_out
from themes.service.editing import Proof

KEY = "womens-day"
#: How long after its start a theme may go live.
GRACE = timedelta(hours=1)


@dataclass(kw_only=True)
class ServiceDriver(Player):
    scene: Scene
    policies: Mapping[str, Mapping[str, Any]]
    policy: str
    last_code: dict[str, str] = field(default_factory=dict)

    def look(self, wanted: Sequence[str]) -> Mapping[str, Any]:
        with self.scene.begin() as session:
            return View(session=session, key=KEY, now=self.scene.now, tell=str, every_alert=True).look(wanted)

    def broken(self) -> list[str]:
        with self.scene.begin() as session:
            return broken_invariants(session, KEY)

    def new_text(self, author: str) -> ThemeText:
        return ThemeText.new(theme=KEY, policy=self.policy, product_line=LINE, author=author)

    def save(self, who: str, text: ThemeText, *, code: bool) -> None:
        self.scene.tick()
        proof = Proof(code=self._code(who), rules=self.scene.rules) if code else None
        with self.scene.begin() as session:
            saving.save_draft(session, text=text.written(), templates={}, login=who, now=self.scene.now, proof=proof)

    def answer(self, who: str, decision: str, offer: str, reason: str, *, to_level: str = "") -> None:
        """As the gate does it; who was never asked has no gate, and can only say it from the command line."""
        question = self._question(who, offer)
        if question is None:
            self.act(who, decision, reason, offer=offer, to_level=to_level)
            return
        self.scene.tick()
        self._decide(question, who, self._code(who), decision, reason, to_level=to_level)

    def act(self, who: str, name: str, reason: str, **more: Any) -> None:
        self.scene.tick()
        signature = Signature(login=who, code=self._code(who), comment=reason)
        request = Request(key=KEY, act=name, signature=signature, object_key=more.pop("offer", ""), **more)
        with self.scene.begin() as session:
            carry_out(session, request, rules=self.scene.rules, now=self.scene.now)

    def do_submit(self, who: str) -> None:
        self.scene.tick()
        signature = Signature(login=who, code=self._code(who))
        with self.scene.begin() as session:
            review.submit(session, key=KEY, signature=signature, rules=self.scene.rules, now=self.scene.now)

    def do_answer_round(self, who: str, number: str, what: str, reason: str = "") -> None:
        self.scene.tick()
        self._decide(self._asked(who, number=int(number)), who, self._code(who), what, reason)

    def do_answer_for_other(self, who: str, person: str, what: str, reason: str = "") -> None:
        self.scene.tick()
        self._decide(self._asked(person), who, self._code(who), what, reason)

    def _decide(
        self, question: int, who: str, code: str, decision: Any, reason: str = "", *, to_level: str = ""
    ) -> None:
        answer = Answer(decision=decision, login=who, code=code, comment=reason, to_level=to_level)
        with self.scene.begin() as session:
            decisions.decide(
                session, task_id=question, answer=answer, flow_run_id=None, rules=self.scene.rules, now=self.scene.now
            )

    def _asked(self, who: str, offer: str = "", *, number: int | None = None) -> int:
        question = self._question(who, offer, number=number)
        assert question is not None, f"{who} was asked nothing"
        return question

    def _question(self, who: str, offer: str = "", *, number: int | None = None) -> int | None:
        """The newest question that was opened to somebody, about the theme or an offer of it."""
        query = (
            select(Task.id)
            .join(Level, Level.id == Task.level_id)
            .join(Chain, Chain.id == Level.chain_id)
            .join(Round, Round.id == Chain.round_id)
            .join(Theme, Theme.id == Round.theme_id)
            .join(Person, Person.id == Task.person_id)
            .where(Theme.key == KEY, Person.login == who, Chain.object_key == (offer or KEY))
            .where(Task.opened_at.is_not(None))
        )
        if number is not None:
            query = query.where(Round.number == number)
        with self.scene.begin() as session:
            return session.scalar(query.order_by(Task.id.desc()).limit(1))

    # -- who speaks

    def do_approve_wrong_code(self, who: str) -> None:
        self.scene.tick()
        self._decide(self._asked(who), who, self.scene.wrong_code(who), "approve")

    def do_approve_used_code(self, who: str, offer: str = "") -> None:
        self._decide(self._asked(who, offer), who, self.last_code[who], "approve")

    def do_approve_other_code(self, who: str, person: str) -> None:
        self.scene.tick()
        self._decide(self._asked(who), who, self.scene.code(person), "approve")

    def do_lock_out(self, who: str, number: str) -> None:
        for _ in range(int(number)):
            try:
                self.do_approve_wrong_code(who)
            except CodeWrong:
                continue
            raise AssertionError("a wrong code was taken")

    def _code(self, who: str) -> str:
        """The code of now; a person who does not exist shows any."""
        self.last_code[who] = self.scene.code(who) if who in self.scene.secrets else "000000"
        return self.last_code[who]

    # -- people

    def do_apply(self, policy: str) -> None:
        self.scene.apply(yaml.safe_dump(dict(self.policies[policy]), sort_keys=False))

    def do_disable(self, who: str) -> None:
        self._by_root(people.disable_person, login=who)

    def do_enable(self, who: str) -> None:
        self._by_root(people.enable_person, login=who)

    def do_enrol(self, who: str) -> None:
        with self.scene.begin() as session:
            cipher = self.scene.rules.cipher
            enrolment = people.enrol_person(session, login=who, by="root", cipher=cipher, now=self.scene.tick())
        self.scene.secrets[who] = enrolment.secret

    def do_manager(self, who: str, person: str) -> None:
        self._by_root(people.set_manager, login=who, manager=person)

    def do_grant(self, who: str, role: str) -> None:
        self._by_root(people.grant_role, login=who, role=role)

    def do_revoke(self, who: str, role: str) -> None:
        self._by_root(people.revoke_role, login=who, role=role)

    def do_limit(self, who: str, line: str) -> None:
        self._by_root(people.limit_to_lines, login=who, product_lines=[line])

    def do_substitute(self, who: str, person: str, duration: timedelta) -> None:
        self.do_substitute_later(who, person, timedelta(), duration)

    def do_substitute_later(self, who: str, person: str, later: timedelta, duration: timedelta) -> None:
        starts_at = self.scene.now + later
        self._by_root(
            people.set_substitute, login=who, substitute=person, starts_at=starts_at, ends_at=starts_at + duration
        )

    def _by_root(self, verb: Callable[..., object], **values: object) -> None:
        with self.scene.begin() as session:
            verb(session, by="root", now=self.scene.tick(), **values)

    # -- time, and the launch

    def do_wait(self, duration: timedelta) -> None:
        self.scene.tick(duration)

    def do_sweep(self) -> None:
        """As the scheduled sweep does it: mend, remind and escalate, and then what is due."""
        now = self.scene.tick()
        for find, do in ((_to_mend, timing.mend), (_with_timers, timing.run_timers)):
            with self.scene.begin() as session:
                found = list(find(session, now))
            for theme_id in found:
                with self.scene.begin() as session:
                    do(session, theme_id=theme_id, now=now)
        with self.scene.begin() as session:
            due = timing.due_levels(session, now=now)
        for level in due:
            with self.scene.begin() as session:
                timing.act_on_due(session, level_id=level.level_id, now=now)

    def do_schedule(self) -> None:
        theme_id = self.scene.theme(KEY).id
        with self.scene.begin() as session:
            wanted = launch.launch_to_schedule(session, theme_id)
            assert wanted is not None, "the theme needs no launch"
            assert launch.schedule(session, launch=wanted, run_id=uuid4(), now=self.scene.tick())

    def do_start(self) -> None:
        theme = self.scene.theme(KEY)
        self.scene.now = max(self.scene.now, theme.starts_at) + STEP
        assert theme.revision_id is not None, "the theme is in no revision"
        with self.scene.begin() as session:
            launch.start(
                session,
                theme_id=theme.id,
                revision_id=theme.revision_id,
                grace=GRACE,
                now=self.scene.now,
                flow_run_id=None,
            )

    def do_finish_takedown(self) -> None:
        theme_id = self.scene.theme(KEY).id
        with self.scene.begin() as session:
            takedown.undo_channels(session, theme_id=theme_id, now=self.scene.tick())


def _to_mend(session: Session, _now: datetime) -> Sequence[int]:
    return timing.themes_to_mend(session)


def _with_timers(session: Session, now: datetime) -> Sequence[int]:
    return timing.themes_with_timers_due(session, now=now)
