"""How a coupon is claimed is told by its preset, and no longer known by the preset's name"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_WAYS = ("asking", "code", "package", "order", "points")


def upgrade() -> None:
    way = sa.Enum(*_WAYS, name="claimway", native_enum=False, length=32)
    op.add_column("live_offers", sa.Column("claim_way", way, nullable=True))
    op.add_column("live_offers", sa.Column("newcomers", sa.Boolean(), nullable=True))
    op.execute("""
        UPDATE live_offers SET
            newcomers = preset = 'newcomer',
            claim_way = CASE WHEN kind = 'coupon' THEN CASE preset
                WHEN 'coupon_code' THEN 'code'
                WHEN 'package' THEN 'package'
                WHEN 'consumption_triggered' THEN 'order'
                WHEN 'points_exchange' THEN 'points'
                ELSE 'asking' END
            END
    """)
    op.alter_column("live_offers", "newcomers", nullable=False)
    op.drop_column("live_offers", "preset")
    op.create_check_constraint(
        op.f("ck_live_offers_claim_way"), "live_offers", "(kind = 'coupon') = (claim_way IS NOT NULL)"
    )


def downgrade() -> None:
    op.add_column("live_offers", sa.Column("preset", sa.Text(), nullable=True))
    op.execute("""
        UPDATE live_offers lo SET preset = r.content -> 'offers' -> lo.offer ->> 'preset'
        FROM revisions r WHERE r.id = lo.revision_id
    """)
    op.alter_column("live_offers", "preset", nullable=False)
    op.drop_column("live_offers", "newcomers")
    op.drop_column("live_offers", "claim_way")
