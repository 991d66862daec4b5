"""`themeline products import`: a catalogue with what scopes and margins go by."""

from pathlib import Path

from sqlalchemy import select

from models.product import Product
from tests.integration.command_line import CommandLine
from tests.integration.scene import LINE, Scene

HEADER = "sku,name,category,price,brand,shop,cost\n"
ROWS = "1,HOLDER,tea-light-holders,2.95,Lyons,s1,1.20\n2,BAG,bags,10,,,\n"


def kept(scene: Scene) -> dict[str, tuple[str, int, str | None, str | None, int | None]]:
    with scene.begin() as session:
        return {
            one.sku: (one.category, one.unit_price_minor, one.brand, one.shop, one.cost_minor)
            for one in session.scalars(select(Product))
        }


def imported(cli: CommandLine, file: Path, text: str) -> tuple[int, int]:
    file.write_text(text, encoding="utf-8")
    found = cli.json("products", "import", str(file), "--product-line", LINE)
    return found["inserted"], found["updated"]


def test_products_are_brought_in_once_and_changed_where_the_file_says_so(
    cli: CommandLine, scene: Scene, tmp_path: Path
) -> None:
    file = tmp_path / "products.csv"
    assert imported(cli, file, HEADER + ROWS) == (1, 1)
    first = {"1": ("tea-light-holders", 295, "Lyons", "s1", 120), "2": ("bags", 1000, None, None, None)}
    assert kept(scene) == first
    assert imported(cli, file, "\ufeff" + HEADER + ROWS) == (0, 0)
    # a column that is not there says nothing; one that is empty says that it is not known
    assert imported(cli, file, "name,SKU,price,category,cost\nHOLDER,1,3.05,tea-light-holders,\n") == (0, 1)
    assert kept(scene) == {**first, "1": ("tea-light-holders", 305, "Lyons", "s1", None)}


def test_file_with_a_wrong_row_is_refused_whole_and_tells_its_lines(
    cli: CommandLine, scene: Scene, tmp_path: Path
) -> None:
    file, before = tmp_path / "products.csv", kept(scene)
    file.write_text(
        HEADER + ROWS + "2,BAG,bags,1,,,\n3,,bags,1.234,,,-1\n4,A,b,1\n5,A,b,99999999.00,,,\n", encoding="utf-8"
    )
    said = cli.refusal("products", "import", str(file), "--product-line", LINE)
    for told in (
        "line 4: the SKU '2' stands in line 3 already",
        "line 5: name is empty",
        "line 5: price '1.234' is not an amount",
        "line 5: cost '-1' is not an amount",
        "line 6: has more or fewer fields than the header",
        "line 7: price '99999999.00' is more than can be kept",
    ):
        assert told in said
    assert kept(scene) == before


def test_columns_and_product_line_have_to_be_known(cli: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "products.csv"
    file.write_text("sku,name,categry,price,price\n", encoding="utf-8")
    said = cli.refusal("products", "import", str(file), "--product-line", LINE)
    assert "'categry' is not a known column; did you mean 'category'?" in said
    assert "the column 'price' is there twice" in said
    assert "the column 'category' is missing" in said
    file.write_text(HEADER, encoding="utf-8")
    assert "did you mean 'giftware-eu'?" in cli.refusal("products", "import", str(file), "--product-line", "giftware")
