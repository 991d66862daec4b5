"""A delivery that may have reached somebody stays, a failed one says why, and a plan counts whom caps will stop"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# Whoever has no row is planned anew when a plan is mended: the row is what keeps a message from being sent again.
_KEEP = """
    CREATE FUNCTION keep_tried_delivery() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF OLD.tries > 0 OR OLD.call_began_at IS NOT NULL
            OR OLD.state IN ('sending', 'sent', 'delivered', 'unknown')
            OR EXISTS (SELECT FROM attempts WHERE delivery_seq = OLD.seq)
        THEN
            RAISE EXCEPTION 'delivery % of distribution % was tried and stays: without it a plan that is mended would '
                'send the message again', OLD.id, OLD.distribution_id
                USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END $$
"""


def upgrade() -> None:
    op.add_column("plan_chunks", sa.Column("over_cap", sa.Integer(), nullable=True))
    op.execute("UPDATE deliveries SET error_class = 'unrecognised' WHERE state = 'failed' AND error_class IS NULL")
    op.create_check_constraint(
        op.f("ck_deliveries_failed_has_class"), "deliveries", "state <> 'failed' OR error_class IS NOT NULL"
    )
    op.execute(_KEEP)
    op.execute(
        "CREATE TRIGGER keep_tried BEFORE DELETE ON deliveries FOR EACH ROW EXECUTE FUNCTION keep_tried_delivery()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER keep_tried ON deliveries")
    op.execute("DROP FUNCTION keep_tried_delivery()")
    op.drop_constraint(op.f("ck_deliveries_failed_has_class"), "deliveries", type_="check")
    op.drop_column("plan_chunks", "over_cap")
