"""The verbs of `themeline theme` that somebody signs: each runs the deployment theme-action, as its form does."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from console.flow_runs import report_run, run_flow
from console.printing import JsonOption
from console.reading import read_instant, read_text
from console.signing import CodeOption, CommentOption, KeyArgument, LoginOption

OfferOption = Annotated[str, typer.Option(help="The coupon or activity that is meant; the theme itself by default.")]
PersonArgument = Annotated[str, typer.Argument(help="The other person's login.")]

#: Verb, act and help of what needs nothing beside a signature.
MOVES = (
    ("withdraw", "withdraw", "Take a theme out of review: back to draft."),
    ("recall", "recall", "Take an approved theme back to draft before it is live; its launch is cancelled."),
    ("pause", "pause", "Stop sending a live theme for now."),
    ("resume", "resume", "Go on with a paused theme."),
    ("launch-now", "launch now", "Launch a theme whose start was missed."),
    ("drop", "drop", "Give a theme up whose start was missed."),
)
#: The same, about one object of the theme.
ON_OBJECT = (
    ("reject", "reject", "Reject what you are asked about."),
    (
        "take-back",
        "take back",
        "Take your decision back, or your asking for advice, before anybody decides after it.",
    ),
)
#: The same, with another person.
HANDS = (
    ("delegate", "delegate", "Ask somebody for advice; the decision stays yours."),
    ("transfer", "transfer", "Give your question to somebody else, who decides on your behalf."),
    ("remove-signer", "remove signer", "Ask somebody no longer: one whom you added, or any as an administrator."),
)


class Where(StrEnum):
    BEFORE = "before"
    AFTER = "after"


class Overriding(StrEnum):
    APPROVE = "approve"
    RETURN = "return"
    REJECT = "reject"


class Claimed(StrEnum):
    HONOUR = "honour"
    VOID = "void"


def approve(
    key: KeyArgument,
    *,
    login: LoginOption,
    code: CodeOption,
    comment: Annotated[str, typer.Option(help="A word with it; not needed.")] = "",
    offer: OfferOption = "",
    as_json: JsonOption = False,
) -> None:
    """Approve what you are asked about."""
    _act(key, "approve", login, code, comment, as_json=as_json, offer=offer)


def send_back(
    key: KeyArgument,
    *,
    to: Annotated[str, typer.Option(help="drafter, previous, or the name of an earlier level that was signed.")] = (
        "drafter"
    ),
    login: LoginOption,
    code: CodeOption,
    comment: CommentOption,
    offer: OfferOption = "",
    as_json: JsonOption = False,
) -> None:
    """Return what you are asked about: to its drafter, to the previous level, or to one that you name."""
    ways = {"drafter": "return to drafter", "previous": "return to previous level"}
    to_level = "" if to in ways else to
    action = ways.get(to, "return to chosen level")
    _act(key, action, login, code, comment, as_json=as_json, offer=offer, to_level=to_level)


def add_signer(
    key: KeyArgument,
    person: PersonArgument,
    *,
    where: Annotated[Where, typer.Option(help="Whether they sign before you or after you.")] = Where.AFTER,
    login: LoginOption,
    code: CodeOption,
    comment: CommentOption,
    offer: OfferOption = "",
    as_json: JsonOption = False,
) -> None:
    """Have somebody else sign too; without their approval it does not pass."""
    _act(key, f"add signer {where}", login, code, comment, as_json=as_json, offer=offer, person=person)


def override(
    key: KeyArgument,
    decision: Annotated[Overriding, typer.Argument(help="What you decide over the heads of those asked.")],
    *,
    login: LoginOption,
    code: CodeOption,
    comment: CommentOption,
    offer: OfferOption = "",
    as_json: JsonOption = False,
) -> None:
    """Settle a level as an administrator; the record says so."""
    wanted = "return to drafter" if decision is Overriding.RETURN else decision.value
    _act(key, f"override: {wanted}", login, code, comment, as_json=as_json, offer=offer)


def takedown(
    key: KeyArgument,
    *,
    claimed: Annotated[Claimed, typer.Option(help="Whether coupons already claimed are honoured or void.")],
    correction: Annotated[
        Path | None, typer.Option(help="A file with what those already reached are told: a `channels` block.")
    ] = None,
    login: LoginOption,
    code: CodeOption,
    comment: CommentOption,
    as_json: JsonOption = False,
) -> None:
    """Take a live theme down for good: every channel stops at once, and stays stopped."""
    text = read_text(correction) if correction else ""
    _act(key, "takedown", login, code, comment, as_json=as_json, claimed=claimed.value, correction=text)


def move_start(
    key: KeyArgument,
    *,
    start_at: Annotated[str, typer.Option(help="The new start, ISO 8601 with its zone: 2027-03-06T09:00+00:00.")],
    login: LoginOption,
    code: CodeOption,
    comment: CommentOption,
    as_json: JsonOption = False,
) -> None:
    """Give a theme whose start was missed a new one, before its approved end."""
    moment = read_instant("--start-at", start_at).isoformat()
    _act(key, "move start", login, code, comment, as_json=as_json, start_at=moment)


def _move(action: str) -> Callable[..., None]:
    def verb(
        key: KeyArgument, *, login: LoginOption, code: CodeOption, comment: CommentOption, as_json: JsonOption = False
    ) -> None:
        _act(key, action, login, code, comment, as_json=as_json)

    return verb


def _on_object(action: str) -> Callable[..., None]:
    def verb(
        key: KeyArgument,
        *,
        login: LoginOption,
        code: CodeOption,
        comment: CommentOption,
        offer: OfferOption = "",
        as_json: JsonOption = False,
    ) -> None:
        _act(key, action, login, code, comment, as_json=as_json, offer=offer)

    return verb


def _hand(action: str) -> Callable[..., None]:
    def verb(
        key: KeyArgument,
        person: PersonArgument,
        *,
        login: LoginOption,
        code: CodeOption,
        comment: CommentOption,
        offer: OfferOption = "",
        as_json: JsonOption = False,
    ) -> None:
        _act(key, action, login, code, comment, as_json=as_json, offer=offer, person=person)

    return verb


def _act(key: str, action: str, login: str, code: str, comment: str, *, as_json: bool, **more: str) -> None:
    said = {name: value for name, value in more.items() if value}
    parameters = {"theme": key, "action": action, "login": login, "code": code, "comment": comment, **said}
    report_run(key, run_flow("theme-action/from-form", parameters), as_json=as_json)


def add_to(app: typer.Typer) -> None:
    for name, verb in (
        ("approve", approve),
        ("return", send_back),
        ("add-signer", add_signer),
        ("override", override),
        ("takedown", takedown),
        ("move-start", move_start),
    ):
        app.command(name)(verb)
    for make, rows in ((_on_object, ON_OBJECT), (_hand, HANDS), (_move, MOVES)):
        for name, action, about in rows:
            app.command(name, help=about)(make(action))
