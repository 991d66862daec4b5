"""What persons decide about deliveries that did not arrive, or may have."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from sqlalchemy.orm import Session

from approval.service.record import Act, write_down
from channels.service.codes import coupons_of
from channels.service.distribution import theme_by_key
from channels.service.errors import NotInDoubt, NotSentAgain
from channels.states import Channel, DeliveryState, ErrorClass, Purpose
from models.queries import codes_reserved, distributions, retries
from models.queries.codes_reserved import Pools
from models.queries.retries import TAKEN, FailedFilter, Settled
from models.theme import Theme
from themes.revocation import TAKEN_DOWN

#: Why a retry leaves a delivery alone, in the words of its report -> what that means.
LEFT_BECAUSE: Mapping[str, str] = MappingProxyType(
    {
        "theme_over": "the theme has ended or was taken down: a late message is worse than none",
        "theme_not_live": "the theme is neither live nor paused",
        "other_revision": "the theme is live on another revision than the one that this was approved with",
        "offer_over": "an offer of the theme has ended: its message would come too late",
        "channel_cancelled": "a person cancelled the rest of this channel",
        "failed_since": "it failed, or failed again, after this retry was asked for: ask again",
        "receipt_waits": "the provider has reported it as delivered: the report is just being joined to it",
        "suppressed": "the address was suppressed since",
        "no_consent": "the customer withdrew the consent",
        "no_code": "her code was given back when it failed, and the pool has none left: make more, then ask again",
        "unknown": "in doubt: only its replay, the provider's word or a settlement brings it on",
    }
)

#: Who asks, where nobody is named.
FORM = "form:retry-deliveries"


class Settlement(StrEnum):
    MARK_SENT = "mark sent"
    SEND_AGAIN = "send again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which deliveries of a theme a person means; what is None does not matter."""

    channel: Channel | None = None
    error_class: ErrorClass | None = None
    error_code: str | None = None
    since: datetime | None = None
    ids: Sequence[UUID] | None = None

    def told(self) -> dict[str, str]:
        """What was asked for, in words, without what was left open."""
        asked = {
            "channel": self.channel,
            "error_class": self.error_class,
            "error_code": self.error_code,
            "since": self.since and self.since.isoformat(),
            "ids": None if self.ids is None else f"{len(self.ids)} named",
        }
        return {name: str(value) for name, value in asked.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryReport:
    """What a retry took and what it left, per channel; and what else must happen before the taken ones leave."""

    theme_key: str
    dry_run: bool
    asked: Mapping[str, str]  # the filter, in words
    taken: Mapping[Channel, int]
    left: Mapping[Channel, Mapping[str, int]]  # a word of LEFT_BECAUSE -> count
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
    ids: Sequence[UUID] | None = None,
    dry_run: bool = False,
    by: str = FORM,
    asked_at: datetime | None = None,
    flow_run_id: UUID | None = None,
    now: datetime,
) -> RetryReport:
    """Make the failed deliveries that match due now, each once however often this is called, with a fresh budget.

    Whatever has failed again after `asked_at` (now, if not told) is left, so that a retry that is pressed twice, or
    waits for its turn, sends nobody's message a third time. Left alone and counted as well is what LEFT_BECAUSE names.
    Whose code was given back has one reserved anew, or is left.
    Of a theme that was taken down only its correction is retried.

    Raises:
        DeliveryThemeUnknown
    """
    theme = theme_by_key(session, theme_key)
    asked = Wanted(channel=channel, error_class=error_class, error_code=error_code, since=since, ids=ids)
    wanted = _filter(session, theme, asked)
    judged = _judged(session, theme, wanted, dry_run=dry_run, asked_at=asked_at or now, now=now)
    taken = {of_channel: count for (of_channel, why), count in judged.items() if why == TAKEN}
    report = RetryReport(
        theme_key=theme_key,
        dry_run=dry_run,
        asked=asked.told(),
        taken=taken,
        left=_left(judged, retries.count_unknown(session, wanted)),
        held_up=_held_up(session, theme, taken, now),
    )
    if taken and not dry_run:
        _write_down(session, report, by=by, flow_run_id=flow_run_id, now=now)
    return report


def settle_unknown(session: Session, *, ids: Sequence[UUID], settlement: Settlement, by: str, now: datetime) -> int:
    """A person's word on deliveries in doubt: they did arrive, or they go out again. It is kept among the attempts.

    Raises:
        NotInDoubt: one of them is not `unknown` (any more); nothing is changed then.
        NotSentAgain: one is of a theme that was taken down.
    """
    wanted = FailedFilter(distributions=retries.distributions_of_deliveries(session, ids), ids=ids)
    moved = _settle(session, wanted, settlement, by, now)
    if missing := sorted(set(ids) - {one.id for one in moved}):
        raise NotInDoubt(missing)
    return len(moved)


def settle_matching(
    session: Session,
    *,
    theme_key: str,
    channel: Channel | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    settlement: Settlement,
    by: str,
    now: datetime,
) -> int:
    """The same of every delivery of a theme that is in doubt and matches, by when it came into doubt.

    Raises:
        DeliveryThemeUnknown
        NotSentAgain: the theme was taken down.
    """
    theme = theme_by_key(session, theme_key)
    of = retries.distributions_of(session, theme_id=theme.id, channel=channel)
    return len(_settle(session, FailedFilter(distributions=of, since=since, until=until), settlement, by, now))


def count_in_doubt(
    session: Session,
    *,
    theme_key: str,
    channel: Channel | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """How many `settle_matching` would settle. Raises DeliveryThemeUnknown."""
    theme = theme_by_key(session, theme_key)
    of = retries.distributions_of(session, theme_id=theme.id, channel=channel)
    return sum(retries.count_unknown(session, FailedFilter(distributions=of, since=since, until=until)).values())


def _judged(
    session: Session, theme: Theme, wanted: FailedFilter, *, dry_run: bool, asked_at: datetime, now: datetime
) -> Mapping[tuple[Channel, str], int]:
    needed = _codes_needed(session, theme, wanted)
    if not needed:
        counted = retries.judge_failed if dry_run else retries.take_failed
        return counted(session, wanted=wanted, asked_at=asked_at, now=now)
    if not dry_run:
        retries.reserve_codes(session, wanted=wanted, needed=needed, asked_at=asked_at, now=now)
        return retries.take_failed(session, wanted=wanted, needed=needed, asked_at=asked_at, now=now)
    with session.begin_nested() as look:
        retries.reserve_codes(session, wanted=wanted, needed=needed, asked_at=asked_at, now=now)
        judged = retries.judge_failed(session, wanted=wanted, needed=needed, asked_at=asked_at, now=now)
        look.rollback()
    return judged


def _codes_needed(session: Session, theme: Theme, wanted: FailedFilter) -> retries.Needed:
    """Of the distributions whose messages carry single codes: from which pools."""
    if not codes_reserved.has_single(session, theme_id=theme.id):
        return retries.NOBODY_NEEDS
    found: dict[int, Pools] = {}
    for one in wanted.distributions:
        distribution = distributions.by_id(session, one)
        coupons = () if distribution is None else coupons_of(session, distribution)
        pools = codes_reserved.pools(session, theme_id=theme.id, coupons=coupons)
        found |= {one: pools} if pools.single else {}
    return found


def _filter(session: Session, theme: Theme, asked: Wanted) -> FailedFilter:
    return FailedFilter(
        distributions=retries.distributions_of(session, theme_id=theme.id, channel=asked.channel),
        error_class=asked.error_class,
        error_code=asked.error_code,
        since=asked.since,
        ids=asked.ids,
    )


def _left(
    judged: Mapping[tuple[Channel, str], int], unknown: Mapping[Channel, int]
) -> Mapping[Channel, Mapping[str, int]]:
    left: dict[Channel, dict[str, int]] = {}
    for (channel, why), count in judged.items():
        if why != TAKEN:
            left.setdefault(channel, {})[why] = count
    for channel, count in unknown.items():
        left.setdefault(channel, {})["unknown"] = count
    return left


def _held_up(session: Session, theme: Theme, taken: Mapping[Channel, int], now: datetime) -> Mapping[Channel, str]:
    held_up = {}
    purpose = Purpose.CORRECTION if theme.state in TAKEN_DOWN else Purpose.THEME
    for distribution in distributions.of_theme(session, theme.id, purpose=purpose):
        gate = distributions.gate(session, distribution_id=distribution.id, now=now, once_taken_up=True)
        closed = gate.closed_because
        if distribution.channel in taken and closed is not None:
            held_up[distribution.channel] = closed
    return held_up


def _settle(
    session: Session, wanted: FailedFilter, settlement: Settlement, by: str, now: datetime
) -> Sequence[Settled]:
    to_state = DeliveryState.SENT
    if settlement is Settlement.SEND_AGAIN:
        if taken_down := retries.themes_taken_down_of(session, wanted.distributions):
            raise NotSentAgain(taken_down)
        to_state = DeliveryState.RETRYING
    note = f"{settlement} by {by}"
    moved = retries.settle_unknown(session, wanted=wanted, to_state=to_state, note=note, now=now)
    for key, count in sorted(Counter(one.theme_key for one in moved).items()):
        details = {"as": settlement.value, "settled": count}
        act = Act(act="settle", actor=by, object_kind="theme", object_key=key, theme_key=key, details=details)
        write_down(session, act, now=now)
    return moved


def _write_down(session: Session, report: RetryReport, *, by: str, flow_run_id: UUID | None, now: datetime) -> None:
    key = report.theme_key
    details = {
        "asked": dict(report.asked),
        "taken": {channel.value: count for channel, count in report.taken.items()},
        "left": dict(report.left_by_reason),
    }
    act = Act(
        act="retry",
        actor=by,
        object_kind="theme",
        object_key=key,
        theme_key=key,
        flow_run_id=flow_run_id,
        details=details,
    )
    write_down(session, act, now=now)
