"""Which of the offers that a cart qualifies for take effect: the best legal set, or one by one in an order.

A set of offers has one price (`offers.pricing`), and some offers exclude each other. The best set is a maximum-weight
independent set whose weights depend on the company, and a larger set can save less: that a set is maximal says nothing.
But an offer never takes more off than its ceiling now (`offers.ceiling`) when others have been there before it. So the
ceilings of one offer in each clique of the exclusions bound all sets that go on from here, and a branch and bound over
the offers in their order of application is exact.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from itertools import combinations
from typing import NamedTuple

from offers.cart import Cart
from offers.errors import ForcedExcluded, ForcedUnknown
from offers.preset import OfferKind
from offers.pricing import Price, Pricer, State, Threshold
from offers.reason import Reason, Why
from offers.rule import Rule, excluded

_NEVER = datetime.max.replace(tzinfo=UTC)


class Mode(StrEnum):
    ALL = "all"  # whatever qualifies, in the order of application
    BEST = "best"
    PRIORITY = "priority"  # exclusive ones first, then by priority


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How far a search goes: so many offers on one cart, the most promising so many of all, so many applied in vain."""

    most: int = 5
    candidates: int = 30
    budget: int = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`optimal`: no legal set saves more. False only where the search for the best was cut short."""

    price: Price
    optimal: bool = True


STANDARD = Bounds()


def choose(
    cart: Cart,
    rules: Sequence[Rule],
    *,
    mode: Mode = Mode.BEST,
    forced: Collection[str] = (),
    bounds: Bounds = STANDARD,
    threshold: Threshold = Threshold.RUNNING,
    sequence: Sequence[str] = (),
) -> Choice:
    """The same whatever the order of the rules.

    Args:
        cart: what is bought.
        rules: all that might take effect; their ids are distinct.
        mode: which of them do. `all` knows no most.
        forced: ids of those that do as far as they can; what they exclude gives way.
        bounds: how far the search goes.
        threshold: as in `offers.pricing`.
        sequence: as in `offers.pricing`.

    Raises:
        ForcedUnknown: no such offer is there.
        ForcedExcluded: two that are forced exclude each other.
    """
    _check_forced(rules, forced)
    pricer = Pricer(cart, rules, threshold=threshold, sequence=sequence)
    if mode is Mode.BEST:
        return _Search(pricer, forced, bounds).choice()
    numbers = list(range(len(rules)))
    if mode is Mode.PRIORITY:
        numbers.sort(key=lambda number: _by_priority(pricer.rules[number]))
    numbers.sort(key=lambda number: pricer.rules[number].id not in forced)
    return Choice(price=_one_by_one(pricer, numbers, most=None if mode is Mode.ALL else bounds.most))


def _check_forced(rules: Sequence[Rule], forced: Collection[str]) -> None:
    by_id = {rule.id: rule for rule in rules}
    for rule_id in sorted(forced):
        if rule_id not in by_id:
            raise ForcedUnknown(rule_id=rule_id)
    for one, other in combinations(sorted(set(forced)), 2):
        if excluded(by_id[one], by_id[other]):
            raise ForcedExcluded(pair=(one, other))


def _by_priority(rule: Rule) -> tuple[object, ...]:
    return not rule.exclusive, -rule.priority, rule.order


def _one_by_one(pricer: Pricer, numbers: Sequence[int], *, most: int | None) -> Price:
    """Each that takes effect beside those before it, and undoes none of them."""
    chosen: list[int] = []
    left_out: dict[str, Reason] = {}
    state = pricer.start()
    for number in numbers:
        rule = pricer.rules[number]
        found = _against(rule, [pricer.rules[one] for one in chosen]) or _beside(pricer, chosen, state, number)
        if isinstance(found, Reason):
            left_out[rule.id] = found
        elif len(chosen) == most:
            left_out[rule.id] = Reason(why=Why.TOO_MANY, needed=most)
        else:
            chosen.append(number)
            state = found
    return replace(pricer.price(chosen), left_out=left_out)


def _beside(pricer: Pricer, chosen: Sequence[int], state: State, number: int) -> State | Reason:
    """The cart with one more than those that were chosen and led to `state`, or why it takes no effect beside them."""
    if not chosen or number > max(chosen):
        return pricer.after(state, number)
    state = pricer.start()
    for one in sorted([*chosen, number]):
        found = pricer.after(state, one)
        if isinstance(found, Reason):
            return found if one == number else Reason(why=Why.NOT_BEST)
        state = found
    return state


def _against(rule: Rule, chosen: Sequence[Rule]) -> Reason | None:
    """What of those that take effect excludes it."""
    others = [other for other in chosen if excluded(rule, other)]
    if not others:
        return None
    alone = rule.exclusive or any(other.exclusive for other in others)
    why = Why.EXCLUSIVE if alone and not rule.exclusive else Why.EXCLUDED
    return Reason(why=why, others=[other.id for other in others])


class _Rank(NamedTuple):
    """How good a set is: the lower the better."""

    worth: int  # minus
    coupons: int
    gift_value: int  # minus
    gifts: int  # minus
    expiries: list[datetime]
    ids: list[str]


class _Branch(NamedTuple):
    """Sets that go on with one more offer."""

    most: int  # that any of them is worth
    number: int
    later: Sequence[int]  # what may follow
    state: State
    worth: int  # of what was chosen before
    chosen: tuple[int, ...]


class _Search:
    """For the best set, over the offers that may take effect, in their order of application.

    A set is worth what it saves, and for each offer of those that are forced more than can be saved at all.
    """

    def __init__(self, pricer: Pricer, forced: Collection[str], bounds: Bounds) -> None:
        self._pricer, self._bounds, self._left = pricer, bounds, bounds.budget
        more = pricer.cart.list_total + pricer.cart.freight + 1
        self._bonus = {number: more for number, rule in enumerate(pricer.rules) if rule.id in forced}
        self._roof = pricer.at_most + more * len(self._bonus)
        self._ceilings = self._most(pricer.start(), range(len(pricer.rules)))
        by_worth = sorted(self._ceilings, key=lambda number: (-self._ceilings[number], number))
        kept, self._cut = by_worth[: bounds.candidates], by_worth[bounds.candidates :]
        self._rivals = _rivals_among(pricer.rules, by_worth)
        self._cliques = _cliques_among(self._rivals)
        self._before = self._find_twins(sorted(kept))
        self._was_cut_short = False
        self._known: dict[tuple[int, ...], State | None] = {(): pricer.start()}
        self._ties: list[_Branch] = []
        self._best = self._greedy(kept)

    def choice(self) -> Choice:
        self._walk(self._pricer.start(), 0, (), tuple(self._before))
        while self._ties and self._left > 0:
            self._follow(self._ties.pop())
        worth, chosen = -self._best[0].worth, self._best[1]
        optimal = not (self._was_cut_short or self._cut_might_be_worth_more(worth))
        price = replace(self._pricer.price(chosen), left_out=self._why_left_out(chosen))
        return Choice(price=price, optimal=optimal)

    def _most(self, state: State, numbers: Iterable[int]) -> dict[int, int]:
        """What each is worth at most, of those that may take effect yet."""
        most = self._pricer.ceilings(state, numbers)
        for number, more in self._bonus.items():
            if number in most:
                most[number] += more
        return most

    def _find_twins(self, numbers: Sequence[int]) -> Mapping[int, int | None]:
        """Each in the order in which the search takes them, with the one that is as good and has to be in before it.

        Neighbours that take the same off and have the same rivals may change places: of so many of them those are taken
        that come first by the order of ties, and no other so many are looked at.
        """
        before: dict[int, int | None] = {}
        run: list[int] = []
        for number in [*numbers, None]:
            if number is not None and all(self._are_twins(one, number) for one in run):
                run.append(number)
                continue
            run.sort(key=self._preferred)
            before |= zip(run, [None, *run], strict=False)
            run = [] if number is None else [number]
        return before

    def _are_twins(self, one: int, other: int) -> bool:
        first, second = self._pricer.rules[one], self._pricer.rules[other]
        return (
            first.kind is second.kind
            and (one in self._bonus) == (other in self._bonus)
            and self._pricer.alike(one, other)
            and self._rivals[one] - {other} == self._rivals[other] - {one}
        )

    def _preferred(self, number: int) -> tuple[datetime, str]:
        rule = self._pricer.rules[number]
        return (rule.expires or _NEVER) if rule.kind is OfferKind.COUPON else _NEVER, rule.id

    def _walk(self, state: State, worth: int, chosen: tuple[int, ...], free: Sequence[int]) -> None:
        """Every set that goes on from here, with some of `free`, and could be the best."""
        self._note(state, worth, chosen)
        slots = self._bounds.most - len(chosen)
        if not slots or not free:
            return
        self._left -= len(free)
        most = self._most(state, free)
        worths = self._clique_worths(most, most)
        if worth + sum(worths[:slots]) < -self._best[0].worth:
            return
        missing = -self._best[0].worth - worth - sum(worths[: slots - 1])
        promising = [number for number, its in most.items() if its >= missing]
        for branch in self._branches(state, worth, chosen, promising, most):
            best = -self._best[0].worth
            if branch.most > best:
                self._follow(branch)
            elif branch.most == best:
                self._ties.append(branch)

    def _branches(
        self, state: State, worth: int, chosen: tuple[int, ...], numbers: Sequence[int], most: Mapping[int, int]
    ) -> Sequence[_Branch]:
        """By the offer that comes next, the most promising first."""
        branches, slots, best = [], self._bounds.most - len(chosen) - 1, -self._best[0].worth
        for place, number in enumerate(numbers, 1):
            if (twin := self._before[number]) is None or twin in chosen:
                rivals, with_it = self._rivals[number], worth + most[number]
                later = [one for one in numbers[place:] if one not in rivals] if slots else []
                worths = self._clique_worths(later, most)
                at_most = min(self._roof, with_it + sum(worths[:slots]))
                if at_most >= best:
                    missing = best - with_it - sum(worths[: slots - 1]) if slots else 0
                    later = [one for one in later if most[one] >= missing]
                    branches.append(_Branch(at_most, number, later, state, worth, chosen))
        return sorted(branches, key=lambda branch: -branch.most)

    def _follow(self, branch: _Branch) -> None:
        if self._left <= 0:
            self._was_cut_short = self._was_cut_short or branch.most > -self._best[0].worth
        elif self._may_be_best(branch):
            chosen = (*branch.chosen, branch.number)
            child = self._after(branch.state, chosen)
            if child is not None:
                worth = branch.worth + child.saved - branch.state.saved + self._bonus.get(branch.number, 0)
                self._walk(child, worth, chosen, branch.later)

    def _may_be_best(self, branch: _Branch) -> bool:
        best = self._best[0]
        return branch.most > -best.worth or (
            branch.most == -best.worth and self._count_coupons((*branch.chosen, branch.number)) <= best.coupons
        )

    def _count_coupons(self, numbers: Iterable[int]) -> int:
        return sum(self._pricer.rules[number].kind is OfferKind.COUPON for number in numbers)

    def _clique_worths(self, numbers: Collection[int], worths: Mapping[int, int]) -> Sequence[int]:
        """What the best of each clique is worth, the most first: no set of so many is worth more than so many."""
        if not numbers:
            return ()
        most: dict[int, int] = {}
        for number in numbers:
            clique, worth = self._cliques[number], worths[number]
            if worth > most.get(clique, 0):
                most[clique] = worth
        return sorted(most.values(), reverse=True)

    def _note(self, state: State, worth: int, chosen: tuple[int, ...]) -> None:
        if worth >= -self._best[0].worth:
            self._best = min(self._best, (self._rank(state, worth, chosen), chosen))

    def _rank(self, state: State, worth: int, chosen: tuple[int, ...]) -> _Rank:
        rules = [self._pricer.rules[number] for number in chosen]
        coupons = [rule for rule in rules if rule.kind is OfferKind.COUPON]
        return _Rank(
            worth=-worth,
            coupons=len(coupons),
            gift_value=-state.gift_value,
            gifts=-state.gifts,
            expiries=sorted(rule.expires or _NEVER for rule in coupons),
            ids=sorted(rule.id for rule in rules),
        )

    def _greedy(self, by_worth: Sequence[int]) -> tuple[_Rank, tuple[int, ...]]:
        """A good set to begin with: those first that may be worth most."""
        chosen: tuple[int, ...] = ()
        state, worth = self._pricer.start(), 0
        for number in by_worth:
            if len(chosen) == self._bounds.most:
                break
            if self._rivals[number].isdisjoint(chosen):
                tried = tuple(sorted((*chosen, number)))
                found = self._state(tried)
                if found is not None and (with_it := found.saved + self._bonus_of(tried)) > worth:
                    chosen, state, worth = tried, found, with_it
        return self._rank(state, worth, chosen), chosen

    def _bonus_of(self, numbers: Iterable[int]) -> int:
        return sum([self._bonus.get(one, 0) for one in numbers]) if self._bonus else 0

    def _state(self, chosen: tuple[int, ...]) -> State | None:
        """None: not all of them take effect."""
        if chosen not in self._known:
            before = self._state(chosen[:-1])
            self._known[chosen] = None if before is None else self._after(before, chosen)
        return self._known[chosen]

    def _after(self, before: State, chosen: tuple[int, ...]) -> State | None:
        """With the last of them, behind the others. What the first look came by is known."""
        if chosen in self._known:
            return self._known[chosen]
        found = self._pricer.after(before, chosen[-1])
        return None if isinstance(found, Reason) else found

    def _cut_might_be_worth_more(self, worth: int) -> bool:
        """Whether a set with an offer that was not even looked at could."""
        everything, slots = self._ceilings, self._bounds.most - 1
        for number in self._cut:
            company = everything.keys() - self._rivals[number] - {number}
            if everything[number] + sum(self._clique_worths(company, everything)[:slots]) > worth:
                return True
        return False

    def _why_left_out(self, chosen: Sequence[int]) -> Mapping[str, Reason]:
        start, rules = self._pricer.start(), self._pricer.rules
        taken, reasons = [rules[number] for number in chosen], {}
        for number, rule in enumerate(rules):
            if number in chosen:
                continue
            reason = _against(rule, taken) if number in self._ceilings else self._pricer.after(start, number)
            reasons[rule.id] = reason if isinstance(reason, Reason) else Reason(why=Why.NOT_BEST)
        return reasons


def _rivals_among(rules: Sequence[Rule], numbers: Iterable[int]) -> Mapping[int, AbstractSet[int]]:
    rivals: dict[int, set[int]] = {number: set() for number in numbers}
    by_id = {rules[number].id: number for number in rivals}
    for one, its in rivals.items():
        rule = rules[one]
        for other in rivals if rule.exclusive else [by_id[name] for name in rule.excludes if name in by_id]:
            if other != one:
                its.add(other)
                rivals[other].add(one)
    return rivals


def _cliques_among(rivals: Mapping[int, AbstractSet[int]]) -> Mapping[int, int]:
    """Of each offer the clique that it stands in: of offers that all exclude each other, a set has one."""
    cliques: list[set[int]] = []
    for number in rivals:
        fitting = next((clique for clique in cliques if clique <= rivals[number]), None)
        if fitting is None:
            cliques.append({number})
        else:
            fitting.add(number)
    return {number: at for at, clique in enumerate(cliques) for number in clique}
