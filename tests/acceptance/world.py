"""What the acceptance tests share: the command line, people with authenticators, customers, policies and accounts.

Everything goes through the command line and Prefect's API, as users go. Names begin with `acc-`, for the installation
is shared with other tests.
"""

import csv
import json
import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import requests
import yaml
from typer.testing import Result

from console.demo.approvers import waiting_question
from console.demo.cast import Authenticator
from console.demo.theme_file import EXAMPLE, theme_starting
from console.prefect_api import ENDED, PrefectApi
from models.approval import Alert, Task
from models.database import Database
from models.queries import alerts, approvals
from tests.commands import invoke
from themes.service.finding import require_theme

ROOT = Path(__file__).parents[2]
LINE = "acc-giftware"
CUSTOMERS = 40
#: login -> roles
PEOPLE = {
    "acc-ann": (),
    "acc-amy": (),
    "acc-abe": (),
    "acc-dora": (),
    "acc-nina": (),
    "acc-bob": ("acc-operations",),
    "acc-carl": (),
    "acc-cyn": (),
    "acc-cora": (),
    "acc-sid": ("acc-stewards",),
    "acc-sue": ("acc-stewards",),
    "acc-tia": (),
    "acc-tim": (),
    "acc-tom": (),
    "acc-ted": (),
    "acc-tess": (),
    "acc-tara": (),
    "acc-tony": (),
}
JURY = tuple(login for login in PEOPLE if login.startswith("acc-t"))
POLICIES: Mapping[str, object] = {
    "acc-two": [
        {"level": "operations", "approvers": ["role:acc-operations"], "quorum": "any", "due": "24h"},
        {"level": "finance", "approvers": ["acc-carl", "acc-cyn", "acc-cora"], "quorum": {"count": 2}},
    ],
    "acc-none": "none",
    "acc-pair": [{"level": "pair", "approvers": ["acc-tia", "acc-tim"], "quorum": "all"}],
    "acc-jury": [{"level": "jury", "approvers": list(JURY), "quorum": "all"}],
}
SECRETS = {
    "ACC_SMS_SECRET": "sandbox-secret",
    "ACC_PUSH_SECRET": "sandbox-master",
    "ACC_WECHAT_SECRET": "sandbox-wechat",
}

#: So short a patience leaves something to retry while one watches.
IMPATIENT = {"retry_base_seconds": 0.2, "retry_ceiling_seconds": 0.5, "retry_budget_seconds": 1}


def wait_until(what: str, look: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    """Look until something is there."""
    pause, deadline = 0.1, time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what} was not seen within {seconds:.0f} s"
        time.sleep(pause)
        pause = min(pause * 1.2, 1.0)  # each look costs those that are waited for
    return found


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`themeline` in this process."""

    environment: Mapping[str, str]

    def run(self, *words: str, **variables: str | None) -> Result:
        return invoke(words, {**self.environment, **variables})

    def json(self, *words: str) -> Any:
        outcome = self.run(*words, "--json")
        assert outcome.exit_code == 0, f"{words}: {outcome.stdout}\n{outcome.stderr}"
        return json.loads(outcome.stdout)

    def refusal(self, *words: str, **variables: str | None) -> str:
        """The one message with which a verb refuses."""
        outcome = self.run(*words, **variables)
        assert outcome.exit_code == 2, f"{words}: {outcome.exit_code}\n{outcome.stdout}\n{outcome.stderr}"
        assert outcome.stdout == ""
        return outcome.stderr


@dataclass(slots=True, kw_only=True)
class World:
    cli: CommandLine
    api: PrefectApi
    database: Database
    folder: Path
    people: dict[str, Authenticator] = field(default_factory=dict)

    def theme_file(self, key: str, *, author: str, start: timedelta, **changes: object) -> Path:
        """The example theme under another key, its window beginning so long after now."""
        moment = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + start
        fields = {"theme": key, "title": key, "author": author, "product_line": LINE, "timezone": "UTC", **changes}
        text = theme_starting(moment, source=ROOT / EXAMPLE, changes=fields)
        text = re.sub(r"account: (sms|mail|push|wechat)-main", r"account: acc-\1", text)
        path = self.folder / f"{key}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def sign(self, verb: str, key: str, login: str, *words: str) -> dict[str, Any]:
        """A verb of `themeline theme` that asks for a code."""
        comment = () if verb == "submit" else ("--comment", "for a reason")
        signed = ("--login", login, "--code", self.people[login].code(), *comment)
        run: dict[str, Any] = self.cli.json("theme", verb, key, *signed, *words)
        return run

    def draft(self, file: Path, login: str) -> dict[str, Any]:
        saved: dict[str, Any] = self.cli.json("theme", "draft", str(file), "--login", login)
        return saved

    def show(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.cli.json("theme", "show", key)
        return found

    def wait_for_state(self, key: str, state: str, *, seconds: float = 60.0) -> None:
        """As the database has it: `theme show` looks ahead at all recipients each time."""
        wait_until(f"{key} {state}", lambda: self._state(key) == state, seconds=seconds)

    def _state(self, key: str) -> str:
        with self.database.begin() as session:
            return require_theme(session, key).state.value

    def question(self, login: str, key: str) -> dict[str, Any]:
        """The gate run that waits for a person, with its form."""
        run: dict[str, Any] = wait_until(f"question to {login}", lambda: waiting_question(self.api, login, key))
        return run

    def form(self, login: str, decision: str = "approve", comment: str = "", code: str | None = None) -> dict[str, str]:
        code = code or self.people[login].code()
        return {"decision": decision, "login": login, "code": code, "comment": comment}

    def answer(self, login: str, key: str, decision: str = "approve", comment: str = "") -> str:
        """Answer a question through the resume API, as the UI does. Returns the gate run."""
        run = self.question(login, key)
        self.api.resume(run["id"], self.form(login, decision, comment))
        return str(run["id"])

    def decisions(self, key: str) -> list[tuple[str, str]]:
        return [(one["login"], one["decision"]) for one in self.show(key)["decisions"]]

    def alerts(self, key: str) -> list[Alert]:
        with self.database.begin() as session:
            return [alert for alert in alerts.alerts(session) if alert.theme_key == key]

    def run_deployment(self, name: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Run upkeep now: one that meets the scheduled one does nothing, so it is asked for again."""
        while True:
            run = self.api.wait(self.api.create_flow_run(name, parameters)["id"], timeout=60)
            assert run["state_type"] == "COMPLETED", run["state"]
            if run["state_name"] != "Skipped":
                return run

    def run_state(self, run_id: str) -> str:
        return str(self.api.flow_run(run_id)["state_type"])

    def wait_for_end(self, run_id: str) -> str:
        """The name of the state in which a run ended."""
        wait_until(f"the end of run {run_id}", lambda: self.run_state(run_id) in ENDED)
        return str(self.api.flow_run(run_id)["state"]["name"])


class Prefect:
    """What anybody with Prefect's one password can do to a run."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._url = environment["PREFECT_API_URL"]
        self._session = requests.Session()
        user, _, password = environment["PREFECT_API_AUTH_STRING"].partition(":")
        self._session.auth = (user, password)

    def call(self, method: str, path: str, body: object = None) -> Any:
        answer = self._session.request(method, f"{self._url}{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def force(self, run: str, kind: str, name: str | None = None) -> None:
        state = {"type": kind, "name": name} if name else {"type": kind}
        self.call("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": True})

    def plant(self, run: str, key: str, answer: Mapping[str, str]) -> None:
        self.call("POST", f"/flow_runs/{run}/input", {"key": key, "value": json.dumps(dict(answer))})


def task_of(world: World, run: str) -> Task:
    with world.database.begin() as session:
        task = approvals.task_by_flow_run(session, UUID(run))
    assert task is not None
    return task


def small_cut(source: Path, target: Path) -> None:
    """The rows of some customers with one or two orders each."""
    with source.open(encoding="utf-8-sig", newline="") as opened:
        header, *rows = csv.reader(opened)
    orders: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        orders[row[6]].add(row[0])
    few = sorted(customer for customer, placed in orders.items() if customer and len(placed) <= 2)
    kept = {*few[:CUSTOMERS]}
    with target.open("w", encoding="utf-8", newline="") as opened:
        csv.writer(opened).writerows([header, *(row for row in rows if row[6] in kept)])


def secret_of(enrolment_link: str) -> str:
    """What an authenticator app reads from the link."""
    return parse_qs(urlsplit(enrolment_link).query)["secret"][0]


def account_file(http: str, smtp: str) -> str:
    host, _, port = smtp.rpartition(":")
    mail = {"host": host, "port": int(port), "security": "none", "sender": "offers@example.com"}
    sms = {"access_key_id": "sandbox-ak", "sign_name": "Themeline", "template_code": "SMS_100001", "base_url": http}
    push = {"app_key": "sandboxappkey0000000000", "base_url": http}
    wechat = {"app_id": "wxsandbox", "base_url": http}
    return yaml.safe_dump(
        {
            "accounts": [
                _account("acc-sms", "sms", "aliyun", sms, {"access_key_secret": "ACC_SMS_SECRET"}),
                _account("acc-mail", "email", "smtp", mail, {}, IMPATIENT),
                _account("acc-slow", "email", "smtp", mail, {}, {"rate_per_second": 4, "concurrency": 1}),
                _account("acc-push", "push", "jpush", push, {"master_secret": "ACC_PUSH_SECRET"}),
                _account("acc-wechat", "mini_program", "wechat", wechat, {"app_secret": "ACC_WECHAT_SECRET"}),
            ]
        }
    )


def _account(  # noqa: PLR0917 - a row of the table above
    key: str,
    channel: str,
    provider: str,
    settings: Mapping[str, object],
    secrets: Mapping[str, str],
    limits: Mapping[str, object] | None = None,
) -> dict[str, object]:
    return {
        "account": key,
        "product_line": LINE,
        "channel": channel,
        "provider": provider,
        "settings": dict(settings),
        "secrets": dict(secrets),
        "limits": dict(limits or {}),
    }


_WORLDS: dict[str, World] = {}


def world_of(environment: Mapping[str, str], folder: Path) -> World:
    """The one world of an installation, made the first time that somebody asks."""
    where = environment["THEMELINE_STATE_DIR"]
    if where not in _WORLDS:
        _WORLDS[where] = _make(environment, folder)
    return _WORLDS[where]


def _make(environment: Mapping[str, str], folder: Path) -> World:
    world = World(
        cli=CommandLine({**environment, **SECRETS}),
        api=PrefectApi.from_environment(environment),
        database=Database(url=environment["THEMELINE_DATABASE_URL"]),
        folder=folder,
    )
    for template in (ROOT / EXAMPLE).parent.glob("*.j2"):
        (folder / template.name).write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "plain.txt.j2").write_text("{{ link }} {{ unsubscribe_link }}", encoding="utf-8")
    small_cut(ROOT / "data" / "online_retail_2010_12.csv", folder / "retail.csv")
    imported = world.cli.json("import", "retail", str(folder / "retail.csv"), "--product-line", LINE)
    assert imported["changed"]["customers"]["inserted"] == CUSTOMERS, imported["changed"]
    for login, roles in PEOPLE.items():
        words = [word for role in roles for word in ("--role", role)]
        added = world.cli.json("people", "add", login, "--name", login.title(), *words)
        world.people[login] = Authenticator(secret=secret_of(added["enrolment_link"]))
    for name, levels in POLICIES.items():
        policy = {"policy": name, "fallback": "acc-sid", "theme": levels, "coupon": "none", "activity": "none"}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({**policy, "takedown": ["role:acc-stewards"]}))
        assert world.cli.json("policy", "apply", str(folder / f"{name}.yaml"))["version"] == 1
    accounts = account_file(environment["THEMELINE_SANDBOX_HTTP"], environment["THEMELINE_SANDBOX_SMTP"])
    (folder / "accounts.yaml").write_text(accounts)
    assert len(world.cli.json("accounts", "apply", str(folder / "accounts.yaml"))) == len(
        yaml.safe_load(accounts)["accounts"]
    )
    return world
