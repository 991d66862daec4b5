"""Rule presets that were applied, exclusions between themes, and what of a product scopes and margins go by"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# What an offer was approved with must read and price the same for ever.
_KEEP = """
    CREATE FUNCTION keep_rule_preset() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'version % of preset % stays as it is: offers were approved with it', OLD.version, OLD.name
            USING ERRCODE = 'restrict_violation';
    END $$
"""


def upgrade() -> None:
    op.create_table(
        "rule_presets",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_presets")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_rule_presets_name_version")),
    )
    op.execute(_KEEP)
    op.execute(
        "CREATE TRIGGER keep_preset BEFORE UPDATE OR DELETE ON rule_presets"
        " FOR EACH ROW EXECUTE FUNCTION keep_rule_preset()"
    )
    op.create_table(
        "exclusions",
        sa.Column("one_theme_id", sa.Integer(), nullable=False),
        sa.Column("one_offer", sa.Text(), nullable=False),
        sa.Column("other_theme_id", sa.Integer(), nullable=False),
        sa.Column("other_offer", sa.Text(), nullable=False),
        sa.Column("by_one", sa.Boolean(), nullable=False),
        sa.Column("by_other", sa.Boolean(), nullable=False),
        sa.CheckConstraint("one_theme_id < other_theme_id", name=op.f("ck_exclusions_once")),
        sa.CheckConstraint("by_one OR by_other", name=op.f("ck_exclusions_named")),
        *(
            sa.ForeignKeyConstraint(
                [f"{side}_theme_id"], ["themes.id"], ondelete="CASCADE", name=op.f(f"fk_exclusions_{side}_theme_id")
            )
            for side in ("one", "other")
        ),
        sa.PrimaryKeyConstraint(
            "one_theme_id", "one_offer", "other_theme_id", "other_offer", name=op.f("pk_exclusions")
        ),
    )
    op.create_index("ix_exclusions_other_theme_id", "exclusions", ["other_theme_id"])
    op.add_column("products", sa.Column("shop", sa.Text(), nullable=True))
    op.add_column("products", sa.Column("brand", sa.Text(), nullable=True))
    op.add_column("products", sa.Column("cost_minor", sa.Integer(), nullable=True))


def downgrade() -> None:
    for column in ("cost_minor", "brand", "shop"):
        op.drop_column("products", column)
    op.drop_table("exclusions")
    op.drop_table("rule_presets")
    op.execute("DROP FUNCTION keep_rule_preset()")
