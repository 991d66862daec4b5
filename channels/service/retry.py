"""What persons decide about deliveries that did not arrive, or may have."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from channels.service.distribution import theme_by_key
from channels.service.errors import NotInDoubt, NotSentAgain
from channels.states import Channel, DeliveryState, ErrorClass, Purpose
from models.queries import distributions, retries
from models.queries.retries import FailedFilter
from models.theme import Theme
from themes.revocation import TAKEN_DOWN


class Settlement(StrEnum):
    MARK_SENT = "mark sent"
    SEND_AGAIN = "send again"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryReport:
    """What a retry took and what it left, per channel; and what else must happen before the taken ones leave."""

    theme_key: str
    dry_run: bool
    taken: Mapping[Channel, int]
    left: Mapping[Channel, Mapping[str, int]]  # reason -> count
    held_up: Mapping[Channel, str]  # taken, but the channel may not send now, and why

    @property
    def total_taken(self) -> int:
        return sum(self.taken.values())

    @property
    def left_by_reason(self) -> Counter[str]:
        total: Counter[str] = Counter()
        for reasons in self.left.values():
            total.update(reasons)
        return total


def retry_failed(
    session: Session,
    *,
    theme_key: str,
    channel: Channel | None = None,
    error_class: ErrorClass | None = None,
    error_code: str | None = None,
    since: datetime | None = None,
    dry_run: bool = False,
    now: datetime,
) -> RetryReport:
    """Make the failed deliveries that match due now, each once however often this is called, with a fresh budget.

    Left alone, and counted: those of a theme that is over or not live, of another revision than the live one, of
    addresses suppressed since, of customers without consent, and those in doubt (`unknown`), which only their replay or
    a person settles. Of a theme that was taken down only its correction is retried.

    Raises:
        DeliveryThemeUnknown
    """
    theme = theme_by_key(session, theme_key)
    wanted = FailedFilter(
        theme_id=theme.id, channel=channel, error_class=error_class, error_code=error_code, since=since
    )
    judged = retries.judge_failed(session, wanted=wanted, now=now)
    left: dict[Channel, dict[str, int]] = {}
    for (of_channel, why), count in judged.items():
        if why != "taken":
            left.setdefault(of_channel, {})[why] = count
    for of_channel, count in retries.count_unknown(session, wanted).items():
        left.setdefault(of_channel, {})["unknown"] = count
    taken = _would_take(judged) if dry_run else retries.take_failed(session, wanted=wanted, now=now)
    if not dry_run:
        retries.reopen_complete(session, theme_id=theme.id, channels=list(taken))
    return RetryReport(
        theme_key=theme_key, dry_run=dry_run, taken=taken, left=left, held_up=_held_up(session, theme, taken, now)
    )


def settle_unknown(session: Session, *, ids: Sequence[UUID], settlement: Settlement, by: str, now: datetime) -> int:
    """A person's word on deliveries in doubt: they did arrive, or they go out again. It is kept among the attempts.

    Raises:
        NotInDoubt: one of them is not `unknown` (any more); nothing is changed then.
        NotSentAgain: one is of a theme that was taken down.
    """
    values: dict[str, Any] = {"error_class": None, "error_code": None}
    if settlement is Settlement.MARK_SENT:
        values |= {"state": DeliveryState.SENT, "sent_at": now}
    elif taken_down := retries.themes_taken_down_of(session, ids):
        raise NotSentAgain(taken_down)
    else:
        values |= {"state": DeliveryState.RETRYING, "due_at": now, "first_tried_at": None}
    moved, themes = retries.settle_unknown(session, ids=ids, values=values, note=f"{settlement} by {by}", now=now)
    if missing := sorted(set(ids) - set(moved)):
        raise NotInDoubt(missing)
    if settlement is Settlement.SEND_AGAIN:
        for theme_id, channels in themes.items():
            retries.reopen_complete(session, theme_id=theme_id, channels=list(channels))
    return len(moved)


def _would_take(judged: Mapping[tuple[Channel, str], int]) -> Mapping[Channel, int]:
    return {channel: count for (channel, why), count in judged.items() if why == "taken"}


def _held_up(session: Session, theme: Theme, taken: Mapping[Channel, int], now: datetime) -> Mapping[Channel, str]:
    held_up = {}
    purpose = Purpose.CORRECTION if theme.state in TAKEN_DOWN else Purpose.THEME
    for distribution in distributions.of_theme(session, theme.id, purpose=purpose):
        closed = distributions.gate(session, distribution_id=distribution.id, now=now).closed_because
        if distribution.channel in taken and closed is not None:
            held_up[distribution.channel] = closed
    return held_up
