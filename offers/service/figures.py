"""What came of a theme's offers, beside the goals that were set when it was drafted."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from models.queries import offer_figures, themes
from models.queries.offer_figures import OrderFigures
from models.theme import Theme
from offers.preset import OfferKind
from offers.states import Closed
from themes import money
from themes.notation import Money
from themes.revision import load


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferLine:
    """One live offer: its counters beside their limits, and the orders that used it. Money in minor units."""

    offer: str
    kind: OfferKind
    closed: Closed | None
    claimed: int | None  # None: an activity
    used: int
    total: int | None
    spent: int
    budget: int | None
    orders: OrderFigures


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """None: there is no goal, or nobody counts it."""

    name: str
    goal: str | None
    reached: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    theme: str
    currency: str
    offers: Sequence[OfferLine]
    orders: OrderFigures  # each order once, however many offers it used
    goals: Sequence[Goal]


def figures_of(session: Session, theme: Theme) -> Figures:
    """Of the offers that were launched; empty before."""
    content = theme.draft if theme.revision_id is None else themes.revision_by_id(session, theme.revision_id).content
    value = load(content)
    by_offer = offer_figures.orders_by_offer(session, theme.id)
    lines = [
        OfferLine(
            offer=one.offer,
            kind=one.kind,
            closed=one.closed,
            claimed=one.claimed if one.kind is OfferKind.COUPON else None,
            used=one.used,
            total=one.total,
            spent=one.spent_minor,
            budget=one.budget_minor,
            orders=by_offer.get(one.offer, OrderFigures()),
        )
        for one in offer_figures.of_theme(session, theme.id)
    ]
    claims, orders = offer_figures.coupons_claimed(session, theme.id), offer_figures.orders_of(session, theme.id)
    reached = _reached(lines, orders, claims, value.currency)
    goals = [Goal(name=name, goal=_told(goal), reached=reached.get(name)) for name, goal in value.goals]
    return Figures(theme=theme.key, currency=value.currency, offers=lines, orders=orders, goals=goals)


def _reached(lines: Sequence[OfferLine], orders: OrderFigures, claims: int, currency: str) -> dict[str, str]:
    """By the names of the goals. Nobody counts shares."""
    amounts = {
        "gmv": orders.gmv,
        "profit": orders.profit if orders.orders else 0,
        "discount": sum(line.spent for line in lines),
    }
    counts = {
        "orders": orders.orders,
        "new_customers": orders.new_customers,
        "claims": claims,
        "uses": sum(line.used for line in lines),
    }
    told = {name: money.in_words(amount, currency) for name, amount in amounts.items() if amount is not None}
    return told | {name: str(count) for name, count in counts.items()}


def _told(goal: Money | int | None) -> str | None:
    return None if goal is None else str(goal)
