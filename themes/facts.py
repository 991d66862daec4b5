"""What a policy's conditions can ask of a theme, as far as it is known when a round opens."""

from datetime import timedelta
from decimal import Decimal

from approval.condition import Facts
from themes.theme import Theme

DAY = timedelta(days=1)
HUNDREDTH = Decimal("0.01")


def facts_of(theme: Theme, *, audience_size: int | None = None) -> Facts:
    """The facts of a theme. What needs prices (worst margin, deepest discount …) stays None: never a guess."""
    return Facts(
        budget=theme.budget.decimal,
        audience_size=audience_size,
        channels=tuple(channel.value for channel in theme.channels.used()),
        offer_kinds=tuple(sorted({offer.preset for offer in theme.offers()})),
        window_days=_days(theme.window.ends_at - theme.window.starts_at),
        product_line=theme.product_line,
    )


def _days(length: timedelta) -> Decimal:
    seconds = length // timedelta(seconds=1)
    return (Decimal(seconds) / (DAY // timedelta(seconds=1))).quantize(HUNDREDTH)
