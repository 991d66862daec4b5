# ruff: noqa: S608 - put together from constants of this module
"""The sender's hot path: rows walked by number, leases of senders, exact tallies

An update on the way of a delivery that succeeds touches no indexed column, so that its new version stays on the page of
the old (HOT) and no index grows with it. What is claimed and what has begun is written down a batch at a time.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_PENDING = sa.text("state IN ('planned', 'retrying', 'held')")
_TALLY = """
    CREATE FUNCTION tally_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        {body}
        RETURN NULL;
    END $$
"""
_SUM = "INSERT INTO tallies (distribution_id, state, error_class, count) SELECT distribution_id, state, error_class, "
_BY = " GROUP BY distribution_id, state, error_class"
# A trigger with transition tables serves one kind of change; together they see every way a row comes, moves or goes.
_BODIES = {
    "INSERT": f"{_SUM} count(*) FROM new_rows{_BY};",
    "DELETE": f"{_SUM} -count(*) FROM old_rows{_BY};",
    "UPDATE": f"""{_SUM} sum(count) FROM (
            SELECT distribution_id, state, error_class, count(*) AS count FROM new_rows{_BY}
            UNION ALL SELECT distribution_id, state, error_class, -count(*) FROM old_rows{_BY}
        ) AS changes{_BY} HAVING sum(count) <> 0;""",
}
_TABLES = {
    "INSERT": "NEW TABLE AS new_rows",
    "DELETE": "OLD TABLE AS old_rows",
    "UPDATE": "NEW TABLE AS new_rows OLD TABLE AS old_rows",
}


def upgrade() -> None:
    op.create_table(
        "senders",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("distribution_id", sa.Integer(), nullable=False),
        sa.Column("alive_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["distribution_id"], ["distributions.id"], name=op.f("fk_senders_distribution_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_senders")),
    )
    op.create_index("ix_senders_distribution_id", "senders", ["distribution_id"], unique=False)
    op.create_table(
        "sender_marks",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("sender_id", sa.Uuid(), nullable=False),
        sa.Column("begun", sa.Boolean(), nullable=False),
        sa.Column("account_id", sa.Integer(), nullable=True),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seqs", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("keys", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.ForeignKeyConstraint(
            ["sender_id"], ["senders.id"], name=op.f("fk_sender_marks_sender_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sender_marks")),
    )
    op.create_index("ix_sender_marks_sender_id", "sender_marks", ["sender_id"], unique=False)
    op.create_table(
        "walks",
        sa.Column("distribution_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("next_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["distribution_id"], ["distributions.id"], name=op.f("fk_walks_distribution_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("distribution_id", name=op.f("pk_walks")),
    )
    op.execute("INSERT INTO walks (distribution_id) SELECT id FROM distributions")
    op.create_table(
        "tallies",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("distribution_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("error_class", sa.String(length=32), nullable=True),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tallies")),
    )
    op.create_index("ix_tallies_distribution_id", "tallies", ["distribution_id"], unique=False)

    op.add_column("distributions", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE distributions SET expires_at = t.ends_at FROM themes t WHERE t.id = theme_id")

    # Whoever sent before this migration has to be started anew: what was under way is claimable again or in doubt.
    op.execute(
        """
        UPDATE deliveries SET
            state = CASE WHEN call_began_at IS NOT NULL THEN 'unknown' WHEN tries > 0 THEN 'retrying'
                    ELSE 'planned' END,
            error_class = CASE WHEN call_began_at IS NOT NULL THEN 'unknown_outcome' ELSE error_class END
        WHERE state = 'sending'
        """
    )
    op.drop_index("ix_deliveries_lease", table_name="deliveries")
    op.drop_index("ix_deliveries_failed", table_name="deliveries")
    op.drop_index("ix_deliveries_due", table_name="deliveries")
    op.drop_column("deliveries", "lease_until")
    op.drop_constraint(op.f("fk_deliveries_theme_id"), "deliveries", type_="foreignkey")
    op.alter_column("deliveries", "due_at", nullable=True)
    op.add_column("deliveries", sa.Column("seq", sa.BigInteger(), sa.Identity(always=True), nullable=False))
    op.add_column("deliveries", sa.Column("account_id", sa.Integer(), nullable=True))
    op.execute(
        """
        UPDATE deliveries dl SET account_id = d.account_id,
            due_at = CASE WHEN dl.state IN ('retrying', 'held') OR (dl.state = 'unknown' AND dl.key IS NOT NULL)
                     THEN dl.due_at END
        FROM distributions d WHERE d.id = dl.distribution_id
        """
    )
    op.create_unique_constraint(op.f("uq_deliveries_distribution_id_seq"), "deliveries", ["distribution_id", "seq"])
    columns = ["address", "channel", "theme_id", "purpose"]
    op.create_unique_constraint(op.f(f"uq_deliveries_{'_'.join(columns)}"), "deliveries", columns)
    op.drop_constraint(op.f("uq_deliveries_theme_id_channel_address_purpose"), "deliveries", type_="unique")
    due, wrong = sa.text("due_at IS NOT NULL"), sa.text("error_class IS NOT NULL")
    op.create_index("ix_deliveries_due", "deliveries", ["distribution_id", "due_at"], postgresql_where=due)
    op.create_index(
        "ix_deliveries_error", "deliveries", ["distribution_id", "error_class", "error_code"], postgresql_where=wrong
    )

    op.add_column("attempts", sa.Column("delivery_seq", sa.BigInteger(), nullable=True))
    op.execute("UPDATE attempts a SET delivery_seq = dl.seq FROM deliveries dl WHERE dl.id = a.delivery_id")
    op.alter_column("attempts", "delivery_seq", nullable=False)
    op.drop_index("ix_attempts_delivery_id", table_name="attempts")
    op.drop_constraint(op.f("fk_attempts_delivery_id"), "attempts", type_="foreignkey")
    op.drop_constraint(op.f("fk_attempts_account_id"), "attempts", type_="foreignkey")
    op.drop_column("attempts", "delivery_id")
    op.create_index("ix_attempts_delivery_seq", "attempts", ["delivery_seq"], unique=False)

    # Two updates of every row of a page fit beside the rows.
    op.execute("ALTER TABLE deliveries SET (fillfactor = 40)")
    op.execute(
        "INSERT INTO tallies (distribution_id, state, error_class, count) "
        f"SELECT distribution_id, state, error_class, count(*) FROM deliveries{_BY}"
    )
    for kind, body in _BODIES.items():
        name = f"tally_{kind.lower()}"
        op.execute(_TALLY.replace("tally_deliveries", name).format(body=body))
        op.execute(
            f"CREATE TRIGGER {name} AFTER {kind} ON deliveries REFERENCING {_TABLES[kind]} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        )


def downgrade() -> None:
    op.execute("ALTER TABLE deliveries SET (fillfactor = 45)")
    for kind in _BODIES:
        name = f"tally_{kind.lower()}"
        op.execute(f"DROP TRIGGER {name} ON deliveries")
        op.execute(f"DROP FUNCTION {name}()")
    op.add_column("attempts", sa.Column("delivery_id", sa.Uuid(), nullable=True))
    op.execute("UPDATE attempts a SET delivery_id = dl.id FROM deliveries dl WHERE dl.seq = a.delivery_seq")
    op.execute("DELETE FROM attempts WHERE delivery_id IS NULL")
    op.alter_column("attempts", "delivery_id", nullable=False)
    op.drop_index("ix_attempts_delivery_seq", table_name="attempts")
    op.drop_column("attempts", "delivery_seq")
    op.create_foreign_key(
        op.f("fk_attempts_delivery_id"), "attempts", "deliveries", ["delivery_id"], ["id"], ondelete="CASCADE"
    )
    op.create_foreign_key(op.f("fk_attempts_account_id"), "attempts", "provider_accounts", ["account_id"], ["id"])
    op.create_index("ix_attempts_delivery_id", "attempts", ["delivery_id"], unique=False)

    op.execute(
        """
        UPDATE deliveries SET state = CASE WHEN tries > 0 THEN 'retrying' ELSE 'planned' END, lease_owner = NULL
        WHERE state = 'sending'
        """
    )
    op.execute("UPDATE deliveries SET due_at = changed_at WHERE due_at IS NULL")
    op.drop_index("ix_deliveries_error", table_name="deliveries")
    op.drop_index("ix_deliveries_due", table_name="deliveries")
    columns = ["theme_id", "channel", "address", "purpose"]
    op.create_unique_constraint(op.f(f"uq_deliveries_{'_'.join(columns)}"), "deliveries", columns)
    op.drop_constraint(op.f("uq_deliveries_address_channel_theme_id_purpose"), "deliveries", type_="unique")
    op.drop_constraint(op.f("uq_deliveries_distribution_id_seq"), "deliveries", type_="unique")
    op.drop_column("deliveries", "account_id")
    op.drop_column("deliveries", "seq")
    op.alter_column("deliveries", "due_at", nullable=False)
    op.create_foreign_key(
        op.f("fk_deliveries_theme_id"), "deliveries", "themes", ["theme_id"], ["id"], ondelete="CASCADE"
    )
    op.add_column("deliveries", sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_deliveries_due", "deliveries", ["distribution_id", "due_at"], postgresql_where=_PENDING)
    failed, sending = sa.text("state IN ('failed', 'unknown')"), sa.text("state = 'sending'")
    op.create_index("ix_deliveries_failed", "deliveries", ["distribution_id", "error_class"], postgresql_where=failed)
    op.create_index("ix_deliveries_lease", "deliveries", ["lease_until"], postgresql_where=sending)
    op.drop_column("distributions", "expires_at")
    for table in ("tallies", "walks", "sender_marks", "senders"):
        op.drop_table(table)
