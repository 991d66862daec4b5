"""A product line with people, customers and policies, and the few verbs that tests act with."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from approval.audit import AuditReport
from approval.form import Answer
from approval.identity import code_at
from approval.secrecy import Cipher, new_key
from approval.service import decisions, timing
from approval.service.decisions import Decided
from approval.service.people import IdentityRules, add_person
from approval.service.policies import apply_policy
from approval.service.record import verify_audit
from approval.service.signing import Signature
from approval.states import ChainState, LevelState, RoundState, TaskState
from channels.states import Channel
from models.approval import Alert, AuditRow, Chain, Decision, Level, Round, Task
from models.customer import Address, Consent, Customer
from models.database import Database
from models.delivery import ProviderAccount
from models.order import Order
from models.person import Person
from models.product import Product
from models.product_line import ProductLine
from models.queries import themes
from models.theme import Theme
from tests.postgres import copy_of_database, name_of
from themes.service import review, saving
from themes.service.acts import Request, carry_out
from themes.service.editing import Proof
from themes.service.review import Submitted
from themes.service.saving import Saved

EXAMPLES = Path(__file__).parents[2] / "examples"
THEME = (EXAMPLES / "womens-day" / "theme.yaml").read_text(encoding="utf-8")
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in (EXAMPLES / "womens-day").glob("*.j2")}
KEY = "womens-day-2027"
STARTS_AT = datetime(2027, 3, 6, tzinfo=UTC)
ENDS_AT = datetime(2027, 3, 9, tzinfo=UTC)
MORNING = datetime(2027, 2, 20, 9, tzinfo=UTC)
LINE = "giftware-eu"
#: login -> roles
PEOPLE = {
    "ann": (),
    "bob": ("operations",),
    "carl": (),
    "cyn": (),
    "cora": (),
    "dan": (),
    "head-of-marketing": (),
}
ACCOUNTS = {
    "sms-main": (Channel.SMS, "aliyun"),
    "mail-main": (Channel.EMAIL, "smtp"),
    "push-main": (Channel.PUSH, "jpush"),
    "wechat-main": (Channel.MINI_PROGRAM, "wechat"),
}
#: How many orders each customer placed, all long ago.
ORDERS = [1] * 8 + [2] * 6 + [5] * 3 + [0] * 3
STEP = timedelta(seconds=30)


def theme_text(*edits: tuple[str, str], policy: str = "demo") -> str:
    """The example theme under the demo's policy, with edits."""
    text_ = THEME
    for old, new in (("policy: standard", f"policy: {policy}"), *edits):
        assert old in text_, f"the example no longer has {old!r}"
        text_ = text_.replace(old, new, 1)
    return text_


def populate(session: Session, cipher: Cipher) -> dict[str, str]:
    """Fill an empty database. Returns the secret of each login."""
    line = ProductLine(key=LINE, name="Giftware", currency="GBP")
    session.add(line)
    session.flush()
    session.add(
        Product(product_line_id=line.id, sku="1", name="HOLDER", category="tea-light-holders", unit_price_minor=295)
    )
    for key, (channel, provider) in ACCOUNTS.items():
        account = ProviderAccount(
            key=key, product_line_id=line.id, channel=channel, provider=provider, settings={}, refused_in_row=0
        )
        session.add(account)
    for number, orders in enumerate(ORDERS, start=1):
        _add_customer(session, line.id, number, orders)
    secrets = {login: _add_person(session, cipher, login, roles) for login, roles in PEOPLE.items()}
    for name in ("demo-policy.yaml", "policy.yaml"):
        apply_policy(session, text=(EXAMPLES / name).read_text(encoding="utf-8"), by="root", now=MORNING)
    return secrets


def _add_customer(session: Session, line_id: int, number: int, orders: int) -> None:
    customer = Customer(
        product_line_id=line_id,
        external_id=f"c{number:02d}",
        name=f"Gift Shop {number}",
        country="GB",
        timezone="Europe/London",
        language="en",
        registered=True,
    )
    session.add(customer)
    session.flush()
    addresses = {
        Channel.SMS: f"+4477009001{number:02d}",
        Channel.EMAIL: f"customer-{number}@gb.example.com",
        Channel.PUSH: f"1a0018970a{number:09x}",
        Channel.MINI_PROGRAM: f"oSandbox_{number:019d}",
    }
    for channel, address in addresses.items():
        session.add(Address(customer_id=customer.id, channel=channel, address=address, original=address))
        session.add(Consent(customer_id=customer.id, channel=channel, granted=True, source="test", recorded_at=MORNING))
    for order in range(orders):
        session.add(
            Order(
                product_line_id=line_id,
                customer_id=customer.id,
                number=f"{number}-{order}",
                placed_at=datetime(2026, 10, 1 + order, tzinfo=UTC),
                kept=True,
                kept_total_minor=1_000,
            )
        )


def _add_person(session: Session, cipher: Cipher, login: str, roles: tuple[str, ...]) -> str:
    enrolment = add_person(
        session,
        login=login,
        name=login.capitalize(),
        email=None,
        phone=None,
        roles=roles,
        locale="en",
        by="root",
        cipher=cipher,
        now=MORNING,
    )
    return enrolment.secret


def new_rules() -> IdentityRules:
    return IdentityRules(cipher=Cipher([new_key()]), drift_steps=1, wrong_codes=5, lock=timedelta(minutes=15))


@dataclass(kw_only=True)
class Scene:
    """Time goes on by one code's length at every act, so that nobody has to wait for her next code."""

    database: Database
    rules: IdentityRules
    secrets: dict[str, str]
    now: datetime = field(default=MORNING)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        with self.database.begin() as session:
            yield session

    def tick(self, by: timedelta = STEP) -> datetime:
        self.now += by
        return self.now

    def code(self, login: str) -> str:
        return code_at(self.secrets[login], self.now)

    def wrong_code(self, login: str) -> str:
        right = {code_at(self.secrets[login], self.now + drift * STEP) for drift in (-1, 0, 1)}
        return next(code for code in ("000000", "111111", "222222", "333333") if code not in right)

    def sign(self, login: str, comment: str = "because") -> Signature:
        self.tick()
        return Signature(login=login, code=self.code(login), comment=comment)

    def apply(self, policy: str) -> None:
        with self.begin() as session:
            apply_policy(session, text=policy, by="root", now=self.now)

    def draft(self, text_: str | None = None, login: str = "ann", templates: Mapping[str, str] = TEMPLATES) -> Saved:
        with self.begin() as session:
            return saving.save_draft(
                session, text=text_ or theme_text(), templates=templates, login=login, now=self.tick()
            )

    def submit(self, key: str = KEY, login: str = "ann") -> Submitted:
        signature = self.sign(login)
        with self.begin() as session:
            return review.submit(session, key=key, signature=signature, rules=self.rules, now=self.now)

    def withdraw(self, key: str = KEY, login: str = "ann") -> int:
        signature = self.sign(login)
        with self.begin() as session:
            return review.withdraw(session, key=key, signature=signature, rules=self.rules, now=self.now)

    def recall(self, key: str = KEY, login: str = "ann") -> UUID | None:
        signature = self.sign(login)
        with self.begin() as session:
            return review.recall(session, key=key, signature=signature, rules=self.rules, now=self.now)

    def edit(self, *edits: tuple[str, str], login: str = "ann", policy: str = "demo") -> Saved:
        """Save a new version of a theme in review, signed with a fresh code."""
        self.tick()
        proof = Proof(code=self.code(login), rules=self.rules)
        with self.begin() as session:
            return saving.save_draft(
                session,
                text=theme_text(*edits, policy=policy),
                templates=TEMPLATES,
                login=login,
                now=self.now,
                proof=proof,
            )

    def act(self, act: str, login: str, comment: str = "because", *, key: str = KEY, **details: Any) -> UUID | None:
        """Any act of the form `theme-action`."""
        request = Request(key=key, act=act, signature=self.sign(login, comment), **details)
        with self.begin() as session:
            return carry_out(session, request, rules=self.rules, now=self.now)

    def sweep(self, by: timedelta = timedelta()) -> None:
        """Let time pass, and do what it brings about in reviews."""
        self.tick(by)
        with self.begin() as session:
            mend, due = list(timing.themes_to_mend(session)), timing.themes_with_timers_due(session, now=self.now)
        for theme_id in mend:
            with self.begin() as session:
                timing.mend(session, theme_id=theme_id, now=self.now)
        for theme_id in due:
            with self.begin() as session:
                timing.run_timers(session, theme_id=theme_id, now=self.now)
        with self.begin() as session:
            levels = timing.due_levels(session, now=self.now)
        for level in levels:
            with self.begin() as session:
                timing.act_on_due(session, level_id=level.level_id, now=self.now)

    def question_to(self, login: str, key: str = KEY, about: str | None = None) -> int:
        """The newest question that was opened to somebody, about the theme itself unless told."""
        query = (
            select(Task.id)
            .join(Level, Level.id == Task.level_id)
            .join(Chain, Chain.id == Level.chain_id)
            .join(Round, Round.id == Chain.round_id)
            .join(Theme, Theme.id == Round.theme_id)
            .join(Person, Person.id == Task.person_id)
            .where(Person.login == login, Theme.key == key, Chain.object_key == (about or key))
            .where(Task.opened_at.is_not(None))
            .order_by(Task.id.desc())
            .limit(1)
        )
        with self.begin() as session:
            return session.scalars(query).one()

    def answer(
        self,
        login: str,
        decision: Any = "approve",
        comment: str = "",
        *,
        key: str = KEY,
        about: str | None = None,
        task_id: int | None = None,
        code: str | None = None,
    ) -> Decided:
        """Answer the question that stands open to somebody (or the one named), with a fresh code unless told."""
        self.tick()
        task_id = task_id or self.question_to(login, key, about)
        return self.decide(
            task_id, Answer(decision=decision, login=login, code=code or self.code(login), comment=comment)
        )

    def decide(self, task_id: int, answer: Answer, flow_run_id: UUID | None = None) -> Decided:
        with self.begin() as session:
            return decisions.decide(
                session, task_id=task_id, answer=answer, flow_run_id=flow_run_id, rules=self.rules, now=self.now
            )

    def approve_all(self, key: str = KEY) -> None:
        """Both levels of the demo's policy."""
        for login in ("bob", "carl", "cyn"):
            self.answer(login, key=key)

    def theme(self, key: str = KEY) -> Theme:
        with self.begin() as session:
            found = themes.theme_by_key(session, key)
        assert found is not None
        return found

    def round(self, number: int, key: str = KEY) -> Round:
        query = select(Round).join(Theme, Theme.id == Round.theme_id)
        with self.begin() as session:
            return session.scalars(query.where(Theme.key == key, Round.number == number)).one()

    def levels(self, number: int = 1, key: str = KEY, about: str | None = None) -> dict[str, LevelState]:
        """Level -> state, of one object's chain in a round."""
        query = (
            select(Level).join(Chain).join(Round, Round.id == Chain.round_id).join(Theme, Theme.id == Round.theme_id)
        )
        query = query.where(Theme.key == key, Round.number == number, Chain.object_key == (about or key))
        with self.begin() as session:
            return {level.name: level.state for level in session.scalars(query.order_by(Level.position))}

    def tasks(self, number: int = 1, key: str = KEY, about: str | None = None) -> dict[str, TaskState]:
        """Login -> state of her question about one object in a round."""
        query = (
            select(Person.login, Task.state)
            .join(Task, Task.person_id == Person.id)
            .join(Level)
            .join(Chain)
            .join(Round, Round.id == Chain.round_id)
            .join(Theme, Theme.id == Round.theme_id)
            .where(Theme.key == key, Round.number == number, Chain.object_key == (about or key))
            .order_by(Task.id)
        )
        with self.begin() as session:
            return {row.login: row.state for row in session.execute(query)}

    def open_to(self) -> list[str]:
        query = select(Person.login).join(Task, Task.person_id == Person.id).where(Task.state == TaskState.OPEN)
        with self.begin() as session:
            return sorted(session.scalars(query))

    def chains(self, number: int = 1) -> dict[str, tuple[ChainState, str | None]]:
        query = select(Chain).join(Round, Round.id == Chain.round_id).where(Round.number == number)
        with self.begin() as session:
            return {chain.object_key: (chain.state, chain.by_rule) for chain in session.scalars(query)}

    def round_state(self, number: int, key: str = KEY) -> RoundState:
        return self.round(number, key).state

    def decided(self) -> list[Decision]:
        with self.begin() as session:
            return list(session.scalars(select(Decision).order_by(Decision.id)))

    def audit(self, act: str | None = None) -> list[AuditRow]:
        query = select(AuditRow).order_by(AuditRow.seq)
        with self.begin() as session:
            return list(session.scalars(query if act is None else query.where(AuditRow.act == act)))

    def alerts(self) -> list[Alert]:
        with self.begin() as session:
            return list(session.scalars(select(Alert).order_by(Alert.id)))

    def person(self, login: str) -> Person:
        with self.begin() as session:
            return session.scalars(select(Person).where(Person.login == login)).one()

    def verify(self) -> AuditReport:
        with self.begin() as session:
            return verify_audit(session)

    def run(self, *statements: str, **values: object) -> None:
        """SQL of the test's own, past all services."""
        with self.begin() as session:
            for statement in statements:
                session.execute(text(statement), values)


@contextmanager
def copied(server: str, original: Scene, *, pool_size: int = 24) -> Iterator[Scene]:
    """The same scene at the same time, in a database of its own."""
    original.database.dispose()  # one that somebody is connected to cannot be copied
    with copy_of_database(server, name_of(original.database), pool_size=pool_size) as database:
        yield replace(original, database=database, secrets=dict(original.secrets))
