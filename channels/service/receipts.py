"""What providers say of messages: kept as soon as it comes, then joined to its delivery."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from channels.callbacks import SubscriptionWord
from channels.message import Receipt
from channels.receipts import (
    Calls,
    Standing,
    Word,
    is_of_last_call,
    look_again_at,
    opts_out,
    standing_after,
    suppresses,
)
from channels.states import DeliveryState
from models.queries import limits, subscriptions
from models.queries import receipts as rows
from models.queries.receipts import Blocked, CallsOf, Held, Moved
from models.receipt import ReceiptRow

#: What a suppression or a withdrawn consent is said to come from.
SOURCE = "receipt"
BATCH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What one callback brought. What was known already is not kept again."""

    new: int
    known: int


def store(session: Session, *, account_id: int, receipts: Sequence[Receipt], now: datetime) -> Stored:
    """Keep receipts, each once. Nothing is done about them yet: `join_waiting` does, so that the caller is answered."""
    if not receipts:
        return Stored(new=0, known=0)
    new = rows.store(session, account_id=account_id, receipts=receipts, now=now)
    return Stored(new=len(new), known=len(receipts) - len(new))


def count_subscriptions(session: Session, *, account_id: int, words: Sequence[SubscriptionWord], now: datetime) -> int:
    """Count what persons of a mini-program agreed to, each word once; returns how many were new."""
    if not words:
        return 0
    new = rows.store_subscriptions(session, account_id=account_id, words=words, now=now)
    for word in sorted(words, key=lambda word: (word.openid, word.template)):
        if word.dedupe not in new:
            continue
        new.discard(word.dedupe)
        change = subscriptions.add if word.accepted else subscriptions.withdraw
        change(session, account_id=account_id, address=word.openid, template=word.template)
    return len(words)


def join_waiting(session: Session, *, now: datetime, limit: int = BATCH) -> int:
    """Join receipts that wait to their deliveries, and do what follows; returns how many were looked at.

    One transaction. Receipts or deliveries that another process holds are left to it, or to the next look. A receipt
    without a delivery, or whose delivery is just being sent, is looked at again when it is twice as old.
    """
    waiting = rows.waiting(session, now=now, limit=limit)
    if not waiting:
        return 0
    matched = rows.match(session, [row.id for row in waiting])
    held = rows.hold(session, set(matched.values()))
    fresh = {row.id: matched[row.id] for row in waiting if matched.get(row.id) in held}
    rows.joined(session, [_look(row, fresh.get(row.id), now) for row in waiting])
    if fresh:
        _settle(session, held, [row for row in waiting if row.id in fresh], fresh, now)
    return len(waiting)


def _look(row: ReceiptRow, delivery_id: UUID | None, now: datetime) -> tuple[int, UUID | None, datetime | None]:
    again = None if delivery_id is not None else look_again_at(received_at=row.received_at, now=now)
    return row.id, delivery_id, again


def _settle(
    session: Session,
    held: Mapping[UUID, Held],
    fresh: Sequence[ReceiptRow],
    joined: Mapping[int, UUID],
    now: datetime,
) -> None:
    """Move each delivery to where all that was ever said of it leaves it, in whatever order it came."""
    calls = rows.calls(session, [delivery.seq for delivery in held.values()])
    said: dict[UUID, list[ReceiptRow]] = defaultdict(list)
    for row in rows.of_deliveries(session, list(held)):
        if row.delivery_id is not None:
            said[row.delivery_id].append(row)
    moved = [
        move
        for delivery in held.values()
        if (move := _moved(delivery, said[delivery.id], calls.get(delivery.seq))) is not None
    ]
    if moved:
        rows.move(session, moved, now=now)
        failed = [held[move.id].seq for move in moved if _fails(held[move.id], move)]
        limits.give_back(session, seqs=failed)
    _block(session, [(held[joined[row.id]], _word(row)) for row in fresh], now)


def _moved(delivery: Held, said: Sequence[ReceiptRow], calls: CallsOf | None) -> Moved | None:
    before = Standing(
        state=delivery.state,
        error=delivery.error_class,
        code=delivery.error_code,
        provider_message_id=delivery.provider_message_id,
    )
    known = _calls(delivery, calls)
    after = standing_after(before, [_word(row, delivery, known) for row in said])
    if after is None or after == before:
        return None
    return Moved(delivery.id, after.state, after.error, after.code, after.provider_message_id)


def _calls(delivery: Held, calls: CallsOf | None) -> Calls:
    began = [
        moment for moment in (calls.last_began_at if calls else None, delivery.call_began_at) if moment is not None
    ]
    return Calls(message_ids=calls.message_ids if calls else frozenset(), last_began_at=max(began) if began else None)


def _word(row: ReceiptRow, delivery: Held | None = None, calls: Calls | None = None) -> Word:
    word = Word(
        kind=row.kind,
        occurred_at=row.occurred_at,
        dedupe=row.dedupe,
        error=row.error_class,
        code=row.code,
        provider_message_id=row.provider_message_id,
    )
    if delivery is None or calls is None:
        return word
    of_last = is_of_last_call(word, state=delivery.state, message_id=delivery.provider_message_id, calls=calls)
    return replace(word, of_last_call=of_last)


def _fails(before: Held, after: Moved) -> bool:
    return after.state is DeliveryState.FAILED and before.state is not DeliveryState.FAILED


def _block(session: Session, words: Sequence[tuple[Held, Word]], now: datetime) -> None:
    """Addresses that must not be written to any more, and people who have said so."""
    blocked = [
        Blocked(delivery.product_line_id, delivery.channel, delivery.address, reason)
        for delivery, word in words
        if (reason := suppresses(word)) is not None
    ]
    if blocked:
        rows.suppress(session, blocked, source=SOURCE, now=now)
    leavers = [(delivery.customer_id, delivery.channel) for delivery, word in words if opts_out(word)]
    if leavers:
        rows.opt_out(session, leavers, source=SOURCE, now=now)
