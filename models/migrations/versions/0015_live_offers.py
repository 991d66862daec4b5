"""Offers that are live, coupons that customers hold of them, their codes, what they were used for, and who may ask"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_CHANNELS = ("app", "mini_program", "web", "store", "pos_before_payment", "pos_after_payment")


def _channel() -> sa.Enum:
    return sa.Enum(*_CHANNELS, name="redeemin", native_enum=False, length=32)


def upgrade() -> None:
    op.create_table(
        "codes",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pool_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=True),
        sa.Column("held_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_codes")),
    )
    op.create_index(
        "ix_codes_free",
        "codes",
        ["pool_id", "number"],
        unique=False,
        postgresql_where=sa.text("customer_id IS NULL AND held_id IS NULL"),
    )
    op.create_index(
        "uq_codes_reserved",
        "codes",
        ["pool_id", "customer_id"],
        unique=True,
        postgresql_where=sa.text("customer_id IS NOT NULL"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("product_line_id", sa.Integer(), nullable=False),
        sa.Column("channel", _channel(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("per_second", sa.Integer(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["product_line_id"], ["product_lines.id"], name=op.f("fk_api_keys_product_line_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_api_keys_hash")),
        sa.UniqueConstraint("product_line_id", "name", name=op.f("uq_api_keys_product_line_id_name")),
    )
    op.create_table(
        "kept_answers",
        sa.Column("product_line_id", sa.Integer(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.Text(), nullable=False),
        sa.Column("answer", postgresql.JSONB(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["product_line_id"], ["product_lines.id"], name=op.f("fk_kept_answers_product_line_id")
        ),
        sa.PrimaryKeyConstraint("product_line_id", "key", name=op.f("pk_kept_answers")),
    )
    op.create_index("ix_kept_answers_made_at", "kept_answers", ["made_at"], unique=False)
    op.create_table(
        "code_pools",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("product_line_id", sa.Integer(), nullable=False),
        sa.Column("theme_id", sa.Integer(), nullable=False),
        sa.Column("offer", sa.Text(), nullable=False),
        sa.Column("shared", sa.Text(), nullable=True),
        sa.Column("generated", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["product_line_id"], ["product_lines.id"], name=op.f("fk_code_pools_product_line_id")),
        sa.ForeignKeyConstraint(["theme_id"], ["themes.id"], name=op.f("fk_code_pools_theme_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_code_pools")),
        sa.UniqueConstraint("product_line_id", "shared", name=op.f("uq_code_pools_product_line_id_shared")),
        sa.UniqueConstraint("theme_id", "offer", name=op.f("uq_code_pools_theme_id_offer")),
    )
    op.create_table(
        "redemptions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("product_line_id", sa.Integer(), nullable=False),
        sa.Column("order_number", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=True),
        sa.Column("channel", _channel(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("redeemed", "cancelled", name="redemptionstate", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("cart", postgresql.JSONB(), nullable=False),
        sa.Column("rules", postgresql.JSONB(), nullable=False),
        sa.Column("list_minor", sa.BigInteger(), nullable=False),
        sa.Column("freight_list_minor", sa.BigInteger(), nullable=False),
        sa.Column("discount_minor", sa.BigInteger(), nullable=False),
        sa.Column("freight_discount_minor", sa.BigInteger(), nullable=False),
        sa.Column("payable_minor", sa.BigInteger(), nullable=False),
        sa.Column("cost_minor", sa.BigInteger(), nullable=True),
        sa.Column("new_customer", sa.Boolean(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("redeemed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("cancelled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_redemptions_customer_id")),
        sa.ForeignKeyConstraint(["product_line_id"], ["product_lines.id"], name=op.f("fk_redemptions_product_line_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_redemptions")),
        sa.UniqueConstraint(
            "product_line_id", "order_number", name=op.f("uq_redemptions_product_line_id_order_number")
        ),
    )
    op.create_index("ix_redemptions_customer_id", "redemptions", ["customer_id"], unique=False)
    op.create_table(
        "live_offers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("theme_id", sa.Integer(), nullable=False),
        sa.Column("revision_id", sa.Integer(), nullable=False),
        sa.Column("product_line_id", sa.Integer(), nullable=False),
        sa.Column("offer", sa.Text(), nullable=False),
        sa.Column(
            "kind", sa.Enum("coupon", "activity", name="offerkind", native_enum=False, length=32), nullable=False
        ),
        sa.Column("preset", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("claim_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claim_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_days", sa.Integer(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("per_customer", sa.Integer(), nullable=True),
        sa.Column("per_day", sa.Integer(), nullable=True),
        sa.Column("per_customer_day", sa.Integer(), nullable=True),
        sa.Column("per_channel", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("budget_minor", sa.BigInteger(), nullable=True),
        sa.Column("claimed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("used", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("spent_minor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "closed",
            sa.Enum("paused", "ended", "taken_down", name="closed", native_enum=False, length=32),
            nullable=True,
        ),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("claimed >= 0 AND used >= 0 AND spent_minor >= 0", name=op.f("ck_live_offers_counted")),
        sa.CheckConstraint("total IS NULL OR claimed <= total", name=op.f("ck_live_offers_total")),
        sa.ForeignKeyConstraint(["product_line_id"], ["product_lines.id"], name=op.f("fk_live_offers_product_line_id")),
        sa.ForeignKeyConstraint(["revision_id"], ["revisions.id"], name=op.f("fk_live_offers_revision_id")),
        sa.ForeignKeyConstraint(["theme_id"], ["themes.id"], name=op.f("fk_live_offers_theme_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_offers")),
        sa.UniqueConstraint("theme_id", "revision_id", "offer", name=op.f("uq_live_offers_theme_id_revision_id_offer")),
    )
    op.create_index("ix_live_offers_product_line_id", "live_offers", ["product_line_id"], unique=False)
    op.create_table(
        "order_refunds",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("redemption_id", sa.BigInteger(), nullable=False),
        sa.Column("units", postgresql.JSONB(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("goods_minor", sa.BigInteger(), nullable=False),
        sa.Column("freight_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["redemption_id"], ["redemptions.id"], name=op.f("fk_order_refunds_redemption_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_refunds")),
    )
    op.create_index("ix_order_refunds_redemption_id", "order_refunds", ["redemption_id"], unique=False)
    op.create_table(
        "held_coupons",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("offer_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "issued",
                "locked",
                "used",
                "returned",
                "expired",
                "void",
                name="heldstate",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column(
            "source",
            sa.Enum("claim", "code", "package", "order", "points", name="source", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("channel", _channel(), nullable=True),
        sa.Column("valid_from", sa.DateTime(timezone=True), nullable=False),
        sa.Column("valid_to", sa.DateTime(timezone=True), nullable=False),
        sa.Column("package", sa.Text(), nullable=True),
        sa.Column("code", sa.BigInteger(), nullable=True),
        sa.Column("trigger_order", sa.Text(), nullable=True),
        sa.Column("points_receipt", sa.Text(), nullable=True),
        sa.Column("locked_for", sa.Text(), nullable=True),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(state = 'locked') = (locked_for IS NOT NULL)", name=op.f("ck_held_coupons_locked_for")),
        sa.ForeignKeyConstraint(["customer_id"], ["customers.id"], name=op.f("fk_held_coupons_customer_id")),
        sa.ForeignKeyConstraint(["offer_id"], ["live_offers.id"], name=op.f("fk_held_coupons_offer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held_coupons")),
    )
    op.create_index("ix_held_coupons_customer_id_offer_id", "held_coupons", ["customer_id", "offer_id"], unique=False)
    op.create_index(
        "ix_held_coupons_locked_until",
        "held_coupons",
        ["locked_until"],
        unique=False,
        postgresql_where=sa.text("state = 'locked'"),
    )
    op.create_index("ix_held_coupons_offer_id", "held_coupons", ["offer_id"], unique=False)
    op.create_index(
        "ix_held_coupons_valid_to",
        "held_coupons",
        ["valid_to"],
        unique=False,
        postgresql_where=sa.text("state IN ('issued', 'returned', 'locked')"),
    )
    op.create_index(
        "uq_held_coupons_points",
        "held_coupons",
        ["offer_id", "points_receipt"],
        unique=True,
        postgresql_where=sa.text("points_receipt IS NOT NULL"),
    )
    op.create_index(
        "uq_held_coupons_trigger",
        "held_coupons",
        ["offer_id", "trigger_order"],
        unique=True,
        postgresql_where=sa.text("trigger_order IS NOT NULL"),
    )
    op.create_table(
        "offer_counts",
        sa.Column("offer_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["offer_id"], ["live_offers.id"], name=op.f("fk_offer_counts_offer_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("offer_id", "customer_id", "day", "channel", name=op.f("pk_offer_counts")),
    )
    op.create_table(
        "redemption_uses",
        sa.Column("redemption_id", sa.BigInteger(), nullable=False),
        sa.Column("offer_id", sa.Integer(), nullable=False),
        sa.Column("held_id", sa.BigInteger(), nullable=True),
        sa.Column("off_minor", sa.BigInteger(), nullable=False),
        sa.Column("freight_off_minor", sa.BigInteger(), nullable=False),
        sa.Column("given_back", sa.Boolean(), server_default="false", nullable=False),
        sa.ForeignKeyConstraint(["held_id"], ["held_coupons.id"], name=op.f("fk_redemption_uses_held_id")),
        sa.ForeignKeyConstraint(["offer_id"], ["live_offers.id"], name=op.f("fk_redemption_uses_offer_id")),
        sa.ForeignKeyConstraint(
            ["redemption_id"], ["redemptions.id"], name=op.f("fk_redemption_uses_redemption_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("redemption_id", "offer_id", name=op.f("pk_redemption_uses")),
    )
    op.create_index(op.f("ix_redemption_uses_held_id"), "redemption_uses", ["held_id"], unique=False)
    op.create_index("ix_redemption_uses_offer_id", "redemption_uses", ["offer_id"], unique=False)
    op.add_column("product_lines", sa.Column("least_margin_bp", sa.Integer(), nullable=True))
    op.add_column("product_lines", sa.Column("offers_version", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("products", sa.Column("floor_minor", sa.Integer(), nullable=True))
    op.add_column("rounds", sa.Column("worst", postgresql.JSONB(), server_default="{}", nullable=False))


def downgrade() -> None:
    op.drop_column("rounds", "worst")
    op.drop_column("product_lines", "offers_version")
    op.drop_column("product_lines", "least_margin_bp")
    op.drop_column("products", "floor_minor")
    for table in (
        "order_refunds",
        "redemption_uses",
        "held_coupons",
        "offer_counts",
        "redemptions",
        "live_offers",
        "kept_answers",
        "api_keys",
        "codes",
        "code_pools",
    ):
        op.drop_table(table)
