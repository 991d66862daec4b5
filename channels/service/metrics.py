"""The figures of an installation, as one snapshot."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from channels.service.account_report import AccountState, state_of
from channels.states import Channel, DeliveryState, ErrorClass
from models.queries import metrics, provider_accounts
from themes.lifecycle import ThemeState

#: An alert counts for so long after its fact was last seen.
ALERTS_WITHIN = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFigures:
    account: str
    channel: Channel
    provider: str
    state: AccountState
    accepted: int  # calls, since the account was added
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    deliveries: Mapping[tuple[Channel, DeliveryState, ErrorClass | None], int]  # under way, or of live themes
    accounts: Sequence[AccountFigures]
    senders: Mapping[Channel, int]  # alive
    overdue: Mapping[Channel, timedelta]  # how long the oldest retry has been due
    waiting_receipts: int
    themes: Mapping[ThemeState, int]
    alerts: int


def figures(session: Session, *, now: datetime) -> Figures:
    return Figures(
        deliveries={(row[0], row[1], row[2]): int(row[3]) for row in metrics.deliveries(session)},
        accounts=_accounts(session, now),
        senders={row[0]: row[1] for row in metrics.senders(session, now=now)},
        overdue={row[0]: now - row[1] for row in metrics.oldest_due(session, now=now)},
        waiting_receipts=metrics.waiting_receipts(session),
        themes={row[0]: row[1] for row in metrics.themes(session)},
        alerts=metrics.alerts(session, since=now - ALERTS_WITHIN),
    )


def _accounts(session: Session, now: datetime) -> Sequence[AccountFigures]:
    states = {account.key: state_of(account, now) for account in provider_accounts.accounts(session)}
    return [
        AccountFigures(
            account=key,
            channel=channel,
            provider=provider,
            state=states[key],
            accepted=int(accepted),
            refused=int(refused),
        )
        for key, channel, provider, accepted, refused in metrics.calls(session)
    ]
