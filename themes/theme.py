"""A theme as a value: everything normalised, nothing left to look up."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PlainSerializer, ValidationInfo, field_validator, model_validator

from channels.states import Channel
from documents.problem import did_you_mean, listed
from documents.shape import refuse
from offers.presets import OfferKind
from offers.refund import RefundPolicy
from themes.notation import (
    Amount,
    Category,
    Count,
    Currency,
    Flag,
    Instant,
    Key,
    Line,
    Login,
    Money,
    Notation,
    OfferName,
    Percent,
    Place,
    PolicyName,
    ProductLine,
    Segment,
    Text,
    Value,
    Zone,
)


def _sorted_once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


_Once = AfterValidator(_sorted_once)  # order and repetition mean nothing in these lists
Keys = Annotated[tuple[Key, ...], _Once]


class Period(Value):
    """From an instant, up to but not including another."""

    starts_at: Instant = Field(alias="from")
    ends_at: Instant = Field(alias="to")

    @field_validator("ends_at")
    @classmethod
    def _after_its_start(cls, ends_at: Instant, info: ValidationInfo) -> Instant:
        starts_at = info.data.get("starts_at")
        if starts_at is not None and ends_at <= starts_at:
            raise refuse("is not after its start")
        return ends_at


class Validity(Value):
    """When a coupon may be used: between two instants, or for a number of days from its claim."""

    starts_at: Instant | None = Field(None, alias="from")
    ends_at: Instant | None = Field(None, alias="to")
    days: Count | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        fixed = [self.starts_at, self.ends_at]
        if (self.days is None) == (None in fixed) or (self.days is not None and any(fixed)):
            raise refuse("has to be a period or a number of days", allowed="{from: …, to: …} or {days: …}")
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise refuse("does not end after its start")
        return self


class Items(Value):
    """Goods by what they are, of any of `product`, `category` and `brand`; and where they are sold, by `shop`."""

    product: Keys = ()
    shop: Keys = ()
    category: Annotated[tuple[Category, ...], _Once] = ()
    brand: Keys = ()

    def anything(self) -> bool:
        return bool(self.product or self.shop or self.category or self.brand)


class Scope(Items):
    """What an offer applies to: everything, or what the lists name; less what `except` names."""

    everything: Flag = Field(default=False, alias="all")
    excluded: Items = Field(default_factory=Items, alias="except")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.everything == self.anything():
            raise refuse("has to be everything or a list", allowed="{all: true}, or product, shop, category, brand")
        return self


class RedeemIn(StrEnum):
    APP = "app"
    MINI_PROGRAM = "mini_program"
    WEB = "web"
    STORE = "store"
    POS_BEFORE_PAYMENT = "pos_before_payment"
    POS_AFTER_PAYMENT = "pos_after_payment"


def _by_name(limits: Mapping[RedeemIn, int]) -> dict[str, int]:
    return {channel.value: limits[channel] for channel in sorted(limits)}


PerChannel = Annotated[Mapping[RedeemIn, Count], PlainSerializer(_by_name)]
Step = Mapping[str, Money | Percent | int]
Parameter = Money | Percent | Scope | bool | int | str | tuple[str, ...] | tuple[Step, ...]


class Offer(Value):
    """A coupon or an activity. Parameters are those of its preset; each is of a type that says what it is."""

    kind: OfferKind
    id: Key
    preset: str
    preset_version: int
    parameters: Mapping[str, Parameter]
    name: Line
    description: Text | None = None
    scope: Scope
    total: Count | None = None
    per_customer: Count | None = None
    per_day: Count | None = None  # of all customers together
    per_customer_day: Count | None = None
    per_channel: PerChannel = Field(default_factory=dict)
    budget: Money | None = None  # what it may take off in all, goods and freight; None: as much as comes
    claim: Period | None = None  # an activity is not claimed
    valid: Validity
    redeem_in: Annotated[tuple[RedeemIn, ...], _Once] = ()
    priority: int = 0
    exclusive: bool = False
    only_undiscounted: bool = False
    given_back: bool = True  # whether a cancelled order gives the use back
    refund: RefundPolicy = RefundPolicy.PRORATED


class Goals(Value):
    """What the theme is measured by."""

    gmv: Amount | None = None
    profit: Amount | None = None
    discount: Amount | None = None
    orders: Count | None = None
    new_customers: Count | None = None
    claims: Count | None = None
    uses: Count | None = None
    shares: Count | None = None


class Audience(Value):
    include: Annotated[tuple[Segment, ...], Field(min_length=1), _Once]
    exclude: Annotated[tuple[Segment, ...], _Once] = ()


class Placement(Value):
    """Where the theme's offers show; without times as long as the theme is live."""

    place: Place
    starts_at: Instant | None = Field(None, alias="from")
    ends_at: Instant | None = Field(None, alias="to")

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise refuse("does not end after its start")
        return self


def account_on(channel: Channel) -> AfterValidator:
    def known_there(account: str, info: ValidationInfo) -> str:
        accounts = info.context.known.accounts if isinstance(info.context, Notation) else None
        if accounts is None or account in accounts.get(channel, ()):
            return account
        there = accounts.get(channel, frozenset())
        elsewhere = next((other for other, names in accounts.items() if account in names), None)
        wrong = (
            f"is an account of {elsewhere}, not of {channel}" if elsewhere else f"is not a known account of {channel}"
        )
        raise refuse(wrong + ("" if elsewhere else did_you_mean(account, there)), allowed=listed(there))

    return AfterValidator(known_there)


Fields = Annotated[Mapping[Key, Text], PlainSerializer(dict)]


class SmsMessage(Value):
    """A text, or a template registered with the provider and its parameters."""

    account: Annotated[Key, account_on(Channel.SMS)]
    text: Text | None = None
    template: Key | None = None
    params: Fields = Field(default_factory=dict)


class EmailMessage(Value):
    """`html` and `text` name templates of the theme."""

    account: Annotated[Key, account_on(Channel.EMAIL)]
    subject: Line
    html: Key | None = None
    text: Key | None = None


class PushMessage(Value):
    account: Annotated[Key, account_on(Channel.PUSH)]
    title: Line
    body: Text
    extras: Fields = Field(default_factory=dict)


class MiniProgramMessage(Value):
    account: Annotated[Key, account_on(Channel.MINI_PROGRAM)]
    template: Key
    data: Annotated[Fields, Field(min_length=1)]
    page: Line | None = None


ChannelMessage = SmsMessage | EmailMessage | PushMessage | MiniProgramMessage

MESSAGES: Mapping[Channel, type[ChannelMessage]] = MappingProxyType(
    {
        Channel.SMS: SmsMessage,
        Channel.EMAIL: EmailMessage,
        Channel.PUSH: PushMessage,
        Channel.MINI_PROGRAM: MiniProgramMessage,
    }
)


class Channels(Value):
    sms: SmsMessage | None = None
    email: EmailMessage | None = None
    push: PushMessage | None = None
    mini_program: MiniProgramMessage | None = None

    def used(self) -> Mapping[Channel, ChannelMessage]:
        messages = {channel: getattr(self, channel.value) for channel in Channel}
        return {channel: message for channel, message in messages.items() if message is not None}


def elsewhere(theme_key: str, offer_id: str) -> str:
    """How an offer is named outside its theme."""
    return f"{theme_key}/{offer_id}"


def _in_order(pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({(min(pair), max(pair)) for pair in pairs}))


#: Symmetric: kept once, whichever way round it was written.
Exclusions = Annotated[tuple[tuple[OfferName, OfferName], ...], AfterValidator(_in_order)]


def _by_id(offers: tuple[Offer, ...]) -> tuple[Offer, ...]:
    return tuple(sorted(offers, key=lambda offer: offer.id))


def _by_place(placements: tuple[Placement, ...]) -> tuple[Placement, ...]:
    return tuple(sorted(placements, key=lambda placement: placement.place))


class Theme(Value):
    """What is drafted, approved, launched and measured as one. Offers, exclusions and placements have a fixed order."""

    key: Key
    title: Line
    product_line: ProductLine
    author: Login
    currency: Currency
    timezone: Zone
    window: Period
    goals: Goals
    budget: Amount
    coupons: Annotated[tuple[Offer, ...], AfterValidator(_by_id)]
    activities: Annotated[tuple[Offer, ...], AfterValidator(_by_id)]
    exclusions: Exclusions
    audience: Audience
    channels: Channels
    placements: Annotated[tuple[Placement, ...], AfterValidator(_by_place)]
    policy: PolicyName
    templates: Mapping[str, str]

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def offers(self) -> tuple[Offer, ...]:
        return self.coupons + self.activities

    def offer(self, offer_id: str) -> Offer:
        return {offer.id: offer for offer in self.offers()}[offer_id]

    def excluded_from(self, offer_id: str) -> tuple[str, ...]:
        """The offers that may not take effect together with this one."""
        pairs = [pair for pair in self.exclusions if offer_id in pair]
        return tuple(sorted(b if a == offer_id else a for a, b in pairs))
