"""One person at several levels of a chain: whom a level need not ask again."""

from collections.abc import Collection, Sequence
from typing import Literal

Dedupe = Literal["none", "consecutive", "all"]


def repeats(dedupe: Dedupe, asked: Collection[str], earlier: Sequence[Collection[str]]) -> frozenset[str]:
    """Who of those asked has approved this chain already. Asked for a level that was reopened, it is not for this.

    `earlier`: who approved at each earlier level of the chain that asked anybody, the oldest first; a level that was
    skipped is not among them, so that the one before it is the preceding one.
    """
    considered = {"none": (), "consecutive": earlier[-1:], "all": earlier}[dedupe]
    return frozenset(asked) & {login for level in considered for login in level}
