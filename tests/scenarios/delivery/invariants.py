"""What holds at every moment of every scenario, whatever it is about."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from channels.states import MAY_BE_REACHED_STATES, REACHED_STATES, Channel, DeliveryState
from tests.scenarios.delivery.provider import ProviderSide

Counts = Counter[str]
#: Of a row in one of these a provider may have a message; in all others, never more.
_MAY_HAVE = {*MAY_BE_REACHED_STATES, DeliveryState.SENDING}


def broken(
    session: Session, *, provider: ProviderSide, channels: Sequence[Channel], again: Mapping[Channel, Counts]
) -> list[str]:
    """The provider is asked before and after the rows are counted, as senders may be at work.

    `again`: those whom a person sent to again, knowing that they may have it already.
    """
    before = {channel: provider.reached(channel) for channel in channels}
    counted = {channel: _count(session, channel) for channel in channels}
    after = {channel: provider.reached(channel) for channel in channels}
    problems = wrong_sums(session)
    for channel in channels:
        reached, may = counted[channel]
        too_many = before[channel] - (may + again.get(channel, Counter()))
        lost = reached - after[channel]
        problems += [f"{channel}: {who} has {n} messages too many" for who, n in sorted(too_many.items())[:5]]
        problems += [f"{channel}: {who} is counted as reached, {n} too often" for who, n in sorted(lost.items())[:5]]
    return problems


def _count(session: Session, channel: Channel) -> tuple[Counts, Counts]:
    """Address -> rows that count as reached; address -> rows of which the provider may have a message."""
    reached: Counts = Counter()
    may: Counts = Counter()
    rows = session.execute(
        text(
            "SELECT address, state, count(*), count(*) FILTER (WHERE sent_at IS NOT NULL) FROM deliveries"
            " WHERE channel = :channel GROUP BY address, state"
        ),
        {"channel": channel},
    )
    for address, state, count, sent in rows:
        if DeliveryState(state) in REACHED_STATES:
            reached[address] += count
        may[address] += count if DeliveryState(state) in _MAY_HAVE else sent  # sent, and by a receipt it failed
    return reached, may


_WRONG_SUMS = text("""
    SELECT distribution_id, state, coalesce(rows.count, 0), coalesce(kept.count, 0)
    FROM (SELECT distribution_id, state, count(*) AS count FROM deliveries GROUP BY 1, 2) rows
    FULL JOIN (SELECT distribution_id, state, sum(count)::bigint AS count FROM tallies GROUP BY 1, 2) kept
    USING (distribution_id, state)
    WHERE coalesce(rows.count, 0) <> coalesce(kept.count, 0)
""")


def wrong_sums(session: Session) -> list[str]:
    """The counts that people see are kept beside the rows: they are the same, state by state, at the same moment."""
    return [
        f"distribution {distribution_id}: {counted} rows are {state}, and {kept} by the counts that are kept"
        for distribution_id, state, counted, kept in session.execute(_WRONG_SUMS)
    ]
