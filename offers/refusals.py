"""Why an offer of a launched theme gives nothing to this customer here and now, and what else refuses an order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from offers.errors import OfferError
from offers.reason import Reason


class UseRefusal(StrEnum):
    UNKNOWN = "unknown"  # no such offer, or no coupon of hers
    LOCKED = "locked"
    USED = "used"
    VOID = "void"
    EXPIRED = "expired"
    NOT_YET = "not_yet"
    WRONG_CHANNEL = "wrong_channel"
    PAUSED = "paused"
    OVER = "over"
    TAKEN_DOWN = "taken_down"
    BUDGET_SPENT = "budget_spent"
    SOLD_OUT = "sold_out"
    PERSONAL_LIMIT = "personal_limit"
    DAY_LIMIT = "day_limit"
    PERSONAL_DAY_LIMIT = "personal_day_limit"
    CHANNEL_LIMIT = "channel_limit"
    NOT_NEWCOMER = "not_newcomer"
    NO_CUSTOMER = "no_customer"
    TWICE = "twice"
    NO_EFFECT = "no_effect"
    CODE_UNKNOWN = "code_unknown"
    CODE_TAKEN = "code_taken"


_ENGLISH: Mapping[UseRefusal, str] = MappingProxyType(
    {
        UseRefusal.UNKNOWN: "there is no such offer, or the customer does not hold it",
        UseRefusal.LOCKED: "it is locked for another order",
        UseRefusal.USED: "it was used",
        UseRefusal.VOID: "it was taken back",
        UseRefusal.EXPIRED: "its time has passed",
        UseRefusal.NOT_YET: "its time has not come",
        UseRefusal.WRONG_CHANNEL: "it may not be used in this channel",
        UseRefusal.PAUSED: "it is paused",
        UseRefusal.OVER: "it is over",
        UseRefusal.TAKEN_DOWN: "it was taken down",
        UseRefusal.BUDGET_SPENT: "its budget does not cover what it would take off",
        UseRefusal.SOLD_OUT: "it was used as often as it may be",
        UseRefusal.PERSONAL_LIMIT: "the customer has used it as often as one person may",
        UseRefusal.DAY_LIMIT: "it was used today as often as it may be in one day",
        UseRefusal.PERSONAL_DAY_LIMIT: "the customer has used it today as often as one person may in one day",
        UseRefusal.CHANNEL_LIMIT: "it was used in this channel as often as it may be there",
        UseRefusal.NOT_NEWCOMER: "it is for a first order",
        UseRefusal.NO_CUSTOMER: "it is for customers who are known",
        UseRefusal.TWICE: "an offer is used once in an order",
        UseRefusal.NO_EFFECT: "it takes no effect on this cart",
        UseRefusal.CODE_UNKNOWN: "there is no such code",
        UseRefusal.CODE_TAKEN: "the code was used, or belongs to somebody else",
    }
)
_CHINESE: Mapping[UseRefusal, str] = MappingProxyType(
    {
        UseRefusal.UNKNOWN: "没有此优惠, 或顾客未持有",
        UseRefusal.LOCKED: "已被其他订单锁定",
        UseRefusal.USED: "已使用",
        UseRefusal.VOID: "已作废",
        UseRefusal.EXPIRED: "已过期",
        UseRefusal.NOT_YET: "尚未生效",
        UseRefusal.WRONG_CHANNEL: "不能在此渠道使用",
        UseRefusal.PAUSED: "已暂停",
        UseRefusal.OVER: "已结束",
        UseRefusal.TAKEN_DOWN: "已下架",
        UseRefusal.BUDGET_SPENT: "预算不足",
        UseRefusal.SOLD_OUT: "已用完",
        UseRefusal.PERSONAL_LIMIT: "已达每人使用上限",
        UseRefusal.DAY_LIMIT: "已达今日使用上限",
        UseRefusal.PERSONAL_DAY_LIMIT: "已达每人今日使用上限",
        UseRefusal.CHANNEL_LIMIT: "已达此渠道使用上限",
        UseRefusal.NOT_NEWCOMER: "仅限首单",
        UseRefusal.NO_CUSTOMER: "仅限已识别的顾客",
        UseRefusal.TWICE: "每单限用一次",
        UseRefusal.NO_EFFECT: "对此购物车无效",
        UseRefusal.CODE_UNKNOWN: "没有此优惠码",
        UseRefusal.CODE_TAKEN: "优惠码已使用, 或属于他人",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotUsable:
    """An offer (THEME/OFFER), a held coupon, or a code (its place among those that were typed in), and why not."""

    why: UseRefusal
    offer: str | None = None
    held: int | None = None
    code: int | None = None

    def in_words(self, language: str = "en") -> str:
        return (_CHINESE if language == "zh" else _ENGLISH)[self.why]

    def named(self) -> str:
        """A code is not repeated: it may be somebody's."""
        parts = [
            "" if self.held is None else f"coupon {self.held}",
            "" if self.code is None else f"code number {self.code + 1}",
            "" if self.offer is None else f"offer {self.offer!r}",
        ]
        return ", ".join(filter(None, parts))


class CustomerUnknown(OfferError):
    """Nobody is known by that id."""

    def __init__(self, *, customer: str) -> None:
        self.customer = customer
        super().__init__(f"there is no customer {customer!r} in this product line; leave the id out for a guest")


class OfferUnusable(OfferError):
    """An offer of an order cannot be used: nothing of the order was taken."""

    def __init__(self, problem: NotUsable, *, reason: Reason | None = None) -> None:
        self.problem, self.reason = problem, reason
        self.why, self.offer, self.held, self.code = problem.why, problem.offer, problem.held, problem.code
        told = problem.in_words() if reason is None else reason.in_words()
        super().__init__(f"{problem.named()} cannot be used: {told}; ask for a new quote")


class ExcludedTogether(OfferError):
    """Two offers of an order may not take effect together."""

    def __init__(self, *, pair: tuple[str, str]) -> None:
        self.pair = pair
        super().__init__(f"{pair[0]!r} and {pair[1]!r} may not take effect together: leave one out, and quote again")


class PriceChanged(OfferError):
    """The order costs something else than what the customer was shown. Both are minor units."""

    def __init__(self, *, shown: int, found: int) -> None:
        self.shown, self.found = shown, found
        super().__init__(f"the order costs {found}, not the {shown} that were shown: ask for a new quote")


class OrderTaken(OfferError):
    """An order redeems once."""

    def __init__(self, *, order: str) -> None:
        self.order = order
        super().__init__(f"order {order!r} was redeemed before: a new order needs a number of its own")


class OrderRedeemed(OfferError):
    """What an order brought goes with its redemption, where there is one."""

    def __init__(self, *, order: str) -> None:
        self.order = order
        super().__init__(f"order {order!r} used offers: cancel its redemption, and what it brought goes with it")


class OrderUnknown(OfferError):
    """No order of that number was redeemed."""

    def __init__(self, *, order: str) -> None:
        self.order = order
        super().__init__(f"no order {order!r} was redeemed in this product line")


class AlreadyCancelled(OfferError):
    """A cancelled order is neither cancelled again nor refunded."""

    def __init__(self, *, order: str, at: datetime) -> None:
        self.order, self.at = order, at
        super().__init__(f"order {order!r} was cancelled at {at.isoformat(timespec='seconds')}")


class AlreadyRefunded(OfferError):
    """An order of which something came back is not cancelled as a whole."""

    def __init__(self, *, order: str, refunded: int) -> None:
        self.order, self.refunded = order, refunded
        super().__init__(
            f"{refunded} of order {order!r} were paid back for units that were returned: return the rest likewise"
        )


class RefundTooMuch(OfferError):
    """No more is paid back than was paid."""

    def __init__(self, *, order: str, refund: int) -> None:
        self.order, self.refund = order, refund
        super().__init__(f"{refund} cannot be paid back for order {order!r}: more than is left of what was paid")
