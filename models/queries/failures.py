# ruff: noqa: S608 - every statement here is put together from constants of this module
"""What failed and what is in doubt, grouped, with the providers' own words; and row by row for an export."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from channels.states import Channel, DeliveryState, ErrorClass
from models.queries.access_paths import by_index
from models.queries.retries import MATCHING, FailedFilter

_WRONG = (DeliveryState.FAILED, DeliveryState.UNKNOWN)

# The words are those of some rows of the group, not of all: a group may have a million. A provider may repeat the
# address in them, which would also make every word its own. The last attempt of a row is ordered by what no index has,
# or the newest attempts of all would be gone through for it.
_GROUPS = text(f"""
    WITH counted AS MATERIALIZED (
        SELECT dl.distribution_id, dl.channel, dl.state, dl.error_class, dl.error_code, count(*) AS count,
               min(dl.changed_at) AS first_at, max(dl.changed_at) AS last_at
        FROM deliveries dl WHERE {MATCHING}
        GROUP BY dl.distribution_id, dl.channel, dl.state, dl.error_class, dl.error_code
    ), told AS (
        SELECT counted.distribution_id, counted.state, counted.error_class, counted.error_code, words.detail,
               count(*) AS times
        FROM counted CROSS JOIN LATERAL (
            SELECT replace(a.detail, dl.address, '…') AS detail
            FROM (
                SELECT dl.seq, dl.address FROM deliveries dl
                WHERE CAST(dl.distribution_id AS bigint) = counted.distribution_id AND dl.state = counted.state
                  AND dl.error_class = counted.error_class AND dl.error_code IS NOT DISTINCT FROM counted.error_code
                LIMIT :looked_at
            ) AS dl CROSS JOIN LATERAL (
                SELECT detail FROM attempts WHERE delivery_seq = dl.seq ORDER BY number DESC, id DESC LIMIT 1
            ) AS a
        ) AS words
        WHERE words.detail <> ''
        GROUP BY counted.distribution_id, counted.state, counted.error_class, counted.error_code, words.detail
    ), most AS (
        SELECT distribution_id, state, error_class, error_code,
               (array_agg(detail ORDER BY times DESC, detail))[1:3] AS words
        FROM told GROUP BY distribution_id, state, error_class, error_code
    )
    SELECT counted.channel, counted.state, counted.error_class, counted.error_code, counted.count, counted.first_at,
           counted.last_at, COALESCE(most.words, '{{}}') AS words
    FROM counted LEFT JOIN most ON most.distribution_id = counted.distribution_id AND most.state = counted.state
        AND most.error_class = counted.error_class AND most.error_code IS NOT DISTINCT FROM counted.error_code
    ORDER BY counted.channel, counted.count DESC, counted.error_class, counted.error_code
""")

_ROWS = text(f"""
    SELECT dl.id, t.key AS theme, dl.channel, dl.purpose, c.external_id AS customer, dl.address, dl.state,
           dl.error_class, dl.error_code, a.detail AS words, p.key AS account, a.request_id, dl.tries,
           a.began_at AS last_tried_at, dl.changed_at
    FROM deliveries dl
    JOIN themes t ON t.id = dl.theme_id
    JOIN customers c ON c.id = dl.customer_id
    LEFT JOIN LATERAL (
        SELECT detail, account_id, request_id, began_at FROM attempts
        WHERE delivery_seq = dl.seq ORDER BY number DESC, id DESC LIMIT 1
    ) AS a ON true
    LEFT JOIN provider_accounts p ON p.id = COALESCE(a.account_id, dl.account_id)
    WHERE {MATCHING}
    ORDER BY dl.distribution_id, dl.error_class, dl.error_code
""")

#: The columns of an export, in their order.
COLUMNS = (
    "id", "theme", "channel", "purpose", "customer", "address", "state", "error_class", "error_code", "words",
    "account", "request_id", "tries", "last_tried_at", "changed_at",
)  # fmt: skip

#: How many rows of each group are asked for their words.
LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Deliveries of one channel that failed, or came into doubt, in one way."""

    channel: Channel
    state: DeliveryState
    error_class: ErrorClass
    error_code: str | None
    count: int
    first_at: datetime
    last_at: datetime
    words: Sequence[str]  # the provider's own, the most frequent first, at most three; addresses left out


class FailureRow(NamedTuple):
    id: UUID
    theme: str
    channel: str
    purpose: str
    customer: str
    address: str
    state: str
    error_class: str
    error_code: str | None
    words: str | None
    account: str | None
    request_id: str | None
    tries: int
    last_tried_at: datetime | None
    changed_at: datetime


def groups(session: Session, wanted: FailedFilter) -> Sequence[FailureGroup]:
    by_index(session)
    values = {**wanted.values(*_WRONG), "looked_at": LOOKED_AT}
    return [
        FailureGroup(Channel(row[0]), DeliveryState(row[1]), ErrorClass(row[2]), *row[3:])
        for row in session.execute(_GROUPS, values)
    ]


def stream(session: Session, wanted: FailedFilter, *, chunk: int = 5_000) -> Iterator[FailureRow]:
    """Row by row from a server-side cursor: an export of any size holds one chunk in memory."""
    by_index(session)
    for row in session.execute(_ROWS, wanted.values(*_WRONG), execution_options={"yield_per": chunk}):
        yield FailureRow(*row)
