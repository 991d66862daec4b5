"""What the database itself enforces: an audit that only grows, and one deterministic delivery id."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Themes and revisions point at each other, so this key waits until both tables are there.
    op.create_foreign_key(op.f("fk_themes_revision_id"), "themes", "revisions", ["revision_id"], ["id"])
    # A delivery is updated a few times in its life: room on its page keeps the new versions beside the old.
    op.execute("ALTER TABLE deliveries SET (fillfactor = 45)")
    op.execute(
        """
        CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the table % only grows: % is refused', TG_TABLE_NAME, TG_OP
                USING ERRCODE = 'insufficient_privilege';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
    )
    # RFC 9562, version 8: name-based on SHA-256, which PostgreSQL has built in, where version 5 would need an
    # extension that not every build brings.
    op.execute(
        """
        CREATE FUNCTION delivery_id(name text) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT encode(
                set_byte(set_byte(digest, 6, get_byte(digest, 6) & 15 | 128), 8, get_byte(digest, 8) & 63 | 128), 'hex'
            )::uuid
            FROM (SELECT substring(sha256(convert_to(name, 'UTF8')) FROM 1 FOR 16) AS digest) AS hashed
        $$
        """
    )


def downgrade() -> None:
    op.execute("ALTER TABLE deliveries RESET (fillfactor)")
    op.drop_constraint(op.f("fk_themes_revision_id"), "themes", type_="foreignkey")
    op.execute("DROP FUNCTION delivery_id(text)")
    op.execute("DROP TRIGGER audit_only_grows ON audit")
    op.execute("DROP FUNCTION refuse_change()")
