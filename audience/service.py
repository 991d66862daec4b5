"""Customers brought in and multiplied, segments counted. The caller's transaction is the unit: all of it or nothing."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from audience.addresses import NormalisedAddress, normalise
from audience.contacts import contacts_of, display_name
from audience.errors import CurrencyDiffers, NothingToMultiply, ProductLineUnknown
from audience.import_report import Changed, ImportReport, cancellation_counts, category_shares, rejected_by_reason
from audience.retail import RetailImport
from audience.segments import segments_named
from models.product_line import ProductLine
from models.queries import customers, orders
from models.queries.customers import ContactRow, CustomerRow
from models.queries.orders import LineRow
from models.queries.segments import segment_counts
from models.queries.staging import Merged
from models.queries.themes import product_line_by_key, product_line_keys

#: What an import reports on; "last 7 days" is what themes commonly leave out.
REPORTED_SEGMENTS = (
    *("visitors", "registered_no_order", "ordered_once", "at_most_two_orders", "core", "lapsed"),
    "ordered_last_7_days",
)


def import_retail(
    session: Session, retail: RetailImport, *, product_line: str, currency: str, as_of: datetime
) -> ImportReport:
    """Bring in what a retail file says; importing it again changes nothing. Segments are counted for `as_of`.

    Raises:
        CurrencyDiffers: the product line exists and counts in another currency.
    """
    line = customers.ensure_product_line(session, key=product_line, currency=currency)
    if line.currency != currency:
        raise CurrencyDiffers(key=product_line, currency=line.currency, asked=currency)
    changed = _merge(session, line.id, retail)
    by_country = customers.customers_by_country(session, line.id)
    by_channel = customers.addresses_by_channel(session, line.id)
    return ImportReport(
        product_line=line.key,
        currency=line.currency,
        rows=retail.rows,
        rejected=len(retail.rejected),
        rejected_by_reason=rejected_by_reason(retail),
        registered=sum(customer.registered for customer in retail.customers),
        visitors=sum(not customer.registered for customer in retail.customers),
        kept_orders=sum(order.kept for order in retail.orders),
        cancellations=cancellation_counts(retail),
        changed=changed,
        countries=len(by_country),
        by_country={code: {"registered": have, "visitors": come} for code, (have, come) in by_country.items()},
        by_channel={channel: {"addresses": have, "consenting": agree} for channel, (have, agree) in by_channel.items()},
        by_category=category_shares(retail),
        segments=segment_counts(session, segments_named(REPORTED_SEGMENTS), product_line_id=line.id, as_of=as_of),
        segments_as_of=as_of,
    )


def multiply_customers(session: Session, *, product_line: str, target: int, seed: int) -> int:
    """Generate registered customers after the pattern of the imported ones until there are `target`; returns how many.

    Raises:
        ProductLineUnknown: no product line has that key.
        NothingToMultiply: nothing was imported into it.
    """
    line = known_product_line(session, product_line)
    customers.ensure_product_line(session, key=line.key, currency=line.currency)
    patterns = customers.registered_customers(session, line.id, generated=False)
    if not patterns:
        raise NothingToMultiply(key=line.key)
    present = customers.registered_customers(session, line.id, generated=True)
    last = target - patterns
    if last <= present:
        return 0
    customers.generate_customers(session, line.id, first=present + 1, last=last, patterns=patterns, seed=seed)
    orders.generate_orders(session)
    customers.refresh_statistics(session)
    return last - present


def count_segments(session: Session, names: Sequence[str], *, product_line: str, as_of: datetime) -> dict[str, int]:
    """Customers per segment.

    Raises:
        ProductLineUnknown: no product line has that key.
        SegmentUnknown, SegmentDaysOutOfRange: a name is none.
    """
    line = known_product_line(session, product_line)
    return segment_counts(session, segments_named(names), product_line_id=line.id, as_of=as_of)


def known_product_line(session: Session, key: str) -> ProductLine:
    line = product_line_by_key(session, key)
    if line is None:
        raise ProductLineUnknown(key=key, known=product_line_keys(session))
    return line


def _merge(session: Session, line_id: int, retail: RetailImport) -> dict[str, Changed]:
    products = [(p.sku, p.name, p.category, p.unit_price_minor) for p in retail.products]
    contacts = list(_contact_rows(retail))
    order_rows = [(o.number, o.customer_id, o.placed_at, o.kept, o.kept_total_minor) for o in retail.orders]
    lines = list(_line_rows(retail))
    return {
        "products": _changed(len(products), orders.merge_products(session, line_id, products)),
        "customers": _changed(
            len(retail.customers), customers.merge_customers(session, line_id, _customer_rows(retail))
        ),
        "addresses": _changed(
            len(contacts), customers.add_contacts(session, line_id, contacts, source="import:retail")
        ),
        "orders": _changed(len(order_rows), orders.merge_orders(session, line_id, order_rows)),
        "order_lines": _changed(len(lines), orders.merge_order_lines(session, line_id, lines)),
    }


def _changed(in_file: int, merged: Merged) -> Changed:
    return Changed(in_file=in_file, inserted=merged.inserted, updated=merged.updated)


def _customer_rows(retail: RetailImport) -> Iterator[CustomerRow]:
    for customer in retail.customers:
        country = customer.country
        name = display_name(customer.external_id) if customer.registered else None
        yield customer.external_id, name, country.code, country.timezone, country.language, customer.registered


def _contact_rows(retail: RetailImport) -> Iterator[ContactRow]:
    for customer in retail.customers:
        if not customer.registered:
            continue
        for contact in contacts_of(customer.external_id, customer.country.code):
            found = normalise(contact.channel, contact.address, country=customer.country.code)
            valid = isinstance(found, NormalisedAddress)
            address = found.address if isinstance(found, NormalisedAddress) else found.original
            given = (customer.external_id, contact.channel, address, found.original, valid)
            yield *given, contact.consent, customer.first_seen_at


def _line_rows(retail: RetailImport) -> Iterator[LineRow]:
    for order in retail.orders:
        for position, line in enumerate(order.lines, start=1):
            goods = (line.sku, line.label, line.quantity, line.kept_quantity, line.unit_price_minor)
            yield order.number, position, *goods
