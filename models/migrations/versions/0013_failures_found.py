"""Failures are found by an index that nothing else can stand in for"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_INDEX, _TABLE, _WRONG = "ix_deliveries_error", "deliveries", sa.text("error_class IS NOT NULL")


def upgrade() -> None:
    op.drop_index(_INDEX, table_name=_TABLE)
    own = sa.text("CAST(distribution_id AS bigint)")
    op.create_index(_INDEX, _TABLE, [own, "error_class", "error_code"], postgresql_where=_WRONG)


def downgrade() -> None:
    op.drop_index(_INDEX, table_name=_TABLE)
    op.create_index(_INDEX, _TABLE, ["distribution_id", "error_class", "error_code"], postgresql_where=_WRONG)
