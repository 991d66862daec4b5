"""What stands against making codes. No error repeats a code."""

from collections.abc import Sequence

from documents.problem import did_you_mean, listed
from offers.code import LONGEST_SHARED
from offers.errors import OfferError

_TOLD = 10  # lines that an error names


class CodeSpaceFull(OfferError):
    """So many codes more, and every second one that is made up would be right."""

    def __init__(self, *, asked: int, filled: int, most: int) -> None:
        self.asked, self.filled, self.most = asked, filled, most
        super().__init__(f"{asked} codes more are too many: there are {filled}, and at most {most} keep guesses futile")


class CouponUnknown(OfferError):
    """Codes belong to a coupon of a theme."""

    def __init__(self, *, theme: str, offer: str, known: Sequence[str]) -> None:
        self.theme, self.offer, self.known = theme, offer, tuple(known)
        super().__init__(
            f"theme {theme!r} has no coupon {offer!r} that could have codes{did_you_mean(offer, known)}; it has"
            f" {listed(known)}"
        )


class CodesOfTheOtherSort(OfferError):
    """A coupon has one code for all, or one for each person."""

    def __init__(self, *, offer: str, shared: bool) -> None:
        self.offer, self.shared = offer, shared
        for_all, each = "one code for all", "one for each person"
        has, other = (for_all, each) if shared else (each, for_all)
        super().__init__(f"coupon {offer!r} has {has}, and so not {other}")


class SharedCodeUnfit(OfferError, ValueError):
    """Not everything can be a code that all customers type."""

    def __init__(self, *, offer: str) -> None:
        self.offer = offer
        super().__init__(
            f"this cannot be the code for {offer!r}: take 4 to {LONGEST_SHARED} letters A to Z and digits, and nothing"
            " that looks like the code of one person"
        )


class SharedCodeTaken(OfferError):
    """A code that all type stands for one coupon of a product line."""

    def __init__(self, *, offer: str, theme: str, by: str) -> None:
        self.offer, self.theme, self.by = offer, theme, by
        super().__init__(f"that code, or one that looks like it, is the one for {theme}/{by}: {offer!r} needs another")


class CodesUnfit(OfferError):
    """Codes of a file that cannot be loaded. `problems` are lines and what is wrong with them."""

    def __init__(self, *, problems: Sequence[tuple[int, str]]) -> None:
        self.problems = tuple(problems)
        told = [f"line {line} {what}" for line, what in self.problems[:_TOLD]]
        more = [f"and {len(self.problems) - _TOLD} lines more"] if len(self.problems) > _TOLD else []
        super().__init__(f"no code was loaded: {'; '.join([*told, *more])}")


class FileWithoutCodes(OfferError):
    """A file that holds none, or none that is free."""

    def __init__(self, *, left_out: int) -> None:
        self.left_out = left_out
        super().__init__(
            f"no code was loaded: all {left_out} of the file are somebody's" if left_out else "the file has no codes"
        )


class NoCodes(OfferError):
    """A coupon has no codes of its own."""

    def __init__(self, *, theme: str, offer: str, known: Sequence[str]) -> None:
        self.theme, self.offer, self.known = theme, offer, tuple(known)
        having = f"; {listed(known)} of this theme have" if known else ""
        super().__init__(
            f"{theme}/{offer} has no codes for single persons{having}: make them with `themeline codes generate`, or"
            " take yours with `themeline codes load`"
        )
