"""The units of lines in runs of those that cost the same: a thousand pieces of a line are two runs, and never more.

A run is the price of each, their line, and how many they are: a plain tuple, for a search goes through very many.
"""

from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter

from offers.effect import Bundle, Cheapest, Target

Run = tuple[int, int, int]
_PRICE, _PRICE_AND_LINE = itemgetter(0), itemgetter(0, 1)


def dearest_first(lines: Iterable[tuple[int, int]]) -> list[Run]:
    """Of lines by amount and number of units; of the same price the earlier line comes first."""
    runs = []
    for at, (amount, many) in enumerate(lines):
        each, dearer = divmod(amount, many)
        if dearer:
            runs.append((each + 1, at, dearer))
        runs.append((each, at, many - dearer))
    runs.sort(key=_PRICE, reverse=True)
    return runs


def cheaper(effect: Cheapest, runs: Sequence[Run]) -> Iterator[Run]:
    """Those of the units, the dearest first, that it makes cheaper."""
    groups = sum([many for _, _, many in runs]) // effect.group
    most = groups * effect.n if effect.most is None else min(groups * effect.n, effect.most)
    if effect.target is Target.EACH_GROUP:
        return _last_of_groups(effect, runs, groups * effect.group, most)
    return _first(sorted(runs, key=_PRICE_AND_LINE) if effect.target is Target.CHEAPEST else runs, most)


def _first(runs: Iterable[Run], most: int) -> Iterator[Run]:
    for price, at, many in runs:
        if many >= most:
            yield price, at, most
            return
        yield price, at, many
        most -= many


def _last_of_groups(effect: Cheapest, runs: Iterable[Run], grouped: int, most: int) -> Iterator[Run]:
    """Of the first `grouped` units the last ones of each group."""
    spared, place, taken = effect.group - effect.n, 0, 0
    for price, at, many in runs:
        place = min(place + many, grouped)
        full, rest = divmod(place, effect.group)
        so_far = min(most, full * effect.n + max(0, rest - spared))
        if so_far > taken:
            yield price, at, so_far - taken
        taken = so_far


def bundles(effect: Bundle, runs: Iterable[Run]) -> Iterator[tuple[int, int, Sequence[Run]]]:
    """How many bundles are the same, what one saves, and its units; a bundle that saves nothing is none."""
    size, cost, repeat = effect.qty, effect.price, effect.repeat
    bundle: list[Run] = []
    lacking, amount = size, 0
    for price, at, left in runs:
        while left >= lacking:  # the run fills a bundle up
            times = left // size if lacking == size else 1
            amount += price * lacking
            if amount <= cost:
                return  # those that follow are cheaper still
            bundle.append((price, at, lacking))
            yield (times if repeat else 1), amount - cost, bundle
            if not repeat:
                return
            left -= times * lacking  # noqa: PLW2901 - what is left of the run
            bundle, lacking, amount = [], size, 0
        if left:
            bundle.append((price, at, left))
            lacking -= left
            amount += price * left
