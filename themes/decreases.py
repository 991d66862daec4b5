"""Whether all that changed in an object are decreases of amounts: those that a policy may let its approvals outlive.

They are the theme's budget, and an offer's budget and total. A smaller discount is none: it is another promise to the
customer.
"""

from collections.abc import Mapping
from math import inf
from typing import Any

Content = Mapping[str, Any]


def only_decreases(before: Content, after: Content, *, offer_id: str | None) -> bool:
    """Whether two revisions' contents differ in one object, and by decreases of amounts alone.

    `offer_id` None: the theme itself; its approval is bound to the whole revision, so that every offer counts as well.
    """
    if offer_id is not None:
        return _decreased(before["offers"].get(offer_id), after["offers"].get(offer_id))
    offers, now = before["offers"], after["offers"]
    if _frame(before) != _frame(after) or offers.keys() != now.keys():
        return False
    parts = [(before["theme"], after["theme"]), *((offers[key], now[key]) for key in offers)]
    return before != after and all(was == is_ or _decreased(was, is_) for was, is_ in parts)


def _decreased(before: Content | None, after: Content | None) -> bool:
    if before is None or after is None or before == after:
        return False
    return _rest(before) == _rest(after) and all(_amount(after, name) <= _amount(before, name) for name in _AMOUNTS)


#: A budget is the theme's or an offer's, a total an offer's.
_AMOUNTS = ("budget", "total")


def _rest(part: Content) -> dict[str, Any]:
    """All but the amounts; of money its currency stays."""
    rest = {name: value for name, value in part.items() if name not in _AMOUNTS}
    return {**rest, "currency of the budget": part["budget"]["currency"]} if "budget" in part else rest


def _amount(part: Content, name: str) -> float:
    """An offer without a total, or without a budget, is unlimited."""
    value = part.get(name, inf)
    return float(value["minor"] if isinstance(value, Mapping) else value)


def _frame(content: Content) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in {"theme", "offers"}}
