"""Offers of launched themes, the coupons that customers hold of them, and what they were used for.

Whoever changes several of these locks them in this order: redemption, live offers by id, held coupons by id, counts.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base
from offers.preset import ClaimWay, OfferKind
from offers.states import Closed, HeldState, RedemptionState, Source
from themes.theme import RedeemIn


class LiveOffer(Base):
    """An offer of a launched revision: what it allows, and how much of that is taken.

    The counters are right at every moment, and the limits are part of the statement that counts.
    """

    __tablename__ = "live_offers"
    __table_args__ = (
        UniqueConstraint("theme_id", "revision_id", "offer"),
        Index("ix_live_offers_product_line_id", "product_line_id"),
        CheckConstraint("total IS NULL OR claimed <= total", name="total"),
        CheckConstraint("(kind = 'coupon') = (claim_way IS NOT NULL)", name="claim_way"),
        CheckConstraint("claimed >= 0 AND used >= 0 AND spent_minor >= 0", name="counted"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"))
    revision_id: Mapped[int] = mapped_column(ForeignKey("revisions.id"))
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"))
    offer: Mapped[str]  # its id in the theme
    kind: Mapped[OfferKind]
    timezone: Mapped[str]  # the theme's: where its days begin
    claim_way: Mapped[ClaimWay | None]  # None: an activity, which nobody claims
    newcomers: Mapped[bool]  # whether it is for them alone
    claim_from: Mapped[datetime | None]
    claim_to: Mapped[datetime | None]
    valid_from: Mapped[datetime | None]
    valid_to: Mapped[datetime | None]
    valid_days: Mapped[int | None]  # from the claim, where there is no fixed period
    total: Mapped[int | None] = mapped_column(BigInteger)  # coupons claimed; of an activity its uses
    per_customer: Mapped[int | None]
    per_day: Mapped[int | None]
    per_customer_day: Mapped[int | None]
    per_channel: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    budget_minor: Mapped[int | None] = mapped_column(BigInteger)
    claimed: Mapped[int] = mapped_column(BigInteger, server_default="0")  # of an activity: uses, less those given back
    used: Mapped[int] = mapped_column(BigInteger, server_default="0")  # less what was given back
    spent_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")  # taken off goods and freight, the same
    closed: Mapped[Closed | None]
    opened_at: Mapped[datetime]


class OfferCount(Base):
    """How many of an offer were claimed (of an activity: used) by one customer, on one day, or through one channel.

    `customer_id` 0, the day -infinity and the channel '' stand for all.
    """

    __tablename__ = "offer_counts"

    offer_id: Mapped[int] = mapped_column(ForeignKey("live_offers.id", ondelete="CASCADE"), primary_key=True)
    customer_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    day: Mapped[date] = mapped_column(primary_key=True)  # in the time zone of the theme
    channel: Mapped[str] = mapped_column(primary_key=True)
    count: Mapped[int]


class HeldCoupon(Base):
    """A coupon in somebody's hands."""

    __tablename__ = "held_coupons"
    __table_args__ = (
        Index("ix_held_coupons_customer_id_offer_id", "customer_id", "offer_id"),
        Index("ix_held_coupons_offer_id", "offer_id"),
        Index("ix_held_coupons_locked_until", "locked_until", postgresql_where=text("state = 'locked'")),
        Index(
            "ix_held_coupons_valid_to", "valid_to", postgresql_where=text("state IN ('issued', 'returned', 'locked')")
        ),
        Index(
            "uq_held_coupons_trigger",
            "offer_id",
            "trigger_order",
            unique=True,
            postgresql_where=text("trigger_order IS NOT NULL"),
        ),
        Index(
            "uq_held_coupons_points",
            "offer_id",
            "points_receipt",
            unique=True,
            postgresql_where=text("points_receipt IS NOT NULL"),
        ),
        CheckConstraint("(state = 'locked') = (locked_for IS NOT NULL)", name="locked_for"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    offer_id: Mapped[int] = mapped_column(ForeignKey("live_offers.id"))
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    state: Mapped[HeldState]
    source: Mapped[Source]
    claimed_at: Mapped[datetime]
    channel: Mapped[RedeemIn | None]  # through which it was claimed
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime]  # up to, but not including
    package: Mapped[str | None]  # the offer of the package that it came in
    code: Mapped[int | None] = mapped_column(BigInteger)  # the number of the code that it was claimed with
    trigger_order: Mapped[str | None]  # the paid order that it was given for
    points_receipt: Mapped[str | None]  # whatever proves to the one who keeps the points that they were taken
    locked_for: Mapped[str | None]  # an order
    locked_until: Mapped[datetime | None]
    changed_at: Mapped[datetime]


class CodePool(Base):
    """The codes of one coupon. They are made before its theme is launched, for messages are planned with them."""

    __tablename__ = "code_pools"
    __table_args__ = (UniqueConstraint("theme_id", "offer"), UniqueConstraint("product_line_id", "shared"))

    id: Mapped[int] = mapped_column(primary_key=True)
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"))
    theme_id: Mapped[int] = mapped_column(ForeignKey("themes.id", ondelete="CASCADE"))
    offer: Mapped[str]
    shared: Mapped[str | None]  # one code for all, normalised; None: one for each person
    generated: Mapped[int] = mapped_column(BigInteger, server_default="0")


class Code(Base):
    """One of the codes of a pool, for one person. The number is the code; see `offers.code`."""

    __tablename__ = "codes"
    __table_args__ = (
        Index("ix_codes_free", "pool_id", "number", postgresql_where=text("customer_id IS NULL AND held_id IS NULL")),
        Index(
            "uq_codes_reserved",
            "pool_id",
            "customer_id",
            unique=True,
            postgresql_where=text("customer_id IS NOT NULL"),
        ),
    )

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    pool_id: Mapped[int]  # no foreign key: checking each of a million would cost as much again
    customer_id: Mapped[int | None]  # whose message carries it; nobody else may use it then
    held_id: Mapped[int | None] = mapped_column(BigInteger)  # the coupon that was claimed with it


class Redemption(Base):
    """The offers of one order, taken: what was priced, and what came of it."""

    __tablename__ = "redemptions"
    __table_args__ = (
        UniqueConstraint("product_line_id", "order_number"),
        Index("ix_redemptions_customer_id", "customer_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"))
    order_number: Mapped[str]
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"))  # None: a guest, who holds no coupons
    channel: Mapped[RedeemIn]
    state: Mapped[RedemptionState]
    cart: Mapped[dict[str, Any]]  # as it was priced, with what the catalogue added
    rules: Mapped[list[dict[str, Any]]]  # the offers that it was priced under, by theme, revision and offer
    list_minor: Mapped[int] = mapped_column(BigInteger)
    freight_list_minor: Mapped[int] = mapped_column(BigInteger)
    discount_minor: Mapped[int] = mapped_column(BigInteger)
    freight_discount_minor: Mapped[int] = mapped_column(BigInteger)
    payable_minor: Mapped[int] = mapped_column(BigInteger)
    cost_minor: Mapped[int | None] = mapped_column(BigInteger)  # of the goods, as it was then; None: not known of all
    new_customer: Mapped[bool]  # her first order
    refunded_minor: Mapped[int] = mapped_column(BigInteger, server_default="0")
    redeemed_at: Mapped[datetime]
    cancelled_at: Mapped[datetime | None]


class RedemptionUse(Base):
    """What one offer took off one order."""

    __tablename__ = "redemption_uses"
    __table_args__ = (Index("ix_redemption_uses_offer_id", "offer_id"),)

    redemption_id: Mapped[int] = mapped_column(ForeignKey("redemptions.id", ondelete="CASCADE"), primary_key=True)
    offer_id: Mapped[int] = mapped_column(ForeignKey("live_offers.id"), primary_key=True)
    held_id: Mapped[int | None] = mapped_column(ForeignKey("held_coupons.id"), index=True)  # None: an activity
    off_minor: Mapped[int] = mapped_column(BigInteger)  # of the goods
    freight_off_minor: Mapped[int] = mapped_column(BigInteger)
    given_back: Mapped[bool] = mapped_column(server_default="false")


class OrderRefund(Base):
    """What was paid back for units of an order that were returned. Append-only."""

    __tablename__ = "order_refunds"
    __table_args__ = (Index("ix_order_refunds_redemption_id", "redemption_id"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    redemption_id: Mapped[int] = mapped_column(ForeignKey("redemptions.id", ondelete="CASCADE"))
    units: Mapped[dict[str, Any]]  # line -> how many
    policy: Mapped[str]  # prorated, repriced
    goods_minor: Mapped[int] = mapped_column(BigInteger)
    freight_minor: Mapped[int] = mapped_column(BigInteger)
    refunded_at: Mapped[datetime]


class KeptAnswer(Base):
    """What a request with an idempotency key was answered: the same request gets it again, another is a conflict."""

    __tablename__ = "kept_answers"
    __table_args__ = (Index("ix_kept_answers_made_at", "made_at"),)

    product_line_id: Mapped[int] = mapped_column(ForeignKey("product_lines.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]  # SHA-256 of verb and content
    answer: Mapped[dict[str, Any] | None]  # None only inside the transaction that finds it
    made_at: Mapped[datetime]
