"""What a claim came to, as plain JSON: kept with its idempotency key, and read back when it is asked again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from offers.claim_refusal import ClaimRefusal, ClaimRefused
from offers.errors import OfferError
from offers.held import HeldCouponView
from offers.states import HeldState, Source

_TIMES = ("claimed_at", "valid_from", "valid_to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """The coupons of a claim, or why there are none. `again`: it was answered before, and this is that answer."""

    coupons: Sequence[HeldCouponView] = field(default=())
    refusal: OfferError | None = None  # ClaimRefused, which is kept; or KeyReused, which is not
    again: bool = False


def answer_of(settled: Settled) -> dict[str, Any]:
    """`{coupons}` or `{why, facts}`, plain JSON; times in ISO 8601.

    Raises:
        OfferError: a refusal that is no answer of a claim, as that of a key which was used for another request.
    """
    if settled.refusal is None:
        return {"coupons": [_coupon(one) for one in settled.coupons]}
    if not isinstance(settled.refusal, ClaimRefused):
        raise settled.refusal
    told = settled.refusal
    facts = {name: value for name in ("offer", "points") if (value := getattr(told, name)) is not None}
    return {"why": told.why.value, "facts": facts}


def settled_of(answer: Mapping[str, Any]) -> Settled:
    """What was answered before."""
    if "coupons" in answer:
        return Settled(coupons=tuple(_held(one) for one in answer["coupons"]), again=True)
    return Settled(refusal=ClaimRefused(why=ClaimRefusal(answer["why"]), **answer["facts"]), again=True)


def _coupon(held: HeldCouponView) -> dict[str, Any]:
    values = {name: getattr(held, name) for name in HeldCouponView.__slots__}
    return values | {name: values[name].isoformat() for name in _TIMES}


def _held(values: Mapping[str, Any]) -> HeldCouponView:
    times = {name: datetime.fromisoformat(values[name]) for name in _TIMES}
    return HeldCouponView(
        **{**values, **times, "state": HeldState(values["state"]), "source": Source(values["source"])}
    )
