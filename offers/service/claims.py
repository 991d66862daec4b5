"""Claims: customers ask for coupons, with a code, for points, or for nothing; many are settled in one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from models.queries import answer_batches
from models.queries.answer_batches import Kept, Taken
from models.queries.claims import Asked
from offers import code as codes
from offers.claim_answer import Settled, answer_of, settled_of
from offers.claim_refusal import ClaimMalformed, ClaimRefusal, ClaimRefused
from offers.claim_rules import Terms, Wish
from offers.preset import ClaimWay
from offers.service.code_names import read_names
from offers.service.giving import Given, give
from offers.service.kept_answers import KeyReused
from offers.service.terms import TermsBook
from offers.states import Source
from themes.theme import RedeemIn

__all__ = ["Claim", "Settled", "settle"]

LONGEST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """`customer` is her external id, `offer` is THEME/OFFER; a code alone says which offer it is for.

    Raises:
        ClaimMalformed: neither offer nor code, or a text that is empty, too long, or nothing that a database keeps.
    """

    key: str
    request_hash: str
    customer: str
    channel: RedeemIn
    offer: str | None = None
    code: str | None = None
    points_receipt: str | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and (problem := _problem_of(value)):
                raise ClaimMalformed(field=name, problem=problem)
        if self.offer is None and self.code is None:
            raise ClaimMalformed(field="offer", problem="is missing, and there is no code that would say which it is")


def _problem_of(text: str) -> str | None:
    if not 0 < len(text) <= LONGEST:
        return f"is empty, or longer than {LONGEST} characters"
    storable = "\x00" not in text and text.encode(errors="ignore").decode() == text
    return None if storable else "contains what no database can keep"


def settle(
    session: Session, claims: Sequence[Claim], *, product_line_id: int, now: datetime, book: TermsBook | None = None
) -> Sequence[Settled]:
    """Answer each, in the order asked, and keep the answers; one that cannot be had leaves the others alone.

    The number of statements does not depend on the number of claims. Earlier claims of a batch come first. The `book`
    spares one of them.
    """
    first = {claim.key: place for place, claim in reversed(list(enumerate(claims)))}
    hashes = {key: claims[place].request_hash for key, place in first.items()}
    customers = {claim.customer for claim in claims}
    taken = answer_batches.take(session, hashes, customers=customers, product_line_id=product_line_id, now=now)
    places = sorted(first[key] for key in taken.keys)
    new = [claims[at] for at in places]
    known = _look_up(session, new, taken, book or TermsBook(), product_line_id=product_line_id)
    settled = dict(zip(places, _settle(session, new, known, now), strict=True))
    answers = {claims[place].key: answer_of(one) for place, one in settled.items()}
    kept = {key: Kept(hashes[key], answer) for key, answer in answers.items()}
    if answers:
        answer_batches.keep(session, answers, product_line_id=product_line_id)
    if before := first.keys() - taken.keys:
        kept |= answer_batches.find(session, before, product_line_id=product_line_id)
    return [settled.get(place) or _again(claim, kept[claim.key]) for place, claim in enumerate(claims)]


def _again(claim: Claim, kept: Kept) -> Settled:
    """What its key was answered before; that of another request, a claim or not, is of no use to it."""
    if kept.answer is None or kept.request_hash != claim.request_hash:
        return Settled(refusal=KeyReused(key=claim.key))
    return settled_of(kept.answer)


def _settle(session: Session, claims: Sequence[Claim], known: "_Known", now: datetime) -> Sequence[Settled]:
    """Of claims whose keys are new."""
    wishes = [_wish(claim, known) for claim in claims]
    given = iter(give(session, [wish for wish in wishes if isinstance(wish, Wish)], now=now))
    return [_settled(next(given) if isinstance(wish, Wish) else wish) for wish in wishes]


def _settled(given: Given) -> Settled:
    return Settled(refusal=given) if isinstance(given, ClaimRefused) else Settled(coupons=tuple(given))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    customers: Mapping[str, int]
    coded: Mapping[str, str]  # of codes as they are folded, the offers that they are for
    asked: Asked


def _look_up(
    session: Session, claims: Sequence[Claim], taken: Taken, book: TermsBook, *, product_line_id: int
) -> _Known:
    """What the claims name, whatever becomes of them: one statement for offers that are not known, two for codes."""
    typed = [claim.code for claim in claims if claim.code]
    coded = read_names(session, typed, product_line_id=product_line_id).offers
    names = {claim.offer for claim in claims if claim.offer} | set(coded.values())
    asked = book.asked(session, names, product_line_id=product_line_id, version=taken.version)
    return _Known(customers=taken.customers, coded=coded, asked=asked)


def _wish(claim: Claim, known: _Known) -> Wish | ClaimRefused:
    """What the claim comes to, before anything is counted."""
    of_code = known.coded.get(codes.folded(claim.code)) if claim.code else None
    if claim.code and (of_code is None or claim.offer not in {None, of_code}):
        return ClaimRefused(why=ClaimRefusal.CODE_UNKNOWN)
    terms = known.asked.offers.get(of_code or claim.offer or "")
    if terms is None:
        return ClaimRefused(why=ClaimRefusal.OFFER_UNKNOWN)
    if (why := _why_never(claim, terms)) is not None:
        return ClaimRefused(why=why, offer=terms.name, points=terms.points)
    customer_id = known.customers.get(claim.customer)
    if customer_id is None:
        return ClaimRefused(why=ClaimRefusal.CUSTOMER_UNKNOWN)
    return Wish(
        offers=(terms, *known.asked.inside.get(terms.id, ())),
        customer_id=customer_id,
        channel=claim.channel.value,
        source=_source(claim, terms),
        code=codes.number_of(claim.code) if claim.code else None,
        points_receipt=claim.points_receipt if terms.claim_way is ClaimWay.POINTS else None,
    )


def _why_never(claim: Claim, terms: Terms) -> ClaimRefusal | None:
    """What no time and no count would change."""
    if terms.claim_way in {None, ClaimWay.ORDER}:
        return ClaimRefusal.NOT_CLAIMABLE
    if terms.claim_way is ClaimWay.CODE and claim.code is None:
        return ClaimRefusal.CODE_NEEDED
    if terms.claim_way is ClaimWay.POINTS and claim.points_receipt is None:
        return ClaimRefusal.POINTS_MISSING
    return None


def _source(claim: Claim, terms: Terms) -> Source:
    if terms.is_package:
        return Source.PACKAGE
    if terms.claim_way is ClaimWay.POINTS:
        return Source.POINTS
    return Source.CODE if claim.code else Source.CLAIM
