from datetime import UTC, datetime
from pathlib import Path

import pytest

from audience.errors import NoRetailFile
from audience.import_report import category_shares
from audience.retail import RetailImport, read_retail
from audience.retail_row import COLUMNS, minor_units

HEADER = ",".join(COLUMNS)
DATA = Path(__file__).parents[2] / "data" / "online_retail_2010_12.csv"


def read(*rows: str) -> RetailImport:
    return read_retail(f"{line}\n" for line in (HEADER, *rows))


def row(  # noqa: PLR0917 - one per column, in the order of the file
    invoice: str = "536365",
    code: str = "85123A",
    quantity: str = "6",
    at: str = "01/12/2010 08:26",
    price: str = "2.55",
    customer: str = "17850",
    country: str = "United Kingdom",
) -> str:
    return f"{invoice},{code},WHITE HANGING HEART T-LIGHT HOLDER,{quantity},{at},{price},{customer},{country}"


def test_a_good_row_becomes_a_product_a_customer_and_an_order_in_pence() -> None:
    retail = read(row())
    (product,), (customer,), (order,) = retail.products, retail.customers, retail.orders
    assert (product.sku, product.category, product.unit_price_minor) == ("85123A", "tea-light-holders", 255)
    assert (customer.external_id, customer.country.code, customer.registered) == ("17850", "GB", True)
    assert (order.number, order.kept, order.kept_total_minor) == ("536365", True, 6 * 255)
    assert retail.rejected == ()


def test_times_are_read_day_first_and_as_london_time() -> None:
    winter, summer = read(row(at="02/12/2010 08:26")), read(row(at="02/07/2011 08:26"))
    assert winter.orders[0].placed_at == datetime(2010, 12, 2, 8, 26, tzinfo=UTC)
    assert summer.orders[0].placed_at == datetime(2011, 7, 2, 7, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("2.55", 255),
        ("2.5", 250),
        ("2", 200),
        ("0.07", 7),
        ("-1.10", -110),
        ("2.5500", 255),
        ("1.15", 115),  # 114 when cut from a float
        ("999999999.99", 99_999_999_999),
    ],
)
def test_prices_become_minor_units_without_a_float(text: str, minor: int) -> None:
    assert minor_units(text) == minor


@pytest.mark.parametrize("text", ["", "2.555", "1,000.00", "1e3", "£2", "nan", "٢.٥", "2."])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a price"):
        minor_units(text)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row(quantity="six"), "Quantity: 'six' is no whole number"),
        (row(quantity="1.5"), "Quantity: '1.5' is no whole number"),
        (row(quantity="0"), "Quantity: is zero"),
        (row(quantity="-2"), "Quantity: is negative outside a cancellation"),
        (row(quantity="2000000"), "Quantity: 2000000 is more than 1000000"),
        (row(invoice="C536365", quantity="2"), "Quantity: is positive in a cancellation"),
        (row(price="0"), "UnitPrice: is zero: nothing was sold"),
        (row(price="-1"), "UnitPrice: -1 is negative"),
        (row(price="free"), "UnitPrice: 'free' is not a price with at most two decimals"),
        (row(price="10000000.01"), "UnitPrice: 10000000.01 is more than 10000000"),
        (row(at="12/31/2010 08:26"), "InvoiceDate: '12/31/2010 08:26' is no date and time as DD/MM/YYYY HH:MM"),
        (row(code=""), "StockCode: is missing"),
        (row(invoice=""), "InvoiceNo: '' is no invoice number: digits, or C and digits for a cancellation"),
        (row(customer="bob"), "CustomerID: 'bob' is no customer number"),
        (row(country="Atlantis"), "Country: 'Atlantis' is no country that audience/countries.py knows"),
        (row() + ",extra", "9 fields in place of 8"),
        (row(code="851\0A"), "holds a NUL character"),
        (row(code="POST", customer=""), "StockCode: is a fee, on an invoice without customer and products"),
    ],
)
def test_a_bad_row_is_set_aside_with_its_line_and_reason_and_the_good_ones_stay(bad: str, reason: str) -> None:
    retail = read(row(invoice="1"), bad, row(invoice="2"))
    assert [(rejected.line, rejected.reason) for rejected in retail.rejected] == [(3, reason)]
    assert [order.number for order in retail.orders] == ["1", "2"]
    assert retail.rows == 3


def test_everything_wrong_with_a_row_is_told_at_once() -> None:
    (rejected,) = read(row(quantity="x", price="0", country="Atlantis")).rejected
    assert [reason.split(":")[0] for reason in rejected.reason.split("; ")] == ["Quantity", "UnitPrice", "Country"]


def test_an_invoice_keeps_the_customer_of_its_first_row() -> None:
    retail = read(row(), row(code="22", customer="12347"))
    assert retail.rejected[0].reason == "CustomerID: the invoice belongs to 17850 since line 2"
    assert [customer.external_id for customer in retail.customers] == ["17850"]


def test_customer_numbers_that_a_spreadsheet_turned_into_decimals_are_the_same_customers() -> None:
    retail = read(row(), row(invoice="2", customer="17850.0"), row(invoice="3", customer="017850"))
    assert [customer.external_id for customer in retail.customers] == ["17850"]


def test_each_invoice_without_a_customer_is_one_visitor() -> None:
    retail = read(
        row(invoice="1", customer=""), row(invoice="1", customer="", code="22"), row(invoice="2", customer="")
    )
    visitors = [(customer.external_id, customer.registered) for customer in retail.customers]
    assert visitors == [("visitor-1", False), ("visitor-2", False)]


def test_a_customer_who_moved_is_counted_where_the_first_invoice_went() -> None:
    later = row(invoice="1", at="03/12/2010 10:00", country="Austria")
    earlier = row(invoice="2", at="02/12/2010 10:00", country="Cyprus")
    assert read(later, earlier).customers[0].country.code == "CY"


def test_charges_are_order_lines_without_a_product() -> None:
    retail = read(row(), row(code="POST", price="18.00", quantity="1"), row(code="gift_0001_40"))
    assert [product.sku for product in retail.products] == ["85123A"]
    assert [(line.sku, line.label) for line in retail.orders[0].lines][1:] == [
        (None, "Postage"),
        (None, "Gift voucher"),
    ]


def test_codes_in_lower_case_are_the_same_product() -> None:
    retail = read(row(code="85123a"), row(invoice="2", code="85123A"))
    assert [product.sku for product in retail.products] == ["85123A"]


def test_a_cancellation_is_taken_off_the_customers_earlier_order() -> None:
    retail = read(row(), row(invoice="C2", quantity="-4", at="03/12/2010 09:00"))
    (order,) = retail.orders
    assert (order.lines[0].quantity, order.lines[0].kept_quantity, order.kept_total_minor) == (6, 2, 510)
    assert retail.cancellations.whole == 1


def test_an_order_cancelled_whole_is_not_kept() -> None:
    retail = read(row(), row(invoice="C2", quantity="-6", at="03/12/2010 09:00"))
    assert (retail.orders[0].kept, retail.orders[0].kept_total_minor) == (False, 0)
    assert [customer.external_id for customer in retail.customers] == ["17850"]


def test_who_only_cancelled_is_a_registered_customer_without_an_order() -> None:
    retail = read(row(invoice="C2", quantity="-6"))
    assert [customer.registered for customer in retail.customers] == [True]
    assert retail.orders == ()
    assert retail.cancellations.unmatched == 1


def test_a_cancellation_without_a_customer_is_counted_and_makes_no_visitor() -> None:
    retail = read(row(invoice="C2", quantity="-6", customer=""))
    assert (retail.customers, retail.cancellations.without_customer) == ((), 1)


@pytest.mark.parametrize("first_line", ["", "PK\x03\x04", "InvoiceNo;StockCode", HEADER.lower()])
def test_a_file_with_other_columns_is_refused_with_what_is_expected(first_line: str) -> None:
    with pytest.raises(NoRetailFile, match="the columns must be InvoiceNo,StockCode"):
        read_retail([first_line + "\n", row() + "\n"])


def test_an_unclosed_quote_is_refused_as_no_csv() -> None:
    with pytest.raises(NoRetailFile, match="line 3 is not CSV"):
        read(row(), '"536366,85123A')


@pytest.fixture(scope="module")
def december() -> RetailImport:
    with DATA.open(encoding="utf-8-sig", newline="") as source:
        return read_retail(source)


def test_december_2010_has_922_customers_in_24_countries(december: RetailImport) -> None:
    assert sum(customer.registered for customer in december.customers) == 922
    assert len({customer.country.code for customer in december.customers}) == 24
    assert december.rows == 39_529


def test_december_2010_has_608_customers_who_ordered_once_and_40_who_ordered_most(december: RetailImport) -> None:
    placed: dict[str, int] = {}
    keeping = {order.customer_id for order in december.orders if order.kept}
    for order in december.orders:
        placed[order.customer_id] = placed.get(order.customer_id, 0) + 1
    counts = [placed[who] for who in keeping if not who.startswith("visitor-")]
    assert [counts.count(1), counts.count(2), counts.count(3), sum(n > 3 for n in counts)] == [608, 167, 45, 40]


def test_december_2010_rejects_what_was_not_sold_and_nothing_else(december: RetailImport) -> None:
    assert len(december.rejected) == 204
    assert all(row.reason.startswith(("UnitPrice: is zero", "StockCode: is a fee")) for row in december.rejected)


def test_most_of_the_value_of_december_2010_falls_into_a_named_category(december: RetailImport) -> None:
    shares = {name: float(share.removesuffix(" %")) for name, share in category_shares(december).items()}
    assert shares["other"] < 10
    assert shares["tea-light-holders"] > 5
    assert sum(shares.values()) == pytest.approx(100, abs=1.3)
