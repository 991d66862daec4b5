"""The main job from end to end, told as it happens: draft, review, return, take-back, launch, failure, takedown."""

import shutil
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import typer

from approval.service import policies, record
from audience.retail import read_retail
from audience.service import import_retail
from channels.service import distribution
from channels.service.callbacks import callback_path
from channels.service.distribution import ChannelProgress
from channels.service.provider import apply_account
from channels.states import MAY_BE_REACHED_STATES, REACHED_STATES, Channel, DeliveryState, ErrorClass
from console.commands.people import configured_cipher
from console.demo.approvers import answer, wait_for, waiting_question
from console.demo.cast import Authenticator, enrol_cast
from console.demo.sales import open_shop, problems_of, sell, show_sales
from console.demo.stand_in import PRODUCT_LINE, Sandbox
from console.demo.theme_file import EXAMPLE, theme_starting
from console.flow_runs import run_flow
from console.prefect_api import PrefectApi
from console.printing import print_table
from console.refusals import DemoFailed
from models.database import Database
from models.queries import approvals, themes
from themes.lifecycle import ThemeState
from themes.service.finding import require_theme

THEME, CURRENCY = "womens-day-2027", "GBP"
POLICY = Path("examples/demo-policy.yaml")
RETAIL = Path("data/online_retail_2010_12.csv")
RECEIPTS_FROM = frozenset({"aliyun", "jpush", "wechat"})
LEAD = timedelta(seconds=25)  # from the last draft to the launch
SETTLED_WITHIN = 120.0
NEXT_WAITS = "next questions wait"
#: What those already reached are told after the takedown.
CORRECTION = """
channels:
  push:
    title: We are sorry
    body: The Women's Day offers are withdrawn. Coupons that you hold stay good.
"""


class Mismatch(DemoFailed):
    """What we counted is not what the providers counted, or something else did not end as it must."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """What the scenes of the demo share."""

    root: Path
    database: Database
    api: PrefectApi
    sandbox: Sandbox
    http: str  # the origin of our own HTTP service
    people: dict[str, Authenticator]
    effects: list[tuple[str, float]] = field(default_factory=list)  # an answer, and seconds to its effect
    runs: dict[str, str] = field(default_factory=dict)

    def theme_state(self) -> ThemeState:
        with self.database.begin() as session:
            return require_theme(session, THEME).state

    def channels(self) -> list[ChannelProgress]:
        with self.database.begin() as session:
            theme_id = require_theme(session, THEME).id
            return list(distribution.progress(session, theme_id=theme_id, now=datetime.now(UTC)))


def tell(stage: Stage) -> None:
    """The whole story; it ends with every count checked, or with Mismatch."""
    begun = time.monotonic()
    prepare(stage)
    make_trouble(stage)
    review(stage)
    launch(stage)
    retry(stage)
    trade(stage)
    check(stage)
    take_down(stage)
    tell_times(stage)
    tell_runs(stage)
    say(f"the story took {time.monotonic() - begun:.0f} s")


def prepare(stage: Stage) -> None:
    """Customers, people, policy, accounts."""
    with (stage.root / RETAIL).open(encoding="utf-8-sig", newline="") as source:
        retail = read_retail(source)
    now = datetime.now(UTC)
    with stage.database.begin() as session:
        report = import_retail(session, retail, product_line=PRODUCT_LINE, currency=CURRENCY, as_of=now)
    stage.people = enrol_cast(stage.database, configured_cipher())
    addresses = {}
    with stage.database.begin() as session:
        policies.apply_policy(
            session, text=(stage.root / POLICY).read_text(encoding="utf-8"), by="console:demo", now=now
        )
        for entry, secrets in stage.sandbox.accounts():
            apply_account(session, entry=entry, secrets=secrets, cipher=configured_cipher())
        for entry, _ in stage.sandbox.accounts():
            if entry.provider in RECEIPTS_FROM:
                path = callback_path(session, key=entry.account, cipher=configured_cipher(), now=now)
                addresses[entry.provider] = stage.http + path
    for provider, address in addresses.items():
        stage.sandbox.push_receipts(provider, address)
    customers = sum(row["registered"] for row in report.by_country.values())
    say(f"imported {customers} customers in {len(report.by_country)} countries; ann, bob, carl, cyn, cora enrolled")


def draft(stage: Stage, **changes: Any) -> None:  # noqa: ANN401 - fields of a theme file
    source = stage.root / EXAMPLE
    start = datetime.now(UTC).replace(microsecond=0, tzinfo=None) + LEAD
    text = theme_starting(start, source=source, changes={"timezone": "UTC", "policy": "demo", **changes})
    templates = {path.name: path.read_text(encoding="utf-8") for path in source.parent.glob("*.j2")}
    run = run_flow("draft-theme/from-form", {"theme_file": text, "login": "ann", "templates": templates})
    stage.runs["draft"] = run["url"]
    say(f"ann drafts: {run['message']}")


def submit(stage: Stage) -> None:
    run = run_flow(
        "submit-theme/from-form", {"theme": THEME, "login": "ann", "code": stage.people["ann"].code(), "comment": ""}
    )
    stage.runs["submit"] = run["url"]
    say(f"ann submits: {run['message']}")


def act(stage: Stage, login: str, action: str, comment: str, **details: str) -> None:
    """Anything but an answer goes through the form `theme-action`."""
    parameters = {"theme": THEME, "action": action, "login": login, "code": stage.people[login].code(), **details}
    run = run_flow("theme-action/from-form", {**parameters, "comment": comment})
    stage.runs[action] = run["url"]
    say(f"{login}: {action} ({comment})")


def decide(
    stage: Stage, login: str, decision: str, *, until: Callable[[], Any], effect: str, comment: str = ""
) -> None:
    """Answer a question and time how long its effect takes to be there."""
    run = answer(stage.api, THEME, login, stage.people[login], decision=decision, comment=comment)
    begun = time.monotonic()
    wait_for(effect, until)
    stage.effects.append((f"{login}: {decision}", time.monotonic() - begun))
    stage.runs[f"question to {login}"] = stage.api.run_url(run["id"])
    said = f" ({comment})" if comment else ""
    say(f"{login} answers: {decision}{said}; {effect} after {stage.effects[-1][1]:.1f} s")


def review(stage: Stage) -> None:
    """Bob returns the first version; the second goes through both levels."""
    draft(stage, budget="25000.00")
    submit(stage)
    comment = "The budget is above what was agreed: 20000, please."
    draft_again, effect = _is(stage, ThemeState.DRAFT), "theme is draft again"
    decide(stage, "bob", "return to drafter", until=draft_again, effect=effect, comment=comment)
    draft(stage)
    submit(stage)
    decide(stage, "bob", "approve", until=_all_wait(stage, "carl", "cyn", "cora"), effect=NEXT_WAITS)
    decide(stage, "carl", "approve", until=_has_decided(stage, "carl"), effect="decision on record")
    act(stage, "carl", "take back", "I had read last year's figures.")
    wait_for("carl's question", _all_wait(stage, "carl"))
    decide(stage, "carl", "approve", until=_has_decided(stage, "carl"), effect="decision on record")
    decide(stage, "cyn", "approve", until=lambda: _launch(stage) is not None, effect="launch is scheduled")
    stage.runs["launch"] = stage.api.run_url(str(_launch(stage)))


def _is(stage: Stage, state: ThemeState) -> Callable[[], bool]:
    return lambda: stage.theme_state() is state


def _all_wait(stage: Stage, *logins: str) -> Callable[[], bool]:
    return lambda: all(waiting_question(stage.api, login, THEME) for login in logins)


def _has_decided(stage: Stage, login: str) -> Callable[[], bool]:
    def look() -> bool:
        with stage.database.begin() as session:
            theme = require_theme(session, THEME)
            number = approvals.rounds(session, theme.id)[-1].number
            decisions = approvals.decisions_on_theme(session, theme.id)
        return any(by == login and of == number and one.voided_at is None for one, by, _, of in decisions)

    return look


def _launch(stage: Stage) -> object:
    with stage.database.begin() as session:
        theme = require_theme(session, THEME)
        return theme.launch_run_id if theme.state is ThemeState.SCHEDULED else None


def make_trouble(stage: Stage) -> None:
    """What goes wrong at the providers: some bad numbers for good, push too busy for a while, mail down at first."""
    stage.sandbox.fault(channel="sms", kind="recipient_error", code="isv.MOBILE_NUMBER_ILLEGAL", share=0.05)
    stage.sandbox.fault(channel="push", kind="throttle", retry_after=2, count=2)
    stage.sandbox.fault(channel="email", kind="down")
    say("the sandbox refuses 5 % of numbers, throttles push at first, and its mail server is down")


def launch(stage: Stage) -> None:
    """Three channels go through; mail is down until its first deliveries have used up their budget."""
    wait_for("the launch", _is(stage, ThemeState.LIVE), seconds=90)
    say("the theme is live")
    wait_for("the end of three channels", lambda: _rest(stage, set(Channel) - {Channel.EMAIL}), seconds=SETTLED_WITHIN)
    wait_for("mail to fail", lambda: _failed_as(stage, ErrorClass.DOWN), seconds=SETTLED_WITHIN)
    show_counts(stage, "While mail is down")
    stage.sandbox.clear_faults()
    say("the mail server is back: what still waited goes out by itself")
    wait_for("the end of the fan-out", lambda: _rest(stage, set(Channel)), seconds=SETTLED_WITHIN)
    show_counts(stage, "After the launch")


def _rest(stage: Stage, channels: set[Channel]) -> bool:
    """Every delivery of these channels is settled as far as the engine goes by itself."""
    there = {one.channel: one for one in stage.channels()}
    return channels <= there.keys() and all(
        there[channel].planned and there[channel].settled == there[channel].planned for channel in channels
    )


def _failed_as(stage: Stage, error: ErrorClass) -> int:
    return sum(one.failed.get(error, 0) for one in stage.channels())


def retry(stage: Stage) -> None:
    """Ops retry what failed while mail was down, twice: the second time there is nothing to take."""
    say("ops start retry-deliveries for failures of class down")
    parameters = {"theme": THEME, "error_class": "down"}
    run = run_flow("retry-deliveries/by-ops", parameters)
    stage.runs["retry"] = run["url"]
    say(f"ops: {run['message']}")
    wait_for("the end of the retry", lambda: _rest(stage, set(Channel)), seconds=SETTLED_WITHIN)
    say(f"ops press again: {run_flow('retry-deliveries/by-ops', parameters)['message']}")


def trade(stage: Stage) -> None:
    """Customers claim and use what they were sent, through the HTTP API. Raises SaleFailed, Mismatch."""
    shop = open_shop(stage.database, origin=stage.http, product_line=PRODUCT_LINE)
    sales = sell(shop, stage.database, theme=THEME, say=say)
    show_sales(sales, currency=CURRENCY, table=print_rows)
    if problems := problems_of(sales, stage.database, theme=THEME):
        raise Mismatch("; ".join(problems))
    say("claims, uses and money of the theme's offers are what the shop was told, order by order")


def check(stage: Stage) -> None:
    """Our counts against the providers' own, every sum, the audit. Raises Mismatch."""
    wait_for("the receipts", lambda: all(map(_all_delivered, stage.channels())), seconds=SETTLED_WITHIN)
    show_counts(stage, "At the end")
    log = stage.sandbox.log()
    problems = [problem for one in stage.channels() for problem in _problems(one, log[one.channel.value])]
    with stage.database.begin() as session:
        audit = record.verify_audit(session)
        revisions = len(themes.revisions(session, require_theme(session, THEME).id))
    say(f"audit: {audit.rows} rows, {'whole' if audit.sound else audit.problem}; {revisions} revisions on record")
    problems += [] if audit.sound else [f"the audit is broken: {audit.problem}"]
    if problems:
        raise Mismatch("; ".join(problems))
    say("our counts equal the sandbox's own log, recipient by recipient at most one message")


def take_down(stage: Stage) -> None:
    """Bob takes the theme down; whoever was reached by push is told so, once. Raises Mismatch."""
    before = stage.sandbox.log()
    reached = sum(_to_be_told(one) for one in stage.channels() if one.channel is Channel.PUSH)
    begun = time.monotonic()
    act(stage, "bob", "takedown", "The supplier cannot deliver.", claimed="honour", correction=CORRECTION)
    wait_for("the theme to be revoked", _is(stage, ThemeState.REVOKED))
    say(f"the theme is revoked on every channel after {time.monotonic() - begun:.1f} s; claimed coupons are honoured")
    wait_for("the correction", lambda: _accepted(stage, Channel.PUSH) >= before["push"]["accepted"] + reached)
    more = {channel: _accepted(stage, channel) - before[channel.value]["accepted"] for channel in Channel}
    if more != {channel: reached if channel is Channel.PUSH else 0 for channel in Channel}:
        raise Mismatch(f"after the takedown the providers got {more}; expected {reached} corrections by push alone")
    say(f"{reached} people whom push had reached are told; nothing else has left")


def _all_delivered(one: ChannelProgress) -> bool:
    """By what the receipts say, on the channels that have any."""
    return one.channel is Channel.EMAIL or one.states.get(DeliveryState.SENT, 0) == 0


def _reached(one: ChannelProgress) -> list[int]:
    return [one.states.get(state, 0) for state in REACHED_STATES]


def _to_be_told(one: ChannelProgress) -> int:
    """Who may have got a message is told of its correction as well."""
    return sum(one.states.get(state, 0) for state in MAY_BE_REACHED_STATES)


def _accepted(stage: Stage, channel: Channel) -> int:
    return int(stage.sandbox.log()[channel.value]["accepted"])


def _problems(one: ChannelProgress, provider: Mapping[str, Any]) -> list[str]:
    reached = sum(_reached(one))
    found = []
    if reached != provider["accepted"]:
        found.append(f"{one.channel}: we count {reached} sent, the provider {provider['accepted']}")
    if provider["max_per_recipient"] > 1:
        found.append(f"{one.channel}: somebody got {provider['max_per_recipient']} messages")
    if one.settled != one.planned or not one.planned:
        found.append(f"{one.channel}: {one.planned - one.settled} of {one.planned} are not settled")
    if one.channel is Channel.EMAIL and reached != one.planned:
        found.append(f"{one.channel}: the retry left {one.planned - reached} of {one.planned}")
    return found


def show_counts(stage: Stage, title: str) -> None:
    columns = [
        "channel",
        "planned",
        "sent",
        "of them delivered",
        "failed",
        "by class",
        "suppressed",
        "unknown",
        "left out",
    ]
    print_rows(title, columns, [_count_row(one) for one in stage.channels()])


def _count_row(one: ChannelProgress) -> list[object]:
    by_class = ", ".join(f"{count} {name}" for name, count in sorted(one.failed.items()))
    left_out = ", ".join(f"{count} {reason}" for reason, count in sorted(one.left_out.items()))
    return [
        one.channel,
        one.planned,
        sum(_reached(one)),
        one.states.get(DeliveryState.DELIVERED, 0),
        one.states.get(DeliveryState.FAILED, 0),
        by_class,
        one.states.get(DeliveryState.SUPPRESSED, 0),
        one.states.get(DeliveryState.UNKNOWN, 0),
        left_out,
    ]


def tell_times(stage: Stage) -> None:
    """Seconds from an answer to its effect: each, and the median."""
    median = statistics.median(seconds for _, seconds in stage.effects)
    print_rows("From an answer to its effect", ["answer", "seconds"], [(a, f"{s:.1f}") for a, s in stage.effects])
    say(f"median {median:.1f} s")


def tell_runs(stage: Stage) -> None:
    print_rows("Runs in Prefect", ["run", "address"], list(stage.runs.items()))


def fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def say(line: str) -> None:
    typer.echo(f"{datetime.now(UTC):%H:%M:%S}  {line}")


def print_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    print_table(title, columns, rows)
