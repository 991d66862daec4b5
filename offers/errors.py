"""What stands against an act on an offer. The class is the fact; its text is the message."""

from collections.abc import Sequence

from documents.problem import Problem, did_you_mean, listed


class OfferError(Exception):
    """An offer could not do what was asked."""


class LadderFalls(OfferError, ValueError):
    """A higher step of a ladder gives less than a lower one."""

    def __init__(self, *, lower: int, higher: int) -> None:
        self.lower, self.higher = lower, higher
        super().__init__(
            f"the step at {higher} gives less than the one at {lower}, or comes before it: steps rise, and all of a"
            " ladder are amounts, or all are shares"
        )


class SequenceUnknown(OfferError, ValueError):
    """A sequence has to name stages, or offers that are there."""

    def __init__(self, *, names: Sequence[str]) -> None:
        self.names = names
        super().__init__(
            f"the sequence names {', '.join(names)}: it has to be all stages (price, item, activity, coupon, freight,"
            " gift), or all ids of offers"
        )


class ForcedUnknown(OfferError, ValueError):
    """An offer that the customer ticked is not among those that there are."""

    def __init__(self, *, rule_id: str) -> None:
        self.rule_id = rule_id
        super().__init__(f"the offer {rule_id!r} is to be used, but it is not among the offers")


class ForcedExcluded(OfferError, ValueError):
    """Two offers that the customer ticked may not take effect together."""

    def __init__(self, *, pair: tuple[str, str]) -> None:
        self.pair = pair
        super().__init__(f"{pair[0]!r} and {pair[1]!r} may not take effect together: leave one of them out")


class QuoteInvalid(OfferError, ValueError):
    """A quote document has problems; all that could be seen at once are in `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = "the quote document has a problem" if count == 1 else f"the quote document has {count} problems"
        super().__init__("\n".join([f"{head}:", *(f"  {problem}" for problem in self.problems)]))


class LineUnknown(OfferError, ValueError):
    """Something is returned of a line that the cart does not have."""

    def __init__(self, *, line: int, lines: int) -> None:
        self.line, self.lines = line, lines
        super().__init__(f"there is no line {line} to return from: the cart has the lines 0 to {lines - 1}")


class ReturnTooLarge(OfferError, ValueError):
    """More units are returned than there are left, or none."""

    def __init__(self, *, line: int, returned: int, left: int) -> None:
        self.line, self.returned, self.left = line, returned, left
        super().__init__(f"{returned} units of line {line} cannot be returned: at least 1, at most the {left} left")


class StepOfNothing(OfferError, ValueError):
    """So much for every nothing would be without end."""

    def __init__(self) -> None:
        super().__init__("an amount for every step that is spent needs a step of more than nothing")


class PresetsInvalid(OfferError, ValueError):
    """A file of rule presets has problems; all that could be seen at once are in `problems`."""

    def __init__(self, *, where: str, problems: Sequence[Problem]) -> None:
        self.where, self.problems = where, tuple(problems)
        super().__init__("\n".join([f"{where} cannot be used as it is:", *(f"  {one}" for one in self.problems)]))


class PresetVersionTaken(OfferError, ValueError):
    """A version of a preset never changes: what offers were approved with has to stay."""

    def __init__(self, *, preset: str, version: int, differs: Sequence[str], free: int) -> None:
        self.preset, self.version, self.differs = preset, version, tuple(differs)
        super().__init__(
            f"version {version} of preset {preset!r} is there already and says otherwise ({', '.join(differs)}):"
            f" give the changed preset version {free}"
        )


class PresetUnknown(OfferError, ValueError):
    """There is no preset of that name, or not in that version."""

    def __init__(self, *, preset: str, version: int | None, known: Sequence[str]) -> None:
        self.preset, self.version, self.known = preset, version, tuple(known)
        which = f"preset {preset!r}" if version is None else f"version {version} of preset {preset!r}"
        super().__init__(f"there is no {which}{did_you_mean(preset, known)}; there are {listed(known)}")


class ProductsInvalid(OfferError, ValueError):
    """A file of products has problems; the first of them are in `problems`."""

    def __init__(self, *, where: str, problems: Sequence[str]) -> None:
        self.where, self.problems = where, tuple(problems)
        super().__init__("\n".join([f"{where} cannot be used as it is:", *(f"  {one}" for one in self.problems)]))


class ProductLineUnknown(OfferError):
    """Products belong to a product line."""

    def __init__(self, *, key: str, known: Sequence[str]) -> None:
        self.key, self.known = key, tuple(known)
        super().__init__(f"there is no product line {key!r}{did_you_mean(key, known)}; there are {listed(known)}")
