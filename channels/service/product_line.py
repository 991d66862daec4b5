"""What is tracked of a product line's letters."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from channels.errors import ProductLineUnknown
from models.product_line import ProductLine
from models.queries import product_lines, themes


@dataclass(frozen=True, slots=True, kw_only=True)
class LineTracking:
    """Whether the letters of a product line tell that they were opened, and which of their links were followed."""

    key: str
    name: str
    opens: bool
    clicks: bool


def trackings(session: Session) -> Sequence[LineTracking]:
    return [_of(line) for line in product_lines.all_of_them(session)]


def set_tracking(session: Session, *, key: str, opens: bool | None = None, clicks: bool | None = None) -> LineTracking:
    """Switch what is not None. Letters already on their way keep their links, which lead on and count nothing.

    Raises:
        ProductLineUnknown
    """
    line = product_lines.locked(session, key)
    if line is None:
        raise ProductLineUnknown(key=key, known=themes.product_line_keys(session))
    if opens is not None:
        line.tracks_opens = opens
    if clicks is not None:
        line.tracks_clicks = clicks
    session.flush()
    return _of(line)


def _of(line: ProductLine) -> LineTracking:
    return LineTracking(key=line.key, name=line.name, opens=line.tracks_opens, clicks=line.tracks_clicks)
