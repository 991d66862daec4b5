"""Plays scenarios through real gate runs and deployments of a running installation, and in Prefect's own UI.

Every scenario has people, roles, a policy and a theme of its own, so that all of them share one installation.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from sqlalchemy import select

from approval.keys import APPROVER_TAG, THEME_TAG
from approval.secrecy import Cipher
from approval.service import people, policies
from approval.states import TaskState
from audience.retail import read_retail
from audience.service import import_retail
from channels.account_file import AccountEntry
from channels.service.provider import apply_account
from channels.states import Channel
from console.demo.cast import Authenticator
from console.prefect_api import ENDED, PrefectApi
from models.approval import Chain, Level, Round, Task
from models.database import Database
from models.person import Person
from models.theme import Theme
from tests.acceptance.prefect_ui import PrefectUi
from tests.integration.scene import EXAMPLES
from tests.scenarios.invariants import broken_invariants
from tests.scenarios.play import SaidNo
from tests.scenarios.player import Player
from tests.scenarios.scenario_file import Scenario
from tests.scenarios.seen import View, differences
from tests.scenarios.theme_text import ThemeText
from themes.lifecycle import ThemeState
from themes.service import saving

LINE = "scn-giftware"
ACCOUNT = "scn-sms"
RETAIL = EXAMPLES.parent / "data" / "online_retail_2010_12.csv"
RETAIL_LINES = 800  # of the file: some customers are enough to be counted
ROLES = {"bob": ("operations",), "sue": ("stewards",)}
PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_SCHEDULED = "system:scheduler schedule"


def wait_for(what: str, look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} was not seen within {PATIENCE_SECONDS:.0f} s"
        time.sleep(_LOOK_SECONDS)
    return found


@dataclass(slots=True, kw_only=True)
class Theatre:
    """What all scenarios share: customers, an account, and the way into the installation."""

    database: Database
    api: PrefectApi
    cipher: Cipher

    @classmethod
    def build(cls, environment: Mapping[str, str]) -> "Theatre":
        theatre = cls(
            database=Database(url=environment["THEMELINE_DATABASE_URL"]),
            api=PrefectApi.from_environment(environment),
            cipher=Cipher.from_setting(environment["THEMELINE_SECRET_KEY"]),
        )
        with RETAIL.open(encoding="utf-8-sig", newline="") as source:
            lines = [line for line, _ in zip(source, range(RETAIL_LINES), strict=False)]
        with theatre.database.begin() as session:
            import_retail(session, read_retail(lines), product_line=LINE, currency="GBP", as_of=datetime.now(UTC))
            settings = {"access_key_id": "ak", "sign_name": "Themeline", "template_code": "SMS_100001"}
            account = AccountEntry(
                account=ACCOUNT, product_line=LINE, channel=Channel.SMS, provider="aliyun", settings=settings
            )
            apply_account(session, entry=account, secrets={"access_key_secret": "secret"}, cipher=theatre.cipher)
        return theatre


@dataclass(kw_only=True)
class PrefectDriver(Player):
    """`ui`: where answers that give a reason are given by clicking; all others are given through the API."""

    theatre: Theatre
    scenario: Scenario
    prefix: str
    ui: PrefectUi | None = None
    apps: dict[str, Authenticator] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"{self.prefix}theme"

    def tell(self, name: str) -> str:
        return name.removeprefix(self.prefix)

    # -- what is so

    def look(self, wanted: Sequence[str]) -> Mapping[str, Any]:
        with self.theatre.database.begin() as session:
            view = View(session=session, key=self.key, now=datetime.now(UTC), tell=self.tell, every_alert=False)
            return {name: self._before_scheduling(value) for name, value in view.look(wanted).items()}

    def _before_scheduling(self, seen: Any) -> Any:
        """What is approved is scheduled at once: a scenario sees it only if it says so."""
        if any(step.sentence and step.sentence.meaning == "schedule" for step in self.scenario.steps):
            return seen
        if isinstance(seen, list):
            return [one for one in seen if one != _SCHEDULED]
        return "approved" if seen == "scheduled" else seen

    def broken(self) -> list[str]:
        with self.theatre.database.begin() as session:
            broken = broken_invariants(session, self.key)
        gates = wait_for_equal(self._open_gates, self._waiting_runs)
        return [*broken, *differences({"waiting gate runs": gates[0]}, {"waiting gate runs": gates[1]})]

    def _open_gates(self) -> list[str]:
        return sorted(self.tell(login) for login, task in self._questions() if task.state is TaskState.OPEN)

    def _waiting_runs(self) -> list[str]:
        wanted = {"tags": {"all_": [f"{THEME_TAG}{self.key}"]}, "state": {"type": {"any_": ["PAUSED"]}}}
        tags = [tag for run in self.theatre.api.filter_flow_runs(wanted) for tag in run["tags"]]
        logins = (tag.removeprefix(APPROVER_TAG) for tag in tags if tag.startswith(APPROVER_TAG))
        return sorted(self.tell(login) for login in logins)

    def _questions(self, offer: str = "") -> list[tuple[str, Task]]:
        query = (
            select(Person.login, Task)
            .join(Task, Task.person_id == Person.id)
            .join(Level, Level.id == Task.level_id)
            .join(Chain, Chain.id == Level.chain_id)
            .join(Round, Round.id == Chain.round_id)
            .join(Theme, Theme.id == Round.theme_id)
            .where(Theme.key == self.key)
        )
        about = query.where(Chain.object_key == offer) if offer else query
        with self.theatre.database.begin() as session:
            return [(login, task) for login, task in session.execute(about.order_by(Task.id))]

    # -- what people do

    def do_apply(self, policy: str) -> None:
        """Its people are there by now, under names of their own."""
        named = self._renamed(self.scenario.policies[policy])
        with self.theatre.database.begin() as session:
            policies.apply_policy(session, text=yaml.safe_dump(named), by="console:scenarios", now=datetime.now(UTC))

    def _renamed(self, value: Any, key: str = "") -> Any:
        """A policy in which this scenario's people stand."""
        match value:
            case dict():
                return {name: self._renamed(part, name) for name, part in value.items()}
            case list():
                return [self._renamed(part, key) for part in value]
            case str() if key in {"approvers", "fallback", "takedown", "recall", "override", "veto"}:
                role = value.partition("role:")[2]
                return self._role(role) if role else self._login(value)
            case str() if key == "policy":
                return f"{self.prefix}{value}"
        return value

    def _role(self, role: str) -> str:
        for who in (who for who, roles in ROLES.items() if role in roles):
            self._login(who)
        return f"role:{self.prefix}{role}"

    def _login(self, who: str) -> str:
        login = f"{self.prefix}{who}"
        if who not in self.apps:
            self.apps[who] = Authenticator(secret=self._enrolled(login, who))
        return login

    def _enrolled(self, login: str, who: str) -> str:
        with self.theatre.database.begin() as session:
            enrolment = people.add_person(
                session,
                login=login,
                name=who.capitalize(),
                email=None,
                phone=None,
                roles=[f"{self.prefix}{role}" for role in ROLES.get(who, ())],
                locale="en",
                by="console:scenarios",
                cipher=self.theatre.cipher,
                now=datetime.now(UTC),
            )
        return enrolment.secret

    def new_text(self, author: str) -> ThemeText:
        start = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(days=2)
        end = start + timedelta(days=3)
        return ThemeText.new(
            theme=self.key,
            title=self.key,
            policy=f"{self.prefix}{self.scenario.policy['policy']}",
            product_line=LINE,
            author=self._login(author),
            timezone="UTC",
            window={"from": start.isoformat(), "to": end.isoformat()},
            channels={"sms": {"account": ACCOUNT, "text": "Women's Day is on us: {{ link }}"}},
        )

    def save(self, who: str, text: ThemeText, *, code: bool) -> None:
        """A draft asks nobody anything, so that it needs no run; an edit in review does."""
        login = self._login(who)
        if self._theme_state() is ThemeState.IN_REVIEW:
            signed = {"code": self.apps[who].code()} if code else {}
            self._run("draft-theme/from-form", {"theme_file": text.written(), "login": login, **signed})
            return
        with self.theatre.database.begin() as session:
            saving.save_draft(session, text=text.written(), templates={}, login=login, now=datetime.now(UTC))

    def _theme_state(self) -> ThemeState | None:
        with self.theatre.database.begin() as session:
            return session.scalar(select(Theme.state).where(Theme.key == self.key))

    def do_submit(self, who: str) -> None:
        login = self._login(who)
        parameters = {"theme": self.key, "login": login, "code": self.apps[who].code()}
        self._run("submit-theme/from-form", parameters)

    def act(self, who: str, name: str, reason: str, **more: Any) -> None:
        login = self._login(who)
        if person := more.get("person"):
            more["person"] = self._login(person)
        signed = {"login": login, "code": self.apps[who].code(), "comment": reason}
        self._run("theme-action/from-form", {"theme": self.key, "action": name, **signed, **more})

    def _run(self, deployment: str, parameters: Mapping[str, Any]) -> None:
        started = self.theatre.api.create_flow_run(deployment, parameters)
        run = self.theatre.api.wait(started["id"], timeout=PATIENCE_SECONDS)
        if run["state_type"] != "COMPLETED":
            raise SaidNo(f"{run['state']['name']}: {run['state']['message']}")

    def answer(self, who: str, decision: str, offer: str, reason: str, *, to_level: str = "") -> None:
        login = self._login(who)
        task = wait_for(f"the question to {who}", lambda: self._shown(login, offer or self.key))
        if self.ui is not None and reason:
            self._click(self.ui, task, who, decision, reason, to_level)
        else:
            form = {"decision": decision, "login": login, "code": self.apps[who].code(), "comment": reason}
            self.theatre.api.resume(task.flow_run_id, {**form, "to_level": to_level})
        if refusal := wait_for("the answer's effect", lambda: self._effect(task)).partition("refused: ")[2]:
            raise SaidNo(refusal)

    def _shown(self, login: str, about: str) -> Task | None:
        """A question that stands open and whose run shows its form."""
        shown = [task for who, task in self._questions(about) if who == login and task.state is TaskState.OPEN]
        return next((task for task in shown if task.gate_ready), None)

    def _effect(self, before: Task) -> str:
        """`decided`, or `refused: …` once the gate asks again; nothing yet while its run is on its way."""
        run = self.theatre.api.flow_run(str(before.flow_run_id))
        with self.theatre.database.begin() as session:
            now = session.get_one(Task, before.id)
        if run["state_type"] in ENDED:
            return "decided" if run["state"]["name"] == "Decided" else f"refused: {run['state']['name']}"
        again = run["state_type"] == "PAUSED" and now.attempt > before.attempt
        return f"refused: {now.ask_again_because}" if again else ""

    def _click(self, ui: PrefectUi, task: Task, who: str, decision: str, reason: str, to_level: str) -> None:  # noqa: PLR0917 - the fields of the form
        """By the link to the run, as a reminder has it."""
        ui.open(f"/runs/flow-run/{task.flow_run_id}")
        form = ui.open_form()
        form.answer(decision, login=self._login(who), code=self.apps[who].code(), comment=reason)
        if to_level:
            form.write("Return to level", to_level)
        form.submit_and_close()

    def do_schedule(self) -> None:
        wait_for("the launch", lambda: self._theme_state() is ThemeState.SCHEDULED)


def wait_for_equal(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, Any]:
    """Both, as soon as they are equal; or as they are when patience is over."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (pair := (one(), other()))[0] != pair[1] and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
    return pair
