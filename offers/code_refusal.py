"""What stands against making codes. No error repeats a code."""

from collections.abc import Sequence

from documents.problem import did_you_mean, listed
from offers.code import LONGEST_SHARED
from offers.errors import OfferError


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
        has, other = ("one code for all", "generate") if shared else ("one code for each person", "share")
        super().__init__(f"coupon {offer!r} has {has}: `themeline codes {other}` is not for it")


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


class NoCodes(OfferError):
    """A coupon has no codes of its own."""

    def __init__(self, *, theme: str, offer: str, known: Sequence[str]) -> None:
        self.theme, self.offer, self.known = theme, offer, tuple(known)
        having = f"; {listed(known)} of this theme have" if known else ""
        super().__init__(
            f"{theme}/{offer} has no codes for single persons{having}: make them with `themeline codes generate`"
        )
