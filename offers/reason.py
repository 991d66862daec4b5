"""Why an offer does not apply to a cart, in words that a customer and a checkout can read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Why(StrEnum):
    OUT_OF_SCOPE = "out_of_scope"
    BELOW_AMOUNT = "below_amount"
    BELOW_QTY = "below_qty"
    NO_EFFECT = "no_effect"
    EXCLUDED = "excluded"
    EXCLUSIVE = "exclusive"
    NOT_BEST = "not_best"
    TOO_MANY = "too_many"


_ENGLISH: Mapping[Why, str] = MappingProxyType(
    {
        Why.OUT_OF_SCOPE: "nothing in the cart is in its scope",
        Why.BELOW_AMOUNT: "{found} is spent of the {needed} that it needs",
        Why.BELOW_QTY: "there are {found} pieces of the {needed} that it needs",
        Why.NO_EFFECT: "it takes nothing off",
        Why.EXCLUDED: "it may not take effect beside {others}",
        Why.EXCLUSIVE: "{others} takes effect alone",
        Why.NOT_BEST: "the cart costs no less with it",
        Why.TOO_MANY: "no more than {needed} offers take effect on one cart",
    }
)
_CHINESE: Mapping[Why, str] = MappingProxyType(
    {
        Why.OUT_OF_SCOPE: "购物车中没有适用的商品",
        Why.BELOW_AMOUNT: "需满 {needed}, 目前 {found}",
        Why.BELOW_QTY: "需满 {needed} 件, 目前 {found} 件",
        Why.NO_EFFECT: "没有可减的金额",
        Why.EXCLUDED: "与 {others} 互斥",
        Why.EXCLUSIVE: "{others} 不与其他优惠同享",
        Why.NOT_BEST: "使用此优惠不会更划算",
        Why.TOO_MANY: "每单最多使用 {needed} 个优惠",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """`needed` and `found` are minor units, or pieces; `others` are the offers that stand against it."""

    why: Why
    needed: int | None = None
    found: int | None = None
    others: Sequence[str] = field(default=())

    def in_words(self, language: str = "en") -> str:
        words = (_CHINESE if language == "zh" else _ENGLISH)[self.why]
        joined = ("、" if language == "zh" else ", ").join(self.others)
        return words.format(needed=self.needed, found=self.found, others=joined)
