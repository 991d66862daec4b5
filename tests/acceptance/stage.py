"""People, policy, customers and accounts of the browser test inside a running installation, apart from anybody else's.

Everything has the prefix `ui-`, a product line included: other tests work in the same installation at the same time.
"""

import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from approval.identity import time_step
from approval.secrecy import Cipher
from approval.service import people, policies
from audience.retail import read_retail
from audience.service import import_retail
from channels.account_file import AccountEntry, Limits
from channels.service.provider import apply_account
from channels.states import Channel
from console.demo.approvers import wait_for, waiting_question
from console.demo.cast import Authenticator
from console.demo.theme_file import EXAMPLE, theme_starting
from console.prefect_api import PrefectApi
from models.database import Database
from models.queries import approvals, themes
from themes.lifecycle import ThemeState
from themes.service.finding import require_theme

ROOT = Path(__file__).parents[2]
PRODUCT_LINE = "ui-giftware"
RETAIL = ROOT / "data" / "online_retail_2010_12.csv"
RETAIL_LINES = 800  # of the file: some customers are enough to be sent to
CAST = (
    ("ui-ann", "Ann Author"),
    ("ui-bob", "Bob of Operations"),
    ("ui-carl", "Carl of Finance"),
    ("ui-cyn", "Cyn of Finance"),
    ("ui-cora", "Cora of Finance"),
)
POLICY = """
policy: ui-two-levels
fallback: ui-bob
theme:
  - {level: operations, approvers: [ui-bob], quorum: any, due: 24h}
  - {level: finance, approvers: [ui-carl, ui-cyn, ui-cora], quorum: {count: 2}, due: 24h}
coupon: none
activity: none
"""


@dataclass(slots=True, kw_only=True)
class Stage:
    database: Database
    api: PrefectApi
    apps: dict[str, Authenticator] = field(default_factory=dict)

    def app(self, login: str) -> Authenticator:
        """Shows a code of now or later: one of the step before would be late as soon as the clock ticks over."""
        app = self.apps[login]
        app.last_step = max(app.last_step, time_step(datetime.now(UTC)) - 1)
        return app

    def code(self, login: str) -> str:
        return self.app(login).code()

    def draft_and_submit(self, key: str, **changes: Any) -> None:
        """A theme of the example, in review: its first question waits when this returns."""
        self._run("draft-theme/from-form", self._draft(key, changes))
        self._run("submit-theme/from-form", {"theme": key, "login": "ui-ann", "code": self.code("ui-ann")})

    def _draft(self, key: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        source = ROOT / EXAMPLE
        start = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + timedelta(seconds=1)
        ours = {
            "theme": key,
            "author": "ui-ann",
            "product_line": PRODUCT_LINE,
            "timezone": "UTC",
            "policy": "ui-two-levels",
            "channels": {"email": MAIL},
        }
        text = theme_starting(start, source=source, changes={**ours, **changes})
        templates = {path.name: path.read_text(encoding="utf-8") for path in source.parent.glob("*.j2")}
        return {"theme_file": text, "login": "ui-ann", "templates": templates}

    def _run(self, deployment: str, parameters: Mapping[str, Any]) -> None:
        run = self.api.wait(self.api.create_flow_run(deployment, parameters)["id"])
        assert run["state_type"] == "COMPLETED", f"{deployment}: {run['state']}"

    def question_to(self, login: str, theme: str) -> dict[str, Any]:
        found: dict[str, Any] = wait_for(
            f"the question to {login}", lambda: waiting_question(self.api, login, theme), seconds=30
        )
        return found

    def theme_state(self, key: str) -> ThemeState:
        with self.database.begin() as session:
            return require_theme(session, key).state

    def theme_id(self, key: str) -> int:
        with self.database.begin() as session:
            return require_theme(session, key).id

    def launch_run(self, key: str) -> UUID:
        with self.database.begin() as session:
            found = require_theme(session, key).launch_run_id
            assert found
            return found

    def content_hash(self, key: str) -> str:
        with self.database.begin() as session:
            return themes.revisions(session, require_theme(session, key).id)[-1].hash

    def decisions(self, key: str) -> list[tuple[str, str, str]]:
        """Who decided what, and the comment."""
        with self.database.begin() as session:
            found = approvals.decisions_on_theme(session, require_theme(session, key).id)
            return [(login, decision.kind.value, decision.comment) for decision, login, _, _ in found]


MAIL = {
    "account": "ui-mail",
    "subject": "{{ customer.name }}, Women's Day is on us",
    "html": "women-day.html.j2",
    "text": "women-day.txt.j2",
}


def build(environment: Mapping[str, str]) -> Stage:
    """Set everything up but the themes."""
    stage = Stage(
        database=Database(url=environment["THEMELINE_DATABASE_URL"]), api=PrefectApi.from_environment(environment)
    )
    cipher = Cipher.from_setting(environment["THEMELINE_SECRET_KEY"])
    _import_customers(stage.database)
    _enrol(stage, cipher)
    with stage.database.begin() as session:
        policies.apply_policy(session, text=POLICY, by="console:browser-test", now=datetime.now(UTC))
        apply_account(session, entry=_mail_account(), secrets={}, cipher=cipher)
    return stage


def _import_customers(database: Database) -> None:
    with RETAIL.open(encoding="utf-8-sig", newline="") as source:
        lines = [line for line, _ in zip(source, range(RETAIL_LINES), strict=False)]
    with database.begin() as session:
        import_retail(session, read_retail(lines), product_line=PRODUCT_LINE, currency="GBP", as_of=datetime.now(UTC))


def _enrol(stage: Stage, cipher: Cipher) -> None:
    with stage.database.begin() as session:
        for login, name in CAST:
            enrolment = people.add_person(
                session,
                login=login,
                name=name,
                email=f"{login}@example.com",
                phone=None,
                roles=(),
                locale="en",
                by="console:browser-test",
                cipher=cipher,
                now=datetime.now(UTC),
            )
            stage.apps[login] = Authenticator(secret=enrolment.secret)


def _mail_account() -> AccountEntry:
    """Mail goes to a port where nobody listens, so that there is something to retry."""
    return AccountEntry(
        account="ui-mail",
        product_line=PRODUCT_LINE,
        channel=Channel.EMAIL,
        provider="smtp",
        settings={
            "host": "127.0.0.1",
            "port": _deaf_port(),
            "security": "none",
            "sender": "offers@example.com",
            "sender_name": "Giftware",
        },
        limits=Limits(retry_base_seconds=0.02, retry_ceiling_seconds=0.05, retry_budget_seconds=0.2),
    )


def _deaf_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return int(taken.getsockname()[1])
