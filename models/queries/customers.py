"""Customers, how they are reached and what they agreed to: brought in, counted, multiplied."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from channels.states import Channel
from models.customer import Address, Consent, Customer
from models.product_line import ProductLine
from models.queries.staging import Merged, merge, stage

#: (external id, name, country, timezone, language, registered)
CustomerRow = tuple[str, str | None, str, str, str, bool]
#: (external id of the customer, channel, normalised, original, valid, consent, consent recorded at)
ContactRow = tuple[str, Channel, str, str, bool, bool, datetime]

GENERATED_PREFIX = "generated-"


def ensure_product_line(session: Session, *, key: str, currency: str) -> ProductLine:
    """The product line of that key, made if missing, and locked: two imports into one wait for each other."""
    made = insert(ProductLine).values(key=key, name=key, currency=currency)
    session.execute(made.on_conflict_do_nothing())
    return session.scalars(select(ProductLine).where(ProductLine.key == key).with_for_update(key_share=True)).one()


def merge_customers(session: Session, product_line_id: int, rows: Iterable[CustomerRow]) -> Merged:
    columns = {"external_id": "text", "name": "text", "country": "text", "timezone": "text", "language": "text"}
    stage(session, "staged_customers", columns | {"registered": "boolean"}, rows)
    return merge(
        session,
        """
        INSERT INTO customers (product_line_id, external_id, name, country, timezone, language, registered)
        SELECT :product_line_id, external_id, name, country, timezone, language, registered FROM staged_customers
        ON CONFLICT (product_line_id, external_id) DO UPDATE
        SET name = excluded.name, country = excluded.country, timezone = excluded.timezone,
            language = excluded.language, registered = excluded.registered
        WHERE (customers.name, customers.country, customers.timezone, customers.language, customers.registered)
              IS DISTINCT FROM
              (excluded.name, excluded.country, excluded.timezone, excluded.language, excluded.registered)
        """,
        product_line_id=product_line_id,
    )


def add_contacts(session: Session, product_line_id: int, rows: Iterable[ContactRow], *, source: str) -> Merged:
    """Add addresses and consents that are not there yet; what a customer has said since is never overwritten."""
    columns = {"external_id": "text", "channel": "text", "address": "text", "original": "text", "valid": "boolean"}
    stage(session, "staged_contacts", columns | {"granted": "boolean", "recorded_at": "timestamptz"}, rows)
    merge(
        session,
        """
        INSERT INTO consents (customer_id, channel, granted, source, recorded_at)
        SELECT c.id, s.channel, s.granted, :source, s.recorded_at
        FROM staged_contacts s
        JOIN customers c ON c.product_line_id = :product_line_id AND c.external_id = s.external_id
        ON CONFLICT DO NOTHING
        """,
        product_line_id=product_line_id,
        source=source,
    )
    return merge(
        session,
        """
        INSERT INTO addresses (customer_id, channel, address, original, valid)
        SELECT c.id, s.channel, s.address, s.original, s.valid
        FROM staged_contacts s
        JOIN customers c ON c.product_line_id = :product_line_id AND c.external_id = s.external_id
        ON CONFLICT DO NOTHING
        """,
        product_line_id=product_line_id,
    )


def registered_customers(session: Session, product_line_id: int, *, generated: bool | None = None) -> int:
    """How many have an account; of them the generated, or the others, when asked."""
    query = select(func.count()).where(Customer.product_line_id == product_line_id, Customer.registered)
    if generated is not None:
        made = Customer.external_id.startswith(GENERATED_PREFIX)
        query = query.where(made if generated else ~made)
    return session.scalars(query).one()


def customers_by_country(session: Session, product_line_id: int) -> dict[str, tuple[int, int]]:
    """Registered customers and visitors per ISO country code, most first."""
    registered, everybody = func.count().filter(Customer.registered), func.count()
    query = (
        select(Customer.country, registered, everybody - registered)
        .where(Customer.product_line_id == product_line_id)
        .group_by(Customer.country)
        .order_by(registered.desc(), everybody.desc(), Customer.country)
    )
    return {country: (with_account, visitors) for country, with_account, visitors in session.execute(query)}


def addresses_by_channel(session: Session, product_line_id: int) -> dict[Channel, tuple[int, int]]:
    """Valid addresses per channel, and of them those whose customer agrees to marketing there."""
    agreed = func.count().filter(Consent.granted)
    query = (
        select(Address.channel, func.count(), agreed)
        .join(Customer, Customer.id == Address.customer_id)
        .outerjoin(Consent, (Consent.customer_id == Address.customer_id) & (Consent.channel == Address.channel))
        .where(Customer.product_line_id == product_line_id, Address.valid)
        .group_by(Address.channel)
        .order_by(func.count().desc())
    )
    return {channel: (valid, consenting) for channel, valid, consenting in session.execute(query)}


def generate_customers(
    session: Session, product_line_id: int, *, first: int, last: int, patterns: int, seed: int
) -> None:
    """Customers number `first` to `last`, each after one of the `patterns` imported ones: addresses and consents too.

    The imported are shuffled by the seed and taken in turn, so that every full turn has exactly their shares of
    countries, channels, consents and orders. `generate_orders` must follow in the same transaction.
    """
    session.execute(text("DROP TABLE IF EXISTS pg_temp.generated"))
    values = {"product_line_id": product_line_id, "first": first, "last": last, "patterns": patterns, "seed": seed}
    session.execute(text(_GENERATE), values)
    for statement in ("ANALYZE generated", _GENERATED_CUSTOMERS, _GENERATED_ADDRESSES, _GENERATED_CONSENTS):
        session.execute(text(statement))


def refresh_statistics(session: Session) -> None:
    """Tell the planner of the database about many new rows at once, ahead of autovacuum."""
    session.execute(text("ANALYZE customers, addresses, consents, orders, order_lines, products"))


_GENERATE = f"""
    CREATE TEMPORARY TABLE generated ON COMMIT DROP AS
    WITH patterns AS (
        SELECT id, row_number() OVER (ORDER BY md5(CAST(:seed AS text) || external_id)) - 1 AS turn
        FROM customers
        WHERE product_line_id = :product_line_id AND registered AND external_id NOT LIKE '{GENERATED_PREFIX}%'
    )
    SELECT number, patterns.id AS pattern_id, nextval(pg_get_serial_sequence('customers', 'id')) AS customer_id
    FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS number
    JOIN patterns ON patterns.turn = number % CAST(:patterns AS bigint)
"""  # noqa: S608 - the prefix is a constant above
_GENERATED_CUSTOMERS = f"""
    INSERT INTO customers (id, product_line_id, external_id, name, country, timezone, language, registered)
    SELECT g.customer_id, c.product_line_id, '{GENERATED_PREFIX}' || g.number, 'Gift Shop G' || g.number,
           c.country, c.timezone, c.language, true
    FROM generated g JOIN customers c ON c.id = g.pattern_id
"""  # noqa: S608 - the prefix is a constant above
# All reserved, as in audience/contacts.py, and apart from what is given out there: +888 1…, 1a0018970b…, oGenerated….
_GENERATED_ADDRESSES = f"""
    INSERT INTO addresses (customer_id, channel, address, original, valid)
    SELECT customer_id, channel, address, address, valid
    FROM (
        SELECT g.customer_id, a.channel, a.valid, CASE a.channel
            WHEN '{Channel.SMS}' THEN '+8881' || lpad(g.number::text, 10, '0')
            WHEN '{Channel.EMAIL}' THEN 'generated-' || g.number || '@' || lower(c.country) || '.example.com'
            WHEN '{Channel.PUSH}' THEN '1a0018970b' || lpad(to_hex(g.number), 9, '0')
            WHEN '{Channel.MINI_PROGRAM}' THEN 'oGenerated' || lpad(g.number::text, 18, '0')
        END AS address
        FROM generated g JOIN customers c ON c.id = g.pattern_id JOIN addresses a ON a.customer_id = g.pattern_id
    ) AS made
"""  # noqa: S608 - channel words are an enum
_GENERATED_CONSENTS = """
    INSERT INTO consents (customer_id, channel, granted, source, recorded_at)
    SELECT g.customer_id, o.channel, o.granted, 'generated', o.recorded_at
    FROM generated g JOIN consents o ON o.customer_id = g.pattern_id
"""
