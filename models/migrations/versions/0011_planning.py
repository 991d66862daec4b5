"""Plans in chunks of an audience that is evaluated once, and a delivery id that costs a third"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# The same ids as before: a function of SQL that cannot be put into the statement starts an executor for each row.
_COMPILED = """
    CREATE OR REPLACE FUNCTION delivery_id(name text) RETURNS uuid LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
    DECLARE digest bytea := substring(sha256(convert_to(name, 'UTF8')) FROM 1 FOR 16);
    BEGIN
        RETURN encode(
            set_byte(set_byte(digest, 6, get_byte(digest, 6) & 15 | 128), 8, get_byte(digest, 8) & 63 | 128), 'hex'
        )::uuid;
    END $$
"""
_CALLED = """
    CREATE OR REPLACE FUNCTION delivery_id(name text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT encode(
            set_byte(set_byte(digest, 6, get_byte(digest, 6) & 15 | 128), 8, get_byte(digest, 8) & 63 | 128), 'hex'
        )::uuid
        FROM (SELECT substring(sha256(convert_to(name, 'UTF8')) FROM 1 FOR 16) AS digest) AS hashed
    $$
"""


def upgrade() -> None:
    op.create_table(
        "plans",
        sa.Column("distribution_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("audience", sa.Integer(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("left_out", postgresql.JSONB(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["distribution_id"], ["distributions.id"], name=op.f("fk_plans_distribution_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("distribution_id", name=op.f("pk_plans")),
    )
    op.create_table(
        "plan_chunks",
        sa.Column("distribution_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("customer_ids", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("planned_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["distribution_id"],
            ["plans.distribution_id"],
            name=op.f("fk_plan_chunks_distribution_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("distribution_id", "number", name=op.f("pk_plan_chunks")),
    )
    op.execute(_COMPILED)


def downgrade() -> None:
    op.execute(_CALLED)
    op.drop_table("plan_chunks")
    op.drop_table("plans")
