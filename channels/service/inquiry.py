"""Settling what is in doubt by asking the provider: which to ask about, and what follows from its answers."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from channels.inquiries import ask_again_at, is_absent, settles
from channels.message import Found, Inquiry
from channels.receipts import as_reference
from channels.states import DeliveryState
from models.delivery import ProviderAccount
from models.queries import inquiries, limits
from models.queries.inquiries import InDoubt, Noted, Settling


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One question, and the provider's answer; None: it did not answer, for the reason that `problem` tells."""

    asked: InDoubt
    found: Found | None
    problem: str = ""


def accounts_to_ask(session: Session) -> Sequence[ProviderAccount]:
    """The accounts over which calls went that are in doubt; whether their providers can be asked is theirs to say."""
    of = inquiries.distributions_in_doubt(session)
    return inquiries.accounts_in_doubt(session, of) if of else ()


def questions(session: Session, *, account_id: int, limit: int, now: datetime) -> Sequence[InDoubt]:
    of = inquiries.distributions_in_doubt(session)
    return inquiries.due(session, distributions=of, account_id=account_id, limit=limit, now=now) if of else ()


def as_inquiry(one: InDoubt) -> Inquiry:
    return Inquiry(delivery_id=one.id, address=one.address, began_at=one.call_began_at)


def take_answers(session: Session, answers: Sequence[Answered], *, now: datetime) -> Mapping[DeliveryState, int]:
    """Settle what the answers settle, and note the others for the next time; returns how many went to which state."""
    known = [one for one in answers if one.found is not None]
    ours = _ours(session, known)
    settling: list[Settling] = []
    noted: list[Noted] = []
    for one in answers:
        asked, some, every = one.asked, *ours.get(one.asked.seq, (False, False))
        state = None if one.found is None else _state(one, some, every, now)
        if state is not None and one.found is not None:
            settling.append(_settling(asked, one.found, state))
        noted.append(_noted(one, some, now))
    if noted:
        inquiries.note(session, noted, now=now)
    moved = inquiries.settle(session, settling, now=now) if settling else ()
    limits.give_back(session, seqs=[seq for seq, state in moved if state is DeliveryState.FAILED])
    return Counter(state for _, state in moved)


def _state(one: Answered, some: bool, every: bool, now: datetime) -> DeliveryState | None:  # noqa: FBT001 - a pair from _ours
    found = one.found
    if found is None:
        return None
    began_at = one.asked.call_began_at
    return settles(found, ours=some, only_ours=every, absent_before=one.asked.absent, began_at=began_at, now=now)


def _ours(session: Session, answers: Sequence[Answered]) -> Mapping[int, tuple[bool, bool]]:
    """Number -> whether something, and whether everything that was found is a message of that delivery."""
    named: list[tuple[int, int, UUID]] = []
    unnamed: list[tuple[int, str, str, str]] = []
    for one in answers:
        found, asked = one.found, one.asked
        if found is None or found.fate is None:
            continue
        references = [as_reference(reference) for reference in found.references]
        named += [(asked.seq, asked.distribution_id, known) for known in references if known is not None]
        if not found.references and found.provider_message_id is not None:
            unnamed.append((asked.seq, asked.address, asked.channel, found.provider_message_id))
    told: dict[int, list[bool]] = defaultdict(list)
    for seq, is_ours in inquiries.references_of(session, named) if named else ():
        told[seq].append(is_ours)
    taken = inquiries.of_others(session, unnamed) if unnamed else frozenset()
    for seq, *_ in unnamed:
        told[seq].append(seq not in taken)
    return {seq: (any(verdicts), all(verdicts)) for seq, verdicts in told.items()}


def _settling(asked: InDoubt, found: Found, state: DeliveryState) -> Settling:
    said = "the provider has no such message" if found.fate is None else f"the provider was asked: {found.fate}"
    if found.fate is not None and state is DeliveryState.RETRYING:
        said = "the provider has only messages of others to this address"
    note = " ".join(part for part in (said, found.code, found.detail) if part)
    message_id = None if state is DeliveryState.RETRYING else found.provider_message_id
    return Settling(asked.id, asked.call_began_at, state, found.code, message_id, note)


def _noted(one: Answered, ours: bool, now: datetime) -> Noted:  # noqa: FBT001 - as above
    asked = one.asked
    if one.found is None:  # no answer is no word against the message
        again = ask_again_at(asked=max(asked.asked, 1), now=now)
        return Noted(asked.seq, asked.call_began_at, asked.asked, asked.absent, again, f"no answer: {one.problem}")
    absent = asked.absent + 1 if is_absent(one.found, ours=ours) else 0
    count = asked.asked + 1
    answer = "no such message" if one.found.fate is None else f"{one.found.fate} {one.found.code}".strip()
    return Noted(asked.seq, asked.call_began_at, count, absent, ask_again_at(asked=count, now=now), answer)
