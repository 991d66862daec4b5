"""What live offers allow those who claim them, held in memory for as long as it stays the same."""

from collections.abc import Set as AbstractSet

from sqlalchemy.orm import Session

from models.queries import claims as rows
from models.queries.claims import Asked

_NOTHING = Asked(offers={}, inside={})


class TermsBook:
    """One for a process; threads may share it. It reads through whatever session it is handed.

    It holds what never changes of a live offer, and which one a name stands for. Whether that one is closed, and how
    much of it is left, is read of the row that whoever claims has locked.
    """

    def __init__(self) -> None:
        self._lines: dict[int, tuple[int, Asked]] = {}

    def asked(self, session: Session, names: AbstractSet[str], *, product_line_id: int, version: int) -> Asked:
        """The offers of these names, THEME/OFFER, that there are. `version` was read in this transaction."""
        held_at, held = self._lines.get(product_line_id, (version, _NOTHING))
        if held_at != version:
            held = _NOTHING
        missing = names - held.offers.keys()
        if not missing:
            return held
        read = rows.asked_offers(session, missing, product_line_id=product_line_id)
        # Of what comes beside a package a name may mean another revision than whoever claims it alone means.
        offers = {name: terms for name, terms in read.offers.items() if name in missing}
        held = Asked(offers={**held.offers, **offers}, inside={**held.inside, **read.inside})
        self._lines[product_line_id] = version, held
        return held
