"""Taking a live theme down, and undoing it channel by channel until nothing of it can leave any more.

The takedown itself is one transaction: once it is committed no call may begin. What follows is looked at again and
again, by whoever comes: each look is a transaction too, and may be repeated, interrupted or done twice at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from approval.service.people import IdentityRules, identify
from approval.service.record import Act, write_down
from approval.service.signing import Signature, require_comment
from channels.service import distribution, revocation
from channels.service.revocation import ChannelLook
from channels.states import Channel
from models.queries import alerts, steps, takedowns, themes
from models.takedown import Revocation, Takedown
from models.theme import Theme
from offers.service.live import void_held
from themes.correction import Correction, load_correction
from themes.lifecycle import Move, ThemeState, move
from themes.revision import load
from themes.revocation import ALERT_AFTER, LOOKS, AlreadyTakenDown, ClaimedRule, RevocationState, look_at
from themes.service.finding import require_right, require_theme, stewards
from themes.service.moves import move_theme
from themes.theme import Theme as ThemeValue

UNDOER = "system:takedown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """How far a takedown is after a look."""

    theme_key: str
    state: ThemeState
    cancelled: int  # deliveries, by this look
    missing: Mapping[Channel, str]  # channel -> what may still leave


def take_down(
    session: Session,
    *,
    key: str,
    signature: Signature,
    rules: IdentityRules,
    claimed: Literal["honour", "void"],
    correction: Correction | None,
    now: datetime,
) -> int:
    """Stop a live or paused theme for good, on every channel at once. Returns the theme's id.

    Raises:
        ThemeUnknown, MoveRefused, NotAllowed, CommentRequired, IdentityRefused
        AlreadyTakenDown: by whom, and when.
        AccountUnknown, AccountUnfit: of the correction.
    """
    theme = require_theme(session, key, lock=True)
    _require_not_taken_down(session, theme)
    move(theme.state, Move.TAKEDOWN)  # refused before a code is used up
    who = "whom the policy lets take it down"
    require_right(session, signature.login, stewards(session, theme), act="take down", theme=theme, who=who)
    require_comment(signature, "take a theme down")
    _require_accounts(session, theme, correction)
    identify(session, login=signature.login, code=signature.code, rules=rules, now=now)
    cancelled = {
        channel: revocation.cancel_channel(session, theme_id=theme.id, channel=channel, now=now)
        for channel in _channels(session, theme)
    }
    takedowns.add(
        session,
        theme_id=theme.id,
        login=signature.login,
        comment=signature.comment,
        claimed=ClaimedRule(claimed),
        correction=correction.content() if correction else None,
        cancelled=cancelled,
        now=now,
    )
    revision = themes.revision_by_id(session, theme.revision_id) if theme.revision_id is not None else None
    move_theme(  # which closes its offers first: nobody uses a coupon while it is taken back
        session,
        theme,
        Move.TAKEDOWN,
        actor=signature.login,
        now=now,
        comment=signature.comment,
        object_hash=revision.hash if revision else None,
        flow_run_id=signature.flow_run_id,
        details=_details(claimed, correction, cancelled),
    )
    if ClaimedRule(claimed) is ClaimedRule.VOID:
        void_held(session, theme, now=now)
    return theme.id


def undo_channels(session: Session, *, theme_id: int, now: datetime) -> Undone:
    """Look at every channel of a takedown that is not undone yet; when all are, the theme is revoked.

    Any process may call this at any time, as often as it likes, until the state is `revoked`.
    """
    theme = themes.theme_by_id(session, theme_id, lock=True)
    found = takedowns.of_theme(session, theme_id)
    if theme.state is not ThemeState.REVOKING or found is None:
        return Undone(theme_key=theme.key, state=theme.state, cancelled=0, missing={})
    takedown, _ = found
    pending = [one for one in takedowns.revocations(session, takedown.id) if one.state is RevocationState.PENDING]
    looks = {one: revocation.undo_channel(session, theme_id=theme_id, channel=one.channel, now=now) for one in pending}
    for one, look in looks.items():
        _note_look(session, theme, takedown, one=one, look=look, now=now)
    missing = {one.channel: one.last_problem for one in pending if one.last_problem is not None}
    if not missing:
        _finish(session, theme, takedown, now)
    cancelled = sum(look.cancelled for look in looks.values())
    return Undone(theme_key=theme.key, state=theme.state, cancelled=cancelled, missing=missing)


def themes_to_undo(session: Session) -> Sequence[int]:
    """Ids of the themes that are taken down and not revoked yet."""
    return takedowns.themes_to_undo(session)


def say_correction(session: Session, *, theme_id: int, value: ThemeValue) -> ThemeValue:
    """The theme as its correction speaks, frozen when it was taken down; senders render from it."""
    found = takedowns.of_theme(session, theme_id)
    if found is None or found[0].correction is None:
        raise LookupError(f"theme {value.key!r} has no correction")
    return load_correction(found[0].correction).said_by(value)


def _require_not_taken_down(session: Session, theme: Theme) -> None:
    if found := takedowns.of_theme(session, theme.id):
        takedown, login = found
        raise AlreadyTakenDown(
            key=theme.key, state=theme.state, by=login, at=takedown.taken_down_at, comment=takedown.comment
        )


def _require_accounts(session: Session, theme: Theme, correction: Correction | None) -> None:
    for channel, message in correction.channels.used().items() if correction else ():
        distribution.account_for(session, theme=theme, channel=channel, key=message.account)


def _channels(session: Session, theme: Theme) -> Sequence[Channel]:
    """Those of its content, opened yet or not, and any on which another revision of it was opened."""
    if theme.revision_id is None:
        raise LookupError(f"theme {theme.key!r} is {theme.state} without a revision")
    value = load(themes.revision_by_id(session, theme.revision_id).content)
    return sorted({*value.channels.used(), *takedowns.channels_of(session, theme.id)})


def _details(claimed: str, correction: Correction | None, cancelled: Mapping[Channel, int]) -> dict[str, object]:
    return {
        "claimed": claimed,
        "correction_hash": correction.hash if correction else None,
        "cancelled": {channel.value: count for channel, count in cancelled.items()},
    }


def _note_look(
    session: Session, theme: Theme, takedown: Takedown, *, one: Revocation, look: ChannelLook, now: datetime
) -> None:
    found, missing = look_at(claimable=look.claimable, under_way=look.under_way)
    one.state = LOOKS[one.state, found]
    one.tries, one.last_tried_at, one.last_problem = one.tries + 1, now, missing or None
    one.cancelled += look.cancelled
    if one.state is RevocationState.DONE:
        one.done_at = now
        _channel_is_undone(session, theme, takedown, one, now)
    elif now - takedown.taken_down_at >= ALERT_AFTER:
        alerts.raise_alert(
            session,
            key=_alert_key(theme, one.channel),
            subject="a takedown is not done yet",
            text=f"theme {theme.key!r} on {one.channel}, looked at {one.tries} times: {missing}",
            now=now,
            theme_key=theme.key,
        )


def _channel_is_undone(session: Session, theme: Theme, takedown: Takedown, one: Revocation, now: datetime) -> None:
    """Nothing more leaves, so that the correction to whoever was reached can be planned."""
    # Counted, for the sweep may have cancelled some of them as well.
    one.cancelled = takedowns.count_cancelled(session, theme_id=theme.id, channel=one.channel)
    told = _open_correction(session, theme, takedown, one.channel, now)
    outcome = f"taken down, {one.cancelled} cancelled"
    for step in ("plan", "send"):
        steps.finish_step(session, theme_id=theme.id, name=f"{step} · {one.channel}", now=now, outcome=outcome)
    details = {"cancelled": one.cancelled, "tries": one.tries, "corrections": told}
    act = Act(
        act="revoke_channel",
        actor=UNDOER,
        object_kind="theme",
        object_key=theme.key,
        theme_key=theme.key,
        details={"channel": one.channel.value, **details},
    )
    write_down(session, act, now=now)


def _open_correction(session: Session, theme: Theme, takedown: Takedown, channel: Channel, now: datetime) -> int:
    correction = load_correction(takedown.correction) if takedown.correction is not None else None
    message = correction.channels.used().get(channel) if correction else None
    if message is None:
        return 0
    steps.begin_step(session, theme_id=theme.id, name=f"correct · {channel}", now=now)
    return revocation.open_correction(session, theme=theme, channel=channel, account=message.account, now=now)


def _finish(session: Session, theme: Theme, takedown: Takedown, now: datetime) -> None:
    takedown.done_at = now
    done = takedowns.revocations(session, takedown.id)
    details = {"cancelled": {one.channel.value: one.cancelled for one in done}}
    move_theme(session, theme, Move.REVOKE_DONE, actor=UNDOER, now=now, details=details)
    late = [_alert_key(theme, one.channel) for one in done]
    takedowns.forget_alerts(session, [*late, trouble_key(theme.id)])


def trouble_key(theme_id: int) -> str:
    """Of the alert that a theme cannot be undone; it goes when the theme is."""
    return f"takedown:{theme_id}"


def _alert_key(theme: Theme, channel: Channel) -> str:
    return f"takedown:{theme.key}:{channel}"
