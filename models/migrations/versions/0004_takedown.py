"""Takedown: what is undone, channel by channel, and corrections to those already reached"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_CHANNEL = sa.Enum("sms", "email", "push", "mini_program", name="channel", native_enum=False, length=32)
_PURPOSE = sa.Enum("theme", "correction", name="purpose", native_enum=False, length=32)
#: Table -> what is unique in it, beside the purpose from now on.
_UNIQUE = {
    "distributions": ("theme_id", "revision_id", "channel"),
    "deliveries": ("theme_id", "channel", "address"),
}


def upgrade() -> None:
    for table, columns in _UNIQUE.items():
        # A constant default is kept in the catalogue: no row is written, and code of before goes on without it.
        op.add_column(table, sa.Column("purpose", _PURPOSE, server_default="theme", nullable=False))
        before = f"uq_{table}_{'_'.join(columns)}"
        op.create_unique_constraint(op.f(f"{before}_purpose"), table, [*columns, "purpose"])
        op.drop_constraint(op.f(before), table, type_="unique")
    op.create_table(
        "takedowns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("theme_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column(
            "claimed", sa.Enum("honour", "void", name="claimedrule", native_enum=False, length=32), nullable=False
        ),
        sa.Column("correction", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("taken_down_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_takedowns_person_id")),
        sa.ForeignKeyConstraint(["theme_id"], ["themes.id"], name=op.f("fk_takedowns_theme_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_takedowns")),
        sa.UniqueConstraint("theme_id", name=op.f("uq_takedowns_theme_id")),
    )
    op.create_table(
        "revocations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("takedown_id", sa.Integer(), nullable=False),
        sa.Column("channel", _CHANNEL, nullable=False),
        sa.Column(
            "state", sa.Enum("pending", "done", name="revocationstate", native_enum=False, length=32), nullable=False
        ),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_problem", sa.Text(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["takedown_id"], ["takedowns.id"], name=op.f("fk_revocations_takedown_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revocations")),
        sa.UniqueConstraint("takedown_id", "channel", name=op.f("uq_revocations_takedown_id_channel")),
    )


def downgrade() -> None:
    op.drop_table("revocations")
    op.drop_table("takedowns")
    # Corrections have no place in the older schema; their rows would be taken for the theme's own.
    op.execute("DELETE FROM deliveries WHERE purpose = 'correction'")
    op.execute("DELETE FROM distributions WHERE purpose = 'correction'")
    op.execute("UPDATE distributions SET state = 'complete' WHERE state = 'cancelled'")
    for table, columns in _UNIQUE.items():
        before = f"uq_{table}_{'_'.join(columns)}"
        op.create_unique_constraint(op.f(before), table, [*columns])
        op.drop_constraint(op.f(f"{before}_purpose"), table, type_="unique")
        op.drop_column(table, "purpose")
