"""A theme in review with people to remind and accounts that serve notices, over the sandbox's own servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import requests
from sqlalchemy import select, text

from approval.notices import NoticeKind
from approval.secrecy import Cipher, new_key
from approval.states import ChainState, LevelState, ObjectKind, RoundState, TaskState
from channels.account_file import AccountEntry, Limits
from channels.engine import Backoff
from channels.service import notices as service
from channels.service.notices import NoticeLedger
from channels.service.provider import apply_account
from channels.states import Channel
from models.approval import Alert, Chain, Level, Policy, Round, Task
from models.database import Database
from models.delivery import ProviderAccount
from models.notice import Notice
from models.person import Person
from models.product_line import ProductLine
from models.theme import Revision, Theme
from sandbox.process import Running
from tasks.notices import Terms
from themes.lifecycle import ThemeState

UI = "https://prefect.example"
LEASE = timedelta(seconds=20)
SHORT_LEASE = timedelta(seconds=1)  # of a sender that will be killed
BACKOFF = Backoff(base=timedelta(milliseconds=50), ceiling=timedelta(milliseconds=200), budget=timedelta(minutes=5))
KEY = new_key()  # of all worlds: a process that sends for one has to read its secrets
_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class World:
    """A product line of its own. Questions are put straight into the tables: how they come to be is not at stake."""

    database: Database
    sandbox: Running
    line: str
    theme_key: str
    level_id: int
    cipher: Cipher = field(default_factory=lambda: Cipher([KEY]))

    @property
    def terms(self) -> Terms:
        return Terms(database=self.database, cipher=self.cipher, backoff=BACKOFF, lease=LEASE, ui_url=UI)

    @property
    def account_id(self) -> int:
        """Of the account for mail."""
        return self.account(self.mail_account()).id

    def ledger(self) -> NoticeLedger:
        """Of the account for mail."""
        return NoticeLedger(
            database=self.database,
            account_id=self.account(self.mail_account()).id,
            owner=uuid4(),
            lease=LEASE,
            retry_budget=BACKOFF.budget,
            template=None,
            ui_url=UI,
        )

    def with_terms(self, **changes: Any) -> Terms:
        return replace(self.terms, **changes)

    def mail_account(self, **changes: Any) -> AccountEntry:
        values: dict[str, Any] = {
            "account": f"mail-{self.line}",
            "product_line": self.line,
            "channel": Channel.EMAIL,
            "provider": "smtp",
            "settings": {
                "host": self.sandbox.smtp_host,
                "port": self.sandbox.smtp_port,
                "security": "none",
                "sender": "approvals@example.com",
            },
            "notices": True,
        }
        return AccountEntry(**{**values, **changes})

    def sms_account(self, **changes: Any) -> AccountEntry:
        values: dict[str, Any] = {
            "account": f"sms-{self.line}",
            "product_line": self.line,
            "channel": Channel.SMS,
            "provider": "aliyun",
            "settings": {
                "access_key_id": "sandbox-ak",
                "sign_name": "Giftware",
                "template_code": "SMS_1",
                "base_url": self.sandbox.http,
            },
            "notices": True,
        }
        return AccountEntry(**{**values, **changes})

    def apply(self, *entries: AccountEntry) -> None:
        with self.database.begin() as session:
            for entry in entries:
                secrets = {"access_key_secret": "sandbox-secret"} if entry.channel is Channel.SMS else {}
                apply_account(session, entry=entry, secrets=secrets, cipher=self.cipher)

    def limit(self, **limits: Any) -> None:
        self.apply(self.mail_account(limits=Limits(**limits)))

    def person(self, login: str = "carl", *, email: bool = True, phone: bool = False, locale: str = "en") -> Person:
        """Somebody with an address that no other test uses."""
        number = next(_numbers)
        person = Person(
            login=f"{login}-{self.line}",
            name=login.capitalize(),
            email=f"{login}-{self.line}@example.com" if email else None,
            phone=f"+8613900{number:06d}" if phone else None,
            locale=locale,
            created_at=datetime.now(UTC),
        )
        with self.database.begin() as session:
            session.add(person)
        return person

    def question(self, person: Person, *, run: UUID | None = None) -> int:
        """An open question to somebody, with its run where one is named."""
        task = Task(
            level_id=self.level_id,
            person_id=person.id,
            owner_id=person.id,
            state=TaskState.OPEN,
            flow_run_id=run,
            gate_ready=run is not None,
            opened_at=datetime.now(UTC),
        )
        with self.database.begin() as session:
            session.add(task)
            session.flush()
            return task.id

    def answer(self, task_id: int) -> None:
        self.run("UPDATE tasks SET state = 'decided' WHERE id = :task", task=task_id)

    def enqueue(self, person: Person, task_id: int | None, **changes: Any) -> int:
        values: dict[str, Any] = {
            "key": f"remind:t{task_id}:1",
            "kind": NoticeKind.REMINDER,
            "subject": "Reminder 1 of 3: your decision",
            "text": "Hello,\n\nyour answer is still missing.",
            "now": datetime.now(UTC),
        }
        with self.database.begin() as session:
            return service.enqueue(
                session, person=person, theme_key=self.theme_key, task_id=task_id, **{**values, **changes}
            )

    def notices(self) -> list[Notice]:
        query = select(Notice).where(Notice.theme_key == self.theme_key).order_by(Notice.key)
        with self.database.begin() as session:
            return list(session.scalars(query))

    def states(self) -> dict[str, str]:
        """Key -> state."""
        return {notice.key: notice.state.value for notice in self.notices()}

    def alerts(self) -> dict[str, str]:
        with self.database.begin() as session:
            found = session.scalars(select(Alert).order_by(Alert.id)).all()
        return {alert.key: alert.text for alert in found if self.line in alert.key}

    def account(self, entry: AccountEntry) -> ProviderAccount:
        with self.database.begin() as session:
            return session.scalars(select(ProviderAccount).where(ProviderAccount.key == entry.account)).one()

    def run(self, statement: str, **values: object) -> None:
        with self.database.begin() as session:
            session.execute(text(statement), values)

    def received(self, *people: Person) -> list[Mapping[str, Any]]:
        """What the sandbox has taken for these, over both channels."""
        addresses = {address for person in people for address in (person.email, (person.phone or "").removeprefix("+"))}
        found: list[Mapping[str, Any]] = []
        for channel in (Channel.EMAIL, Channel.SMS):
            url = f"{self.sandbox.http}/_log?channel={channel}&records=1&limit=5000"
            records = requests.get(url, timeout=10).json()["records"]
            found += [
                {**record, "channel": channel}
                for record in records
                if record["recipient"].removeprefix("+") in addresses
            ]
        return found

    def fault(self, **fault: object) -> None:
        requests.post(f"{self.sandbox.http}/_faults", json=fault, timeout=10).raise_for_status()

    def clear_faults(self) -> None:
        requests.delete(f"{self.sandbox.http}/_faults", timeout=10).raise_for_status()


def make_world(database: Database, sandbox: Running) -> World:
    name, now = f"line{next(_numbers)}{uuid4().hex[:6]}", datetime.now(UTC)
    with database.begin() as session:
        line = ProductLine(key=name, name=name, currency="GBP")
        author = Person(login=f"ann-{name}", name="Ann", locale="en", created_at=now)
        policy = Policy(key=name, version=1, hash="h", content="{}", applied_by="test", applied_at=now)
        session.add_all([line, author, policy])
        session.flush()
        theme = Theme(
            key=f"theme-{name}",
            product_line_id=line.id,
            title="Women's Day",
            author_id=author.id,
            state=ThemeState.IN_REVIEW,
            draft={},
            draft_source="",
            starts_at=now + timedelta(days=1),
            ends_at=now + timedelta(days=2),
            timezone="UTC",
            created_at=now,
            state_changed_at=now,
        )
        session.add(theme)
        session.flush()
        revision = Revision(
            theme_id=theme.id,
            number=1,
            hash="h",
            theme_hash="h",
            offer_hashes={},
            content={},
            created_by_id=author.id,
            created_at=now,
        )
        session.add(revision)
        session.flush()
        a_round = Round(
            theme_id=theme.id,
            revision_id=revision.id,
            policy_id=policy.id,
            number=1,
            state=RoundState.OPEN,
            reach={},
            opened_at=now,
        )
        session.add(a_round)
        session.flush()
        chain = Chain(
            round_id=a_round.id,
            first_round_id=a_round.id,
            object_kind=ObjectKind.THEME,
            object_key=theme.key,
            object_hash="h",
            state=ChainState.OPEN,
        )
        session.add(chain)
        session.flush()
        level = Level(
            chain_id=chain.id, position=1, name="finance", quorum={}, veto=[], state=LevelState.OPEN, opened_at=now
        )
        session.add(level)
        session.flush()
        return World(database=database, sandbox=sandbox, line=name, theme_key=theme.key, level_id=level.id)
