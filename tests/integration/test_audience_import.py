import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session
from typer.testing import CliRunner, Result

import settings
from audience import service
from audience.errors import CurrencyDiffers
from audience.import_report import ImportReport
from audience.retail import RetailImport, read_retail
from audience.retail_row import COLUMNS
from console.commands.import_retail import app
from models.customer import Address, Consent, Customer
from models.database import Database
from models.order import Order, OrderLine
from models.product import Product

DATA = Path(__file__).parents[2] / "data" / "online_retail_2010_12.csv"
NOW = datetime(2027, 3, 1, tzinfo=UTC)
DECEMBER = datetime(2010, 12, 21, tzinfo=UTC)


@pytest.fixture(scope="module")
def december() -> RetailImport:
    with DATA.open(encoding="utf-8-sig", newline="") as source:
        return read_retail(source)


@pytest.fixture(scope="module")
def imported(database: Database, december: RetailImport) -> ImportReport:
    with database.begin() as session:
        return service.import_retail(session, december, product_line="giftware-eu", currency="GBP", as_of=NOW)


@pytest.fixture
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of the file's rows, and one that is rejected."""
    file = tmp_path_factory.mktemp("short") / "retail.csv"
    with DATA.open(encoding="utf-8-sig", newline="") as source:
        head, *rows = islice(source, 300)
    file.write_text("".join([head, *rows, rows[0].replace(",", ";")]), encoding="utf-8")
    with file.open(encoding="utf-8", newline="") as source:
        assert read_retail(source).rejected
    return file


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[CliRunner]:
    monkeypatch.setenv("THEMELINE_DATABASE_URL", database_url)
    settings.get_settings.cache_clear()
    yield CliRunner()
    settings.get_settings.cache_clear()


def everything(session: Session) -> list[list[tuple[object, ...]]]:
    tables = ("product_lines", "products", "customers", "addresses", "consents", "orders", "order_lines")
    queries = [text(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]  # noqa: S608 - the names above
    return [[tuple(row) for row in session.execute(query)] for query in queries]


def count(session: Session, what: type) -> int:
    return session.scalars(select(func.count()).select_from(what)).one()


def test_the_data_set_brings_922_customers_in_24_countries(imported: ImportReport, session: Session) -> None:
    assert (imported.registered, imported.visitors, imported.countries) == (922, 114, 24)
    assert session.scalars(select(func.count()).where(Customer.registered)).one() == 922
    assert session.scalars(select(func.count(func.distinct(Customer.country)))).one() == 24
    assert (count(session, Product), count(session, Order), count(session, OrderLine)) == (2692, 1454, 38645)


@pytest.mark.usefixtures("imported")
def test_only_registered_customers_have_addresses_and_each_has_a_word_on_consent(session: Session) -> None:
    unregistered = select(func.count()).select_from(Address).join(Customer).where(~Customer.registered)
    assert session.scalars(unregistered).one() == 0
    assert count(session, Address) == count(session, Consent) == 2849
    assert session.scalars(select(func.count()).where(~Address.valid)).one() == 0


@pytest.mark.usefixtures("imported")
def test_kept_totals_are_what_is_left_of_the_lines(session: Session) -> None:
    left = func.sum(OrderLine.kept_quantity * OrderLine.unit_price_minor)
    wrong = select(Order.number).join(OrderLine).group_by(Order.id).having(left != Order.kept_total_minor)
    assert session.scalars(wrong).all() == []


@pytest.mark.usefixtures("imported")
def test_importing_twice_changes_nothing(database: Database, december: RetailImport) -> None:
    with database.begin() as session:
        before = everything(session)
    with database.begin() as session:
        again = service.import_retail(session, december, product_line="giftware-eu", currency="GBP", as_of=NOW)
    assert {(changed.inserted, changed.updated) for changed in again.changed.values()} == {(0, 0)}
    with database.begin() as session:
        assert everything(session) == before


@pytest.mark.usefixtures("imported")
def test_a_later_word_on_consent_survives_another_import(database: Database, december: RetailImport) -> None:
    with database.begin() as session:
        consent = session.scalars(select(Consent).where(Consent.granted).limit(1)).one()
        key = (consent.customer_id, consent.channel)
        consent.granted = False
    with database.begin() as session:
        service.import_retail(session, december, product_line="giftware-eu", currency="GBP", as_of=NOW)
    with database.begin() as session:
        assert session.get_one(Consent, key).granted is False
        session.get_one(Consent, key).granted = True


def test_what_changed_in_the_file_is_updated(database: Database) -> None:
    def load(session: Session, *rows: str) -> ImportReport:
        retail = read_retail(f"{line}\n" for line in (",".join(COLUMNS), *rows))
        return service.import_retail(session, retail, product_line="changing", currency="GBP", as_of=NOW)

    bought = "1,22,RED RETROSPOT MUG,6,01/12/2010 08:26,2.55,12347,Iceland"
    with database.begin() as session:
        load(session, bought)
    with database.begin() as session:
        report = load(session, bought, "C2,22,RED RETROSPOT MUG,-6,02/12/2010 08:26,2.55,12347,Iceland")
    assert {kind for kind, changed in report.changed.items() if changed.updated} == {"orders", "order_lines"}
    assert report.segments["registered_no_order"] == 1


@pytest.mark.usefixtures("imported")
def test_product_lines_are_kept_apart(database: Database) -> None:
    row = "1,22,RED RETROSPOT MUG,6,01/12/2010 08:26,2.55,17850,Iceland"
    retail = read_retail([",".join(COLUMNS) + "\n", row + "\n"])
    with database.begin() as session:
        report = service.import_retail(session, retail, product_line="apart", currency="GBP", as_of=NOW)
    assert report.by_country == {"IS": {"registered": 1, "visitors": 0}}
    assert report.segments["ordered_once"] == 1


@pytest.mark.usefixtures("imported")
def test_another_currency_is_refused(session: Session, december: RetailImport) -> None:
    with pytest.raises(CurrencyDiffers, match="counts in GBP, the import in EUR"):
        service.import_retail(session, december, product_line="giftware-eu", currency="EUR", as_of=NOW)


def run(command: CliRunner, *arguments: str) -> Result:
    return command.invoke(app, list(arguments))


def test_the_command_keeps_good_rows_and_writes_bad_ones_out(
    command: CliRunner, tmp_path: Path, session: Session
) -> None:
    file = tmp_path / "shop.csv"
    good = "1,22,RED RETROSPOT MUG,6,01/12/2010 08:26,2.55,12347,Iceland"
    bad = '2,22,"MUG, RED",x,01/12/2010 08:26,2.55,12347,Iceland'
    file.write_text("\ufeff" + "\n".join((",".join(COLUMNS), good, bad)), encoding="utf-8")
    result = run(command, "retail", str(file), "--product-line", "shop", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["rejected"], report["kept_orders"]) == (1, 1)
    assert report["rejected_file"] == str(tmp_path / "shop.rejected.csv")
    with (tmp_path / "shop.rejected.csv").open(newline="", encoding="utf-8") as rejected:
        (row,) = csv.DictReader(rejected)
    assert (row["line"], row["reason"], row["Description"]) == ("3", "Quantity: 'x' is no whole number", "MUG, RED")
    assert session.scalars(select(Product.name).where(Product.sku == "22")).first() == "RED RETROSPOT MUG"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"", "its first line is 'nothing'"),
        (b"hello\n", "the columns must be InvoiceNo,StockCode"),
        (b"\x89PNG\r\n\x1a\n", "not UTF-8 text"),
        ((",".join(COLUMNS) + '\n"1,2').encode(), "line 2 is not CSV"),
    ],
)
def test_a_file_that_is_none_ends_with_status_2_and_nothing_is_written(
    command: CliRunner, tmp_path: Path, database: Database, content: bytes | None, message: str
) -> None:
    file = tmp_path / "shop.csv"
    if content is not None:
        file.write_bytes(content)
    with database.begin() as session:
        before = everything(session)
    result = run(command, "retail", str(file), "--product-line", "never")
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr
    assert [path for path in tmp_path.iterdir() if path != file] == []
    with database.begin() as session:
        assert everything(session) == before


def test_a_place_for_rejected_rows_that_cannot_be_written_stops_the_import(
    command: CliRunner, tmp_path: Path, database: Database, short: Path
) -> None:
    with database.begin() as session:
        before = everything(session)
    result = run(
        command, "retail", str(short), "--product-line", "never", "--rejected", str(tmp_path / "no" / "such.csv")
    )
    assert (result.exit_code, "No such file" in result.stderr) == (2, True)
    with database.begin() as session:
        assert everything(session) == before


def test_a_refused_import_leaves_no_file_of_rejected_rows(
    command: CliRunner, tmp_path: Path, imported: ImportReport, short: Path
) -> None:
    rejected = tmp_path / "rejected.csv"
    result = run(
        command, "retail", str(short), "--product-line", imported.product_line, "--currency", "EUR",
        "--rejected", str(rejected),
    )  # fmt: skip
    assert (result.exit_code, "counts in GBP" in result.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_is_down_is_named_with_the_remedy(
    command: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: Path
) -> None:
    monkeypatch.setenv("THEMELINE_DATABASE_URL", "postgresql://nobody:secret@127.0.0.1:1/none")
    settings.get_settings.cache_clear()
    result = run(command, "retail", str(short), "--rejected", str(tmp_path / "rejected.csv"))
    assert result.exit_code == 2
    assert "does not answer" in result.stderr
    assert "themeline up" in result.stderr
    assert "secret" not in result.stderr
    assert list(tmp_path.iterdir()) == []
