"""What stands against an act on an offer, as a problem: its class is the type, its facts are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from console.http.api.problems import Json, ProblemJson, problem
from offers import errors, refusals
from offers.claim_refusal import ClaimRefusal, ClaimRefused
from offers.service.kept_answers import KeyReused

CONFLICT, NOT_FOUND = 409, 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    name: str
    status: int = CONFLICT
    facts: Sequence[str] = ()  # attributes of the error


REFUSALS: Mapping[type[errors.OfferError], Told] = MappingProxyType(
    {
        ClaimRefused: Told(name="claim-refused", facts=("offer", "points")),
        KeyReused: Told(name="key-reused"),
        refusals.CustomerUnknown: Told(name="customer-unknown", status=NOT_FOUND),
        refusals.OfferUnusable: Told(name="offer-unusable", facts=("offer", "held", "code")),
        refusals.ExcludedTogether: Told(name="excluded-together", facts=("pair",)),
        refusals.PriceChanged: Told(name="price-changed", facts=("shown", "found")),
        refusals.OrderTaken: Told(name="order-taken"),
        refusals.OrderRedeemed: Told(name="order-redeemed"),
        refusals.OrderUnknown: Told(name="order-unknown", status=NOT_FOUND),
        refusals.AlreadyCancelled: Told(name="already-cancelled", facts=("at",)),
        refusals.AlreadyRefunded: Told(name="already-refunded", facts=("refunded",)),
        refusals.RefundTooMuch: Told(name="refund-too-much", facts=("refund",)),
        errors.LineUnknown: Told(name="line-unknown", facts=("line", "lines")),
        errors.ReturnTooLarge: Told(name="return-too-large", facts=("line", "returned", "left")),
        errors.ForcedExcluded: Told(name="excluded-together", facts=("pair",)),
        errors.ForcedUnknown: Told(name="offer-unusable"),
    }
)
OTHER = Told(name="refused")
_UNKNOWN = frozenset({ClaimRefusal.OFFER_UNKNOWN, ClaimRefusal.CUSTOMER_UNKNOWN, ClaimRefusal.CODE_UNKNOWN})


def refusal(error: errors.OfferError) -> dict[str, Any]:
    told = next((REFUSALS[kind] for kind in type(error).__mro__ if kind in REFUSALS), OTHER)
    facts = {name: getattr(error, name) for name in told.facts}
    why = getattr(error, "why", None)
    status = NOT_FOUND if why in _UNKNOWN else told.status
    return problem(status, told.name, str(error), why=why, **facts)


def refused(error: errors.OfferError) -> Json:
    body = refusal(error)
    return ProblemJson(body, status_code=body["status"])
