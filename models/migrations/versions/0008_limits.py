"""Caps, quiet hours and one-time subscriptions"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "limits",
        sa.Column("product_line_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["product_line_id"], ["product_lines.id"], name=op.f("fk_limits_product_line_id")),
        sa.PrimaryKeyConstraint("product_line_id", name=op.f("pk_limits")),
    )
    op.create_table(
        "cap_turns",
        sa.Column("customer_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("customer_id", name=op.f("pk_cap_turns")),
    )
    op.create_table(
        "cap_reservations",
        sa.Column("delivery_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("distribution_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("reserved_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("delivery_seq", name=op.f("pk_cap_reservations")),
    )
    op.create_index("ix_cap_reservations_customer_id", "cap_reservations", ["customer_id", "reserved_at"])
    op.create_index("ix_cap_reservations_distribution_id", "cap_reservations", ["distribution_id"])
    op.create_table(
        "one_time_subscriptions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("product_line_id", sa.Integer(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("remaining", sa.Integer(), nullable=False),
        sa.CheckConstraint("remaining >= 0", name=op.f("ck_one_time_subscriptions_remaining")),
        sa.ForeignKeyConstraint(
            ["product_line_id"], ["product_lines.id"], name=op.f("fk_one_time_subscriptions_product_line_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_one_time_subscriptions")),
        sa.UniqueConstraint(
            "product_line_id",
            "address",
            "template",
            name=op.f("uq_one_time_subscriptions_product_line_id_address_template"),
        ),
    )
    op.create_table(
        "subscription_uses",
        sa.Column("delivery_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("distribution_id", sa.Integer(), nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("delivery_seq", name=op.f("pk_subscription_uses")),
    )
    op.create_index("ix_subscription_uses_subscription_id", "subscription_uses", ["subscription_id"])
    op.create_index("ix_subscription_uses_distribution_id", "subscription_uses", ["distribution_id"])


def downgrade() -> None:
    tables = ("subscription_uses", "one_time_subscriptions", "cap_reservations", "cap_turns", "limits")
    for table in tables:
        op.drop_table(table)
