"""Rate windows, pools, prices and health of provider accounts"""

import json
from fractions import Fraction

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# What the providers documented when this was written, in calls by seconds: accounts that are there need not be applied
# again, and their `rate_per_second`, so far that of each sender, becomes that of all senders together.
_DOCUMENTED = {"aliyun": {1: 5_000}, "jpush": {60: 600}, "wechat": {86_400: 10_000_000}}


def upgrade() -> None:
    for column in (
        sa.Column("refused_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("pool", sa.Text(), nullable=True),
        sa.Column("weight", sa.Integer(), server_default="1", nullable=False),
        sa.Column("windows", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.Column("price_amount", sa.Numeric(12, 6), nullable=True),
        sa.Column("price_per", sa.String(length=32), nullable=True),
    ):
        op.add_column("provider_accounts", column)
    connection = op.get_bind()
    accounts = connection.execute(
        sa.text("SELECT id, provider, (settings #>> '{limits,rate_per_second}')::float FROM provider_accounts")
    )
    for account_id, provider, rate in accounts.all():
        connection.execute(
            sa.text("UPDATE provider_accounts SET windows = CAST(:windows AS jsonb) WHERE id = :id"),
            {"windows": json.dumps(_windows(provider, rate)), "id": account_id},
        )
    op.create_table(
        "account_uses",
        sa.Column("account_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kept", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["provider_accounts.id"], name=op.f("fk_account_uses_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_uses")),
    )
    op.create_table(
        "account_calls",
        sa.Column("account_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("refused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_words", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["provider_accounts.id"], name=op.f("fk_account_calls_account_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "hour", name=op.f("pk_account_calls")),
    )


def _windows(provider: str, rate: float | None) -> list[dict[str, object]]:
    found = dict(_DOCUMENTED.get(provider, {}))
    if rate:
        per_second = Fraction(rate).limit_denominator(60)
        seconds, calls = per_second.denominator, max(1, per_second.numerator)
        found[seconds] = min(found.get(seconds, calls), calls)
    return [{"per_seconds": seconds, "at_most": most, "counts": "calls"} for seconds, most in sorted(found.items())]


def downgrade() -> None:
    op.drop_table("account_calls")
    op.drop_table("account_uses")
    for name in (
        *("price_per", "price_amount", "windows", "weight", "pool"),
        *("paused_at", "probe_until", "refused_since"),
    ):
        op.drop_column("provider_accounts", name)
