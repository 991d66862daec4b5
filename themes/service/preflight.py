"""Looking ahead, before anything is asked or sent: how many would be reached, and whom a message would fail for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select
from sqlalchemy.orm import Session

from audience.segments import segments_named
from channels.states import Channel
from models.queries import reach
from models.queries.segments import audience_select
from models.theme import Theme
from themes.recipient import NULLABLE, recipient, sample
from themes.theme import Theme as ThemeValue
from themes.variables import required_variables


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """Counts are of distinct addresses; `lacking` is channel -> variable -> the recipients without it."""

    audience: int
    recipients: Mapping[Channel, int]
    lacking: Mapping[str, Mapping[str, Sequence[str]]]

    def as_reach(self) -> dict[str, int]:
        return {"audience": self.audience, **{channel.value: count for channel, count in self.recipients.items()}}


def audience_of(theme: Theme, value: ThemeValue, *, as_of: datetime) -> Select[Any]:
    """Ids of the customers whom a theme is for."""
    return audience_select(
        include=segments_named(value.audience.include),
        exclude=segments_named(value.audience.exclude),
        product_line_id=theme.product_line_id,
        as_of=as_of,
    )


def preflight(session: Session, *, theme: Theme, value: ThemeValue, now: datetime) -> Preflight:
    audience = audience_of(theme, value, as_of=now)
    used = list(value.channels.used())
    counts = {
        channel: reach.recipients(session, audience=audience, channel=channel, product_line_id=theme.product_line_id)
        for channel in used
    }
    lacking = {channel.value: _lacking(session, theme, value, channel, audience) for channel in used}
    return Preflight(
        audience=reach.size(session, audience),
        recipients=counts,
        lacking={channel: variables for channel, variables in lacking.items() if variables},
    )


def _lacking(
    session: Session, theme: Theme, value: ThemeValue, channel: Channel, audience: Select[Any]
) -> dict[str, Sequence[str]]:
    needed = required_variables(value, channel) & NULLABLE.keys()
    found = {
        variable: reach.lacking(
            session,
            audience=audience,
            channel=channel,
            product_line_id=theme.product_line_id,
            column=NULLABLE[variable],
        )
        for variable in sorted(needed)
    }
    return {variable: recipients for variable, recipients in found.items() if recipients}


def sample_recipient(
    session: Session, theme: Theme, value: ThemeValue, *, public_url: str, now: datetime
) -> Mapping[str, Any]:
    """A real recipient where there is one, for previews."""
    audience = audience_of(theme, value, as_of=now)
    for channel in value.channels.used():
        customer = reach.sample_customer(
            session, audience=audience, channel=channel, product_line_id=theme.product_line_id
        )
        if customer is not None:
            return recipient(
                external_id=customer.external_id,
                name=customer.name,
                country=customer.country,
                language=customer.language,
                timezone=customer.timezone,
                theme_key=theme.key,
                public_url=public_url,
                reference="preview",
            )
    return sample(theme_key=theme.key, public_url=public_url)
