"""The file in which ops describe provider accounts; a secret is the name of an environment variable."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from channels.engine import Backoff
from channels.errors import AccountSettingsInvalid
from channels.price import Price, PricedPer
from channels.rate import Counted, RateWindow
from channels.states import Channel
from documents.source import SourceUnreadable, read_mapping


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


#: `rate_per_second` becomes a window of whole seconds, no longer than this.
_LONGEST_RATE_WINDOW = 60


class Window(_Part):
    """So many calls or recipients at most in any stretch of so many seconds."""

    per_seconds: Annotated[int, Field(ge=1, le=31 * 86_400)]
    at_most: Annotated[int, Field(ge=1, le=1_000_000_000)]
    counts: Counted = Counted.CALLS


class Limits(_Part):
    """How the engine uses an account. What is not given follows the provider's documents and the settings."""

    windows: tuple[Window, ...] | None = None  # in place of those that the provider documents; all senders together
    rate_per_second: Annotated[float, Field(ge=1 / _LONGEST_RATE_WINDOW)] | None = None  # besides; counts the same
    concurrency: Annotated[int, Field(ge=1, le=1_024)] | None = None  # calls in flight, per sender
    senders: Annotated[int, Field(ge=1, le=64)] = 1  # of a channel of a theme, at once
    retry_base_seconds: Annotated[float, Field(gt=0)] | None = None
    retry_ceiling_seconds: Annotated[float, Field(gt=0)] | None = None
    retry_budget_seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _windows_fit(self) -> Self:
        lengths = [window.per_seconds for window in self.windows or ()]
        if len(set(lengths)) < len(lengths):
            raise ValueError("two windows are equally long: one of them never matters")
        if len({window.counts for window in self.windows or ()}) > 1:
            raise ValueError("the windows of an account all count the same, calls or recipients")
        return self

    def in_force(self, documented: Sequence[RateWindow]) -> Sequence[RateWindow]:
        """The windows that the account is kept within, the shortest first."""
        given = documented if self.windows is None else [_as_window(window) for window in self.windows]
        counts = given[0].counts if given else Counted.CALLS
        found = {window.per: window for window in given}
        if self.rate_per_second is not None:
            rate = Fraction(self.rate_per_second).limit_denominator(_LONGEST_RATE_WINDOW)
            of_rate = RateWindow(per=timedelta(seconds=rate.denominator), at_most=rate.numerator, counts=counts)
            same = found.get(of_rate.per, of_rate)
            found[of_rate.per] = min(same, of_rate, key=lambda window: window.at_most)
        return sorted(found.values(), key=lambda window: window.per)

    def backoff(self, standard: Backoff) -> Backoff:
        return Backoff(
            base=_seconds(self.retry_base_seconds, standard.base),
            ceiling=_seconds(self.retry_ceiling_seconds, standard.ceiling),
            budget=_seconds(self.retry_budget_seconds, standard.budget),
        )


class NoticeVariable(StrEnum):
    """What a template for notices may be filled with."""

    NAME = "name"  # of the person
    THEME = "theme"  # its key
    SUBJECT = "subject"
    TEXT = "text"
    LINK = "link"


class NoticeTemplate(_Part):
    """The template registered with the provider that carries notices, where it takes no free text."""

    template: Annotated[str, Field(min_length=1)]
    variables: dict[str, NoticeVariable]  # the template's own name -> ours
    sign_name: str | None = None  # in place of the account's own


class PriceEntry(_Part):
    """What a message costs, in whole units of the product line's currency."""

    amount: Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]
    per: PricedPer

    def as_price(self) -> Price:
        return Price(amount=self.amount, per=self.per)


#: A notice is a letter or a text message to somebody who has no device registered with us.
NOTICE_CHANNELS = (Channel.EMAIL, Channel.SMS)


class AccountEntry(_Part):
    account: Annotated[str, Field(min_length=1)]
    product_line: Annotated[str, Field(min_length=1)]
    channel: Channel
    provider: Annotated[str, Field(min_length=1)]
    settings: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)  # name -> environment variable that holds it
    limits: Limits = Limits()
    pool: Annotated[str, Field(min_length=1)] | None = None  # accounts of one name stand in for each other
    weight: Annotated[int, Field(ge=0, le=1_000)] = 1  # its share of the pool; 0: only while no other is open
    price: PriceEntry | None = None
    notices: bool = False  # it carries what the product itself has to tell people, reminders among it
    notice_template: NoticeTemplate | None = None

    @model_validator(mode="after")
    def _pool_fits(self) -> Self:
        if self.pool is None and self.weight != 1:
            raise ValueError("weight is a share of a pool: give the account a `pool`")
        if self.price and self.price.per is PricedPer.SEGMENT and self.channel is not Channel.SMS:
            raise ValueError(f"only sms has segments, not {self.channel}: price it per recipient")
        return self

    @model_validator(mode="after")
    def _notices_fit(self) -> Self:
        if self.notices and self.channel not in NOTICE_CHANNELS:
            raise ValueError(f"notices go by {' and '.join(NOTICE_CHANNELS)}, not by {self.channel}")
        if self.notice_template and not (self.notices and self.channel is Channel.SMS):
            raise ValueError("notice_template is for an account of channel sms with `notices: true`")
        return self


class _File(_Part):
    accounts: Annotated[list[AccountEntry], Field(min_length=1)]

    @model_validator(mode="after")
    def _one_serves_notices(self) -> Self:
        serving: dict[tuple[str, Channel], str] = {}
        for entry in self.accounts:
            place = entry.product_line, entry.channel
            if entry.notices and serving.setdefault(place, entry.account) != entry.account:
                raise ValueError(
                    f"{serving[place]} and {entry.account} both have `notices: true` for {entry.channel} of "
                    f"{entry.product_line}: one account serves them"
                )
        return self


def read_accounts(text: str, *, where: str) -> Sequence[AccountEntry]:
    """Read an account file, those that give up serving notices before those that take it on.

    Raises:
        AccountSettingsInvalid: with every problem; no setting's value is repeated there.
    """
    try:
        raw = read_mapping(text, is_not="an account file: it begins with `accounts:`, a list")
    except SourceUnreadable as unreadable:
        raise AccountSettingsInvalid(account=where, problems=[str(one) for one in unreadable.problems]) from None
    try:
        return sorted(_File.model_validate(raw).accounts, key=lambda entry: entry.notices)
    except ValidationError as invalid:
        problems = [f"{'.'.join(map(str, error['loc'])) or 'the file'}: {error['msg']}" for error in invalid.errors()]
        raise AccountSettingsInvalid(account=where, problems=problems) from None


def secrets_from(entry: AccountEntry, environment: Mapping[str, str]) -> dict[str, str]:
    """The secrets themselves. Raises AccountSettingsInvalid naming the variables that are not set."""
    unset = [
        f"{name}: the environment variable {variable} is not set"
        for name, variable in entry.secrets.items()
        if not environment.get(variable)
    ]
    if unset:
        raise AccountSettingsInvalid(account=entry.account, problems=unset)
    return {name: environment[variable] for name, variable in entry.secrets.items()}


def _as_window(window: Window) -> RateWindow:
    return RateWindow(per=timedelta(seconds=window.per_seconds), at_most=window.at_most, counts=window.counts)


def _seconds(given: float | None, standard: timedelta) -> timedelta:
    return standard if given is None else timedelta(seconds=given)
