"""Codes that a customer types in at the checkout: what they stand for, and whether they are hers to use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from models.queries import typed_codes
from offers import code as codes
from offers.candidate import Candidate, InHand, of_code, of_coupon
from offers.live_rule import LiveRule
from offers.refusals import NotUsable, UseRefusal
from offers.service.code_names import read_names
from offers.service.seeing import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedCode:
    """`at` is its place among those that were typed; `offer` is THEME/OFFER, None where there is no such code.

    A code of one person: `owner` is whose message carried it, `held` the coupon that was claimed with it.
    """

    at: int
    offer: str | None = None
    owner: int | None = None
    held: int | None = None


def read_codes(session: Session, typed: Sequence[str], *, product_line_id: int) -> Sequence[TypedCode]:
    names = read_names(session, typed, product_line_id=product_line_id)
    standing = typed_codes.standing(session, names.numbers.values())
    found = []
    for at, text in enumerate(map(codes.folded, typed)):
        owner, held = standing.get(names.numbers.get(text, -1), (None, None))
        found.append(TypedCode(at=at, offer=names.offers.get(text), owner=owner, held=held))
    return found


def candidate_of(seen: Seen, code: TypedCode) -> Candidate | NotUsable:
    """The coupon that she claimed with it before, or the one that it would bring."""
    live = seen.rules.by_name.get(code.offer or "")
    if live is None:
        return NotUsable(why=UseRefusal.CODE_UNKNOWN, code=code.at)
    coupon = _claimed_with(seen, code, live)
    if coupon is not None:
        return replace(of_coupon(live, coupon, seen.buyer), code=code.at)
    if code.held is not None or code.owner not in {None, seen.facts.customer_id}:
        return NotUsable(why=UseRefusal.CODE_TAKEN, code=code.at)
    return of_code(live, code.at, seen.taken(live), seen.buyer)


def _claimed_with(seen: Seen, code: TypedCode, live: LiveRule) -> InHand | None:
    """Of a code for all, any coupon of hers that she can use."""
    for coupon in seen.facts.held:
        if coupon.id == code.held:
            return coupon
        if code.held is None and coupon.offer_id == live.id and coupon.refused(now=seen.buyer.now) is None:
            return coupon
    return None
